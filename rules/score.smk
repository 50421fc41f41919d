"""score_predictions: score every cell, and every model over all of its rows.

Input: the out-of-sample files, as users get them; what the cells say of themselves; and which rows each fold
trains on, for the constant answer to beat and for rows that stand in training and test. Output:
results/scores.csv, a line for each cell, results/comparison.csv, a line for each pair of models, and
results/summary.json.
"""


rule score_predictions:
    input:
        schema="results/prepared/schema.json",
        target="results/prepared/target.npy",
        digests="results/prepared/digests.npy",
        assignment="results/prepared/assignment.npy",
        codes="results/prepared/codes.npy",
        oos=expand("results/oos/{model}.csv", model=PREDICTORS),
        cells=lambda wildcards: all_cells(PREDICTORS, "cell.json"),
    output:
        scores=report("results/scores.csv", caption="../report/scores.rst", category="Scores"),
        comparison="results/comparison.csv",
        summary="results/summary.json",
    log:
        "logs/score_predictions/score_predictions.log",
    conda:
        "../envs/regfold.yaml"
    params:
        models=PREDICTORS,
        split=config["split"],
        compare=config["compare"],
        usage="benchmarks/score_predictions/score_predictions.tsv",
        code=code_digest("score_predictions"),
    script:
        "../scripts/score_predictions.py"
