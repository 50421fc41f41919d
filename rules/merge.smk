"""merge_predictions: join every out-of-sample prediction of a model to its own row.

Input: the table's cells as they were written, who tests what, and the model's cells. Output:
results/oos/<model>.csv, a line for each row and repeat, after the row contract was checked.
"""


rule merge_predictions:
    input:
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        schema="<results>/prepared/schema.json",
        target="<results>/prepared/target.npy",
        digests="<results>/prepared/digests.npy",
        assignment="<results>/prepared/assignment.npy",
        cells=lambda wildcards: cells(wildcards.model, "cell.json"),
        predictions=lambda wildcards: cells(wildcards.model, "predictions.npz"),
    output:
        oos=report(
            "<results>/oos/{model}.csv",
            caption="../report/oos.rst",
            category="Predictions",
            labels={"model": "{model}"},
        ),
    log:
        "<logs>/merge_predictions/{model}.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/merge_predictions/{model}.tsv",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        code=code_digest("merge_predictions"),
    script:
        "../scripts/merge_predictions.py"
