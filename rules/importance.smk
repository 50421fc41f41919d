"""measure_importance: how much worse a model's networks predict their held-out rows with each column shuffled.

Input: the encoded table, the assignment of rows to folds, and the model's networks. Output:
results/importance/<model>.csv, a line for each cell and column of the table.
"""


rule measure_importance:
    input:
        schema="<results>/prepared/schema.json",
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        features="<results>/prepared/features.npy",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
        digests="<results>/prepared/digests.npy",
        assignment="<results>/prepared/assignment.npy",
        codes="<results>/prepared/codes.npy",
        cells=lambda wildcards: cells(wildcards.model, "cell.json"),
        networks=lambda wildcards: cells(wildcards.model, "model.keras"),
        predictions=lambda wildcards: cells(wildcards.model, "predictions.npz"),
    output:
        importance="<results>/importance/{model}.csv",
    log:
        "<logs>/measure_importance/{model}.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/measure_importance/{model}.tsv",
    wildcard_constraints:
        model=one_of(MODELS),
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        split=config["split"],
        select=lambda wildcards: SELECTS.get(wildcards.model),
        chosen_by=chosen_by,
        number=config["report"]["importance"],
        code=code_digest("measure_importance"),
    script:
        "../scripts/measure_importance.py"
