"""Predict the rows of a new table with every model of the study."""

import os
from pathlib import Path

from regfold.runtime import log, processors


def main(snakemake) -> None:
    """Write results/predictions/<model>.csv once the predictions of all models are computed."""
    from regfold.data import table

    params = snakemake.params
    with log.job(snakemake.log) as terminal:
        new = table.read(params.new_data, params.missing, **params.form)
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # GPUs multiply in lower precision (TF32)
        processors.load()
        from regfold.results import new_rows  # imports Keras, which `load` has to do first

        predicted = new_rows.predict(
            [Path(folder) for folder in snakemake.input.models],
            new,
            note=lambda line: print(f"regfold: {line}", file=terminal),
        )
        for line in new_rows.write(predicted, new, params.results / "predictions"):
            print(f"regfold: {line}", file=terminal)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821 (Snakemake defines it)
