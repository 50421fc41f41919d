"""score_predictions: score every cell, every model over all of its rows, and every row over all models.

Input: the out-of-sample files, as users get them; the cells' metadata; the rows that each fold trains on, for the
constant prediction to beat and for rows that are in training and test; and the importance of columns in each cell.
Output: results/scores.csv, a line for each cell; results/scores_by.csv, a line for each level of the columns of
report.by; results/comparison.csv, a line for each pair of models; results/rows.csv, a line for each row;
results/importance.csv, a line for each model and column; and results/summary.json.
"""


rule score_predictions:
    input:
        schema="<results>/prepared/schema.json",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
        digests="<results>/prepared/digests.npy",
        assignment="<results>/prepared/assignment.npy",
        codes="<results>/prepared/codes.npy",
        features="<results>/prepared/features.npy",
        measured=expand(
            "<results>/importance/{model}.csv", model=MODELS if config["report"]["importance"] else []
        ),
        oos=expand("<results>/oos/{model}.csv", model=PREDICTORS),
        path_predictions=expand("<results>/oos_path/{model}.parquet", model=SELECTS),
        cells=lambda wildcards: all_cells(PREDICTORS, "cell.json"),
    output:
        scores=report("<results>/scores.csv", caption="../report/scores.rst", category="Scores"),
        scores_by="<results>/scores_by.csv",
        comparison=report("<results>/comparison.csv", caption="../report/comparison.rst", category="Scores"),
        rows="<results>/rows.csv",
        importance="<results>/importance.csv",
        summary="<results>/summary.json",
    log:
        "<logs>/score_predictions/score_predictions.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/score_predictions/score_predictions.tsv",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        models=PREDICTORS,
        selects=SELECTS,
        split=config["split"],
        compare=config["compare"],
        by={"columns": config["report"]["by"], "missing": config["data"]["missing"]},
        coverage=config["predict"]["coverage"],
        metrics=config["metrics"],
        functions=identity.functions(metrics.own(config["metrics"])),
        code=code_digest("score_predictions"),
    script:
        "../scripts/score_predictions.py"
