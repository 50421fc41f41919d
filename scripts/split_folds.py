"""Decide which rows each fold tests, and write a description of each cell's rows to a file of its own."""

import os
from pathlib import Path

import numpy as np
from regfold import files
from regfold.data import row_weights
from regfold.data.prepare import expect_columns
from regfold.runtime import log, processors
from regfold.splits import split


def main(snakemake) -> None:
    """Write results/folds.csv, the assignment, and results/folds/<repeat>-<fold>.json."""
    with log.job(snakemake.log) as terminal:
        settings, output = snakemake.params.split, snakemake.output
        schema = files.read_json(snakemake.input.schema)
        expect_columns(schema, settings["by"])
        decided = split.decide(settings, Path(snakemake.input.schema).parent)
        if settings["metrics"]:
            _try_metrics(settings["metrics"], schema, Path(snakemake.input.schema).parent)
        if settings["builds"]:
            _try_builds(settings["builds"], decided, schema)
        split.write(decided, output.table, output.assignment, output.codes, output.folds)
        print(f"regfold: {split.sentence(settings['split']['method'], decided)}", file=terminal)


def _try_metrics(named: list[str], schema: dict, prepared: Path) -> None:
    from regfold.results import metrics  # imports scikit-learn, which only such a study needs here

    n_targets, n_outputs = len(schema["target"]), len(schema["classes"] or schema["target"])
    truth, weights = np.load(prepared / "target.npy"), row_weights.read(prepared)
    metrics.try_own(named, schema["task"], n_outputs, n_targets, truth, weights)


def _try_builds(builds: dict[str, dict], decided: split.Split, schema: dict) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    processors.load()
    from regfold.training import trial  # imports Keras, which only such a study needs here

    trial.try_builds(builds.values(), {cell["width"] for cell in decided.cells.values()}, schema)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
