"""Join a model's out-of-sample predictions to their own rows."""

from pathlib import Path

from regfold.data.write_text import write_csv
from regfold.results import oos
from regfold.runtime import log, usage


def main(snakemake) -> None:
    """Write results/oos/<model>.csv, after the row contract is checked."""
    with log.job(snakemake.log), usage.recorded(snakemake.log.usage):
        prepared = oos.read_prepared(Path(snakemake.input.table).parent)
        cells = oos.read_cells(prepared, [Path(path).parent for path in snakemake.input.cells])
        write_csv(oos.merge(prepared, cells), snakemake.output.oos)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
