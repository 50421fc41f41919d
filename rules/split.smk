"""split_folds: decide which rows each fold tests.

Input: results/prepared/. Output: results/folds.csv for users; the assignment, and the groups or times, for the cells;
and for each (repeat, fold) a small file with the digests of its rows. It is a checkpoint: after it, Snakemake decides by
the contents of these files which cells have to run. User-defined networks and metrics are tried here, before any training.
"""


checkpoint split_folds:
    input:
        schema="<results>/prepared/schema.json",
        rows="<results>/prepared/rows.parquet",
        table="<results>/prepared/table.parquet",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
        digests="<results>/prepared/digests.npy",
        features="<results>/prepared/features.npy",
        file=file_of_user(config["split"]["file"]),
    output:
        table="<results>/folds.csv",
        assignment="<results>/prepared/assignment.npy",
        codes="<results>/prepared/codes.npy",
        folds=directory("<results>/folds"),
    log:
        "<logs>/split_folds/split_folds.log",
    benchmark:
        "<benchmarks>/split_folds/split_folds.tsv"
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        split=lambda wildcards: {
            "split": config["split"],
            "file": identity.stamp(config["split"]["file"]),
            "missing": config["data"]["missing"],
            # Also checked before anything is trained: the columns of report.by, user-defined networks and metrics.
            "by": config["report"]["by"],
            "builds": identity.builds(SPECIFICATIONS),
            "metrics": config["metrics"],
            "functions": identity.functions(metrics.own(config["metrics"])),
            "code": code_digest("split_folds"),
        },
    script:
        "../scripts/split_folds.py"
