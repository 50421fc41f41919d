"""fit_baseline: scikit-learn's estimator for each cell of a baseline (baseline x repeat x fold).

Input as for train_fold: the digests of the cell's rows, and the matrix as `ancient`. A cell runs again when its
rows or its `spec` changed: the kind of baseline, the code that fits it, the version of scikit-learn. Output,
under results/cells/<baseline>/<repeat>-<fold>/: the predictions of the held-out rows, and cell.json.
"""


rule fit_baseline:
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
        predictions="<results>/cells/{model}/{repeat}-{fold}/predictions.npz",
    log:
        "<logs>/fit_baseline/{model}/{repeat}-{fold}.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/fit_baseline/{model}/{repeat}-{fold}.tsv",
    wildcard_constraints:
        model=one_of(BASELINES),
    localrule: IN_GROUP
    conda:
        "../envs/regfold.yaml"
    threads: 1
    params:
        spec=lambda wildcards: SPECIFICATIONS[wildcards.model],
    script:
        "../scripts/fit_baseline.py"
