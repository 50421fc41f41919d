"""train_fold: train one network, on one GPU if there is one, for each cell (model x repeat x fold).
refit_model: train one network on all rows, for each model with `refit`.

Input: the digests of the cell's rows (results/folds/<repeat>-<fold>.json), and the matrix, whose age is ignored
(`ancient`). A cell runs again if its rows or its `spec` changed: the model's settings, the code that trains, the library
versions. Output, under results/cells/<model>/<repeat>-<fold>/: the network, its history, its out-of-sample predictions,
and its metadata (cell.json). A refit writes to results/cells/<model>/refit/, without predictions; with early stopping it
depends on the folds' cells, which decide its epochs.
"""


rule train_fold:
    input:
        fold=fold_of,
        schema=ancient("<results>/prepared/schema.json"),
        features=ancient("<results>/prepared/features.npy"),
        target=ancient("<results>/prepared/target.npy"),
        weights=ancient("<results>/prepared/weights.npy"),
        digests=ancient("<results>/prepared/digests.npy"),
        assignment=ancient("<results>/prepared/assignment.npy"),
        codes=ancient("<results>/prepared/codes.npy"),
    output:
        cell="<results>/cells/{model}/{repeat}-{fold}/cell.json",
        model="<results>/cells/{model}/{repeat}-{fold}/model.keras",
        history="<results>/cells/{model}/{repeat}-{fold}/history.csv",
        predictions="<results>/cells/{model}/{repeat}-{fold}/predictions.npz",
    log:
        "<logs>/train_fold/{model}/{repeat}-{fold}.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/train_fold/{model}/{repeat}-{fold}.tsv",
    wildcard_constraints:
        model=one_of(MODELS),
    priority: 1  # before measure_importance, for which an idle worker would have to be stopped
    localrule: IN_GROUP
    conda:
        "../envs/regfold-gpu.yaml"
    threads: 1
    resources:
        gpu=1,
    params:
        spec=lambda wildcards: SPECIFICATIONS[wildcards.model],
    script:
        "../scripts/train_fold.py"


use rule train_fold as refit_model with:
    input:
        fold=all_rows,
        schema=ancient("<results>/prepared/schema.json"),
        features=ancient("<results>/prepared/features.npy"),
        target=ancient("<results>/prepared/target.npy"),
        weights=ancient("<results>/prepared/weights.npy"),
        digests=ancient("<results>/prepared/digests.npy"),
        assignment=ancient("<results>/prepared/assignment.npy"),
        codes=ancient("<results>/prepared/codes.npy"),
        cells=stopped_cells,
    output:
        cell="<results>/cells/{model}/refit/cell.json",
        model="<results>/cells/{model}/refit/model.keras",
        history="<results>/cells/{model}/refit/history.csv",
    log:
        "<logs>/refit_model/{model}.log",
        usage="<benchmarks>/refit_model/{model}.tsv",
