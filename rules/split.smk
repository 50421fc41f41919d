"""split_folds: decide which rows each fold tests.

Input: results/prepared/. Output: results/folds.csv for people; the assignment and the groups or times for the cells; and for each
(repeat, fold) one small file with the digests of its rows. Networks and metrics of the user's own are tried here. It is a checkpoint: Snakemake decides anew behind
it, by these files' contents, which cells have to run.
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
            # What else is checked before anything is trained: that there are such columns, own networks and metrics.
            "by": config["report"]["by"],
            "builds": identity.builds(SPECIFICATIONS),
            "metrics": config["metrics"],
            "functions": identity.functions(metrics.own(config["metrics"])),
            "code": code_digest("split_folds"),
        },
    script:
        "../scripts/split_folds.py"
