"""Score the out-of-sample predictions: per cell, model, level, pair of models, row and column."""

from pathlib import Path

from regfold import files
from regfold.data.write_text import write_frame
from regfold.results import (
    by_level,
    importance,
    metrics,
    paths,
    predictions,
    rows,
    scores,
    seeds,
    training_rows,
)
from regfold.runtime import log, usage


def main(snakemake) -> None:
    """Write results/scores.csv, scores_by.csv, comparison.csv, rows.csv, importance.csv, summary.json."""
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        schema = files.read_json(snakemake.input.schema)
        cells = [files.read_json(path) for path in snakemake.input.cells]
        oos_of = {Path(path).stem: path for path in snakemake.input.oos}
        oos = {model: predictions.read(oos_of[model], schema) for model in snakemake.params.models}
        split = snakemake.params.split
        known = training_rows.known(Path(snakemake.input.schema).parent, split)
        groups = predictions.groups(snakemake.input.oos[0], split)
        chosen = metrics.reported(schema["task"], len(schema["target"]), snakemake.params.metrics)
        table = scores.table(schema, oos, cells, chosen)
        scores.write(snakemake.output.scores, table)
        path_models = paths.path_models(snakemake.params.selects, snakemake.input.path_predictions, cells)
        rope = snakemake.params.compare["rope"]
        of_seeds = seeds.of_cells(schema, oos, cells)
        summary = scores.summary(
            schema, oos, table, known, split, groups, rope, path_models, chosen, of_seeds
        )
        scores.write_comparison(snakemake.output.comparison, summary)
        levels = by_level.of_columns(snakemake.input.oos[0], **snakemake.params.by)
        by = by_level.table(schema, oos, table, levels, split["method"], groups, chosen)
        write_frame(by, snakemake.output.scores_by)
        features, measured = snakemake.input.features, snakemake.input.measured
        columns = importance.table(measured, table, features, schema, split["method"])
        write_frame(columns, snakemake.output.importance)
        rows.write(snakemake.output.rows, rows.table(schema, oos, snakemake.params.coverage))
        files.write_json(snakemake.output.summary, summary)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
