"""Renders the report: one self-contained page, and its charts as SVG and PNG."""


def main(snakemake) -> None:
    """Write results/report.html and results/figures/."""
    from regfold.report.renderer import Renderer
    from regfold.runtime import log, usage

    with log.job(snakemake.log), usage.recorded(snakemake.log.usage), Renderer() as renderer:
        from regfold.report import page  # with Altair, while the renderer starts
        from regfold.results import study  # with pandas, while the renderer starts

        found = study.read(
            models=snakemake.params.models,
            split=snakemake.params.split,
            schema=snakemake.input.schema,
            scores=snakemake.input.scores,
            summary=snakemake.input.summary,
            oos=snakemake.input.oos,
            scores_by=snakemake.input.scores_by,
            importance=snakemake.input.importance,
            rows=snakemake.input.rows,
            cells=snakemake.input.cells,
            histories=snakemake.input.histories,
            paths=snakemake.input.paths,
            networks=snakemake.input.networks,
        )
        page.write(found, renderer, snakemake.output.report, snakemake.output.figures)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
