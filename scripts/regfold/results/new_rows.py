"""The target `predict`: predict the rows of a new table with every model of a study."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regfold.data.table import Table
from regfold.data.write_text import write_csv
from regfold.errors import RegfoldError, quote
from regfold.formatting import counted
from regfold.results import predictor


def predict(
    folders: Sequence[Path], table: Table, note: Callable[[str], object]
) -> dict[str, dict[str, np.ndarray]]:
    """Predict new rows with saved models of one study.

    Args:
        folders: the models' folders, under results/models/.
        table: the new rows, with the study's feature columns in any order.
        note: called with each line of notes for the user.

    Returns:
        model -> the columns to write after the table's own, see Predictor.predict.

    Raises:
        RegfoldError: if a column is missing, is of another type than in the study's table, or has the name of
            a prediction's column; or a saved model is damaged.
    """
    features, predicted = None, {}
    for model in map(predictor.load, folders):
        name, schema = model.metadata["model"], model.metadata["schema"]
        if features is None:  # all models of a study take the same columns
            written = predictor.column_names(schema, model.with_bounds)
            if taken := next((column for column in written if column in table), None):
                where = f"{table.path}: column {quote(taken)}"
                raise RegfoldError(f"{where} has the name of a column that is written; rename it")
            features = model.encode(table, note)
        for flag in model.metadata["flags"]:
            note(f"model {name}, refit: {flag}")
        predicted[name] = model.predict_encoded(features)
        # Only the predictions: intervals are infinite if the study has few rows.
        first = 1 if schema["classes"] else 0
        values = list(predicted[name].values())[first : first + len(schema["classes"] or schema["target"])]
        if not np.isfinite(values).all():
            note(f"model {name}: predictions are not finite, as a network diverged")
    return predicted


def write(predicted: dict[str, dict[str, np.ndarray]], table: Table, folder: Path) -> list[str]:
    """Write <model>.csv for each model: the new table's own columns, cell for cell, then the predictions.

    Returns:
        a line for each file, for the terminal.
    """
    own = {name: pc.fill_null(table.text[name], "") for name in table.names}
    lines = []
    for model, columns in predicted.items():
        path = folder / f"{model}.csv"
        write_csv(pa.table(own | {name: pa.array(v).cast(pa.string()) for name, v in columns.items()}), path)
        lines.append(f"{path}: {counted(len(table), 'row')} predicted")
    return lines
