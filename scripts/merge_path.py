"""Choose a strength of a model with a path, and join its out-of-sample predictions to their own rows."""

from pathlib import Path

from regfold.data.write_text import write_csv
from regfold.results import oos, paths
from regfold.runtime import log, usage


def main(snakemake) -> None:
    """Write results/oos/<model>.csv, results/oos_path/<model>.parquet and results/path/<model>.csv."""
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        params = snakemake.params
        prepared = oos.read_prepared(Path(snakemake.input.table).parent)
        cells = paths.read_cells(prepared, [Path(path).parent for path in snakemake.input.cells])
        choice = paths.choose(prepared, cells, params.select, params.chosen_by["metrics"])
        write_csv(paths.merge(prepared, cells, choice), snakemake.output.oos)
        paths.write_predictions(snakemake.output.predictions, paths.predictions(prepared, cells))
        paths.write_table(snakemake.output.path, choice.table)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
