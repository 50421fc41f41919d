"""predict: predict the rows of a new table (--config new_data=FILE) with the folds' networks.

Input: the encoding of the study's table, its rows' truth, and all cells. It writes results/predictions/<model>.csv
for each model, and declares none of them: it runs whenever it is asked for, and what an earlier run wrote stays
until all of the new predictions are there.
"""


rule predict:
    input:
        schema="<results>/prepared/schema.json",
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        target="<results>/prepared/target.npy",
        digests="<results>/prepared/digests.npy",
        assignment="<results>/prepared/assignment.npy",
        new_data=new_data,
        cells=lambda wildcards: all_cells(MODELS, *CELL_FILES),
    log:
        "<logs>/predict/predict.log",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        results=lambda wildcards: results(),
        models=MODELS,
        new_data=config["new_data"],
        missing=config["data"]["missing"],
        form={key: config["data"][key] for key in ("separator", "decimal", "encoding", "sheet")},
        split=config["split"],
        coverage=config["predict"]["coverage"],
    script:
        "../scripts/predict.py"
