"""merge_predictions: join a model's out-of-sample predictions to their own rows.
merge_path: the same for a model with a path of strengths, one of which is chosen.

Input: the table's text, the assignment of rows to folds, and the model's cells. Output: results/oos/<model>.csv, a
line for each row and repeat, after the row contract is checked; with a path also results/oos_path/<model>.parquet,
the predictions of every strength, and results/path/<model>.csv, a line for each strength. The rule and the metric of
the choice are parameters here, so that another choice trains nothing.
"""


rule merge_predictions:
    input:
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        schema="<results>/prepared/schema.json",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
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
    wildcard_constraints:
        model=one_of([model for model in PREDICTORS if model not in SELECTS]),
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        code=code_digest("merge_predictions"),
    script:
        "../scripts/merge_predictions.py"


rule merge_path:
    input:
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        schema="<results>/prepared/schema.json",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
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
        predictions="<results>/oos_path/{model}.parquet",
        path="<results>/path/{model}.csv",
    log:
        "<logs>/merge_path/{model}.log",
        usage="<benchmarks>/merge_path/{model}.tsv",
    wildcard_constraints:
        model=one_of(list(SELECTS)),
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        select=lambda wildcards: SELECTS[wildcards.model],
        chosen_by=chosen_by,
        code=code_digest("merge_path"),
    script:
        "../scripts/merge_path.py"
