"""prepare_data: read the table once, check it against the config, and encode it for all cells.

Input: the table (data.path). Output, under results/prepared/: the table as text, the float32 matrix, the truth, weight,
content digest and name of each row, and the schema.
"""


rule prepare_data:
    input:
        table,
    output:
        table="<results>/prepared/table.parquet",
        features="<results>/prepared/features.npy",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
        digests="<results>/prepared/digests.npy",
        rows="<results>/prepared/rows.parquet",
        schema="<results>/prepared/schema.json",
    log:
        "<logs>/prepare_data/prepare_data.log",
    benchmark:
        "<benchmarks>/prepare_data/prepare_data.tsv"
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        # A function, since another rule may make the table.
        data=lambda wildcards: {
            "data": config["data"],
            "table": identity.stamp(config["data"]["path"]),
            "split_column": config["split"]["column"],
            "with_class_weight": [m for m in MODELS if config["models"][m]["training"]["class_weight"]],
            "losses": {
                m: loss for m in MODELS if (loss := config["models"][m]["training"]["loss"]) != "auto"
            },
            "code": code_digest("prepare_data"),
        },
    script:
        "../scripts/prepare_data.py"
