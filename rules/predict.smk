"""predict: predict the rows of a new table (--config new_data=FILE) with every model.

Input: the saved models. It writes results/predictions/<model>.csv for each model, and declares none of them: it
runs whenever it is asked for, and what an earlier run wrote stays until all of the new predictions are there.
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
