"""Measure how much worse a model's networks predict their held-out rows with each column shuffled."""

import os
from pathlib import Path

from regfold.runtime import log, processors, usage

# One thread on every machine, so that the last bit is the same everywhere.
THREADS = 1


def main(snakemake) -> None:
    """Write results/importance/<model>.csv."""
    params, cells = snakemake.params, [Path(path).parent for path in snakemake.input.cells]
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # GPUs multiply in lower precision (TF32)
        processors.start(THREADS)
        # Imported here, as threads must be set before TensorFlow starts.
        from regfold.results import networks
        from regfold.training import permutation_importance

        prepared, chosen = Path(snakemake.input.schema).parent, {}
        if params.select:
            from regfold.results import oos, paths  # with pandas and scikit-learn

            table = oos.read_prepared(prepared)
            of_path = paths.read_cells(table, cells)
            chosen = paths.choose(table, of_path, params.select, params.chosen_by["metrics"]).chosen
        out = Path(snakemake.output.importance)
        permutation_importance.measure(
            networks.of_cells(cells, chosen), prepared, params.split, params.number, out
        )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
