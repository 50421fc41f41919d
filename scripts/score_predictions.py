"""Scores the out-of-sample predictions: a line per cell, and a summary of each model."""

import json
from pathlib import Path

from regfold import files
from regfold.results import metrics, predictions, scores_file
from regfold.runtime import lean, log


def main(snakemake) -> None:
    with log.job(snakemake.log[0]), lean.without("pandas"):
        schema = json.loads(Path(snakemake.input.schema).read_text(encoding="utf-8"))
        cells = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.cells]
        paths = {Path(path).stem: path for path in snakemake.input.oos}
        made = {model: predictions.read(paths[model], schema) for model in snakemake.params.models}
        lines = metrics.scores(schema["task"], made, cells)
        scores_file.write(snakemake.output.scores, lines)
        files.write_json(snakemake.output.summary, metrics.summary(schema, made, lines))


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
