"""Measure how much worse a model's networks predict their held-out rows with each column shuffled."""

import os
from pathlib import Path

from regfold.runtime import log, processors, usage

# Threads: one, wherever it runs, so that the last bit is the same everywhere.
POOL = 1


def main(snakemake) -> None:
    """Write results/importance/<model>.csv."""
    params, cells = snakemake.params, [Path(path).parent for path in snakemake.input.cells]
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU multiplies with fewer digits
        processors.start(POOL)
        # Imported here: TensorFlow must find its threads decided.
        from regfold.results import networks
        from regfold.training import permutation_importance

        prepared, chosen = Path(snakemake.input.schema).parent, {}
        if params.select:
            from regfold.results import oos, paths  # with pandas and scikit-learn

            of_path = oos.read_prepared(prepared)
            own = paths.read_cells(of_path, cells)
            chosen = paths.choose(of_path, own, params.select, params.chosen_by["metrics"]).chosen
        found = networks.of_cells(cells, chosen)
        out = Path(snakemake.output.importance)
        permutation_importance.measure(found, prepared, params.split, params.number, out)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
