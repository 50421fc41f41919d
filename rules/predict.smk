"""predict: predict the rows of a new table (--config new_data=FILE) with every model.

Input: the saved models and the new table. Output: results/predictions/<model>.csv for each model. These files are not
declared, so that the rule runs whenever it is asked for, and older files stay until all new predictions are computed.
"""


rule predict:
    input:
        models=expand("<results>/models/{model}", model=MODELS),
        new_data=new_data,
    log:
        "<logs>/predict/predict.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        results=lambda wildcards: results(),
        new_data=config["new_data"],
        missing=config["data"]["missing"],
        form={key: config["data"][key] for key in ("separator", "decimal", "encoding", "sheet")},
    script:
        "../scripts/predict.py"
