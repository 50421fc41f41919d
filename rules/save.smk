"""save_model: save a model to a folder that predicts from raw columns without Snakemake.

Input: the encoded table and the model's cells. Output: results/models/<model>/, which regfold.load reads: copies of the
networks, the encoding, the scores for prediction intervals, and a README.
"""


rule save_model:
    input:
        schema="<results>/prepared/schema.json",
        table="<results>/prepared/table.parquet",
        rows="<results>/prepared/rows.parquet",
        target="<results>/prepared/target.npy",
        weights="<results>/prepared/weights.npy",
        digests="<results>/prepared/digests.npy",
        assignment="<results>/prepared/assignment.npy",
        cells=lambda wildcards: all_cells([wildcards.model], *CELL_FILES),
        refit=lambda wildcards: refit_files([wildcards.model]),
    output:
        model=directory("<results>/models/{model}"),
    log:
        "<logs>/save_model/{model}.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/save_model/{model}.tsv",
    wildcard_constraints:
        model=one_of(MODELS),
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        settings=lambda wildcards: {
            "missing": config["data"]["missing"],
            "method": config["split"]["method"],
            "coverage": config["predict"]["coverage"],
            "refit": config["models"][wildcards.model]["refit"],
            "build": config["models"][wildcards.model]["network"]["build"],
            "loss": config["models"][wildcards.model]["training"]["loss"],
            "select": SELECTS.get(wildcards.model),
        },
        chosen_by=chosen_by,
        code=code_digest("save_model"),
    script:
        "../scripts/save_model.py"
