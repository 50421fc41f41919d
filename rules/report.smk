"""render_report: one self-contained page of all results.

Input: scores, predictions, and the cells' metadata, histories and networks. Output: results/report.html, and its
charts as SVG and PNG under results/figures/.
"""


rule render_report:
    input:
        schema="<results>/prepared/schema.json",
        scores="<results>/scores.csv",
        summary="<results>/summary.json",
        oos=expand("<results>/oos/{model}.csv", model=PREDICTORS),
        scores_by="<results>/scores_by.csv",
        importance="<results>/importance.csv",
        rows="<results>/rows.csv",
        paths=expand("<results>/path/{model}.csv", model=SELECTS),
        cells=lambda wildcards: all_cells(PREDICTORS, "cell.json"),
        histories=lambda wildcards: all_cells(MODELS, "history.csv"),
        networks=lambda wildcards: all_cells(MODELS, "model.keras"),
    output:
        report=report("<results>/report.html", caption="../report/report.rst", category="Report"),
        figures=report(
            directory("<results>/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        "<logs>/render_report/render_report.log",
        # In place of `benchmark:`, which sees nothing of what a worker does.
        usage="<benchmarks>/render_report/render_report.tsv",
    localrule: True
    conda:
        "../envs/regfold.yaml"
    params:
        models=PREDICTORS,
        split=config["split"],
        code=code_digest("render_report"),
    script:
        "../scripts/render_report.py"
