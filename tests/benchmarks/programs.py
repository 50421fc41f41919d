"""The programs that are timed against each other, a process each: programs.py PROGRAM TABLE FILE.

They do the same work as regfold: read the table's file, cross-validate each model, write the table beside the
out-of-sample predictions as oos_<model>.csv, and print the RMSE.

plain    the teaching script as published, made to run: a Keras `fit` for each fold, one after the other
options  the same with jit_compile and steps_per_execution
sklearn  cross_val_predict with MLPClassifier, one process a core
"""

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

L1 = {"l1": {"activity": {"l1": 1e-4}}}


@dataclass(frozen=True)
class Table:
    """A table, the network that is trained on it, and how often.

    Attributes:
        models: name -> the model's penalty, as in config.yaml.
    """

    rows: int
    features: int
    classes: int
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int
    target: str = "target"
    repeats: int = 1
    models: dict = field(default_factory=lambda: L1)


FOUR = {
    "plain": {},
    "l2": {"kernel": {"l2": 1e-3}},
    "dropout": {"dropout": 0.2},
    "l1": {"activity": {"l1": 1e-4}},
}
TABLES = {
    "penguins": Table(344, 10, 3, (50, 25), 32, 200, "species", 3, FOUR),
    "digits": Table(1797, 64, 10, (50, 25), 32, 500),
    "100000x100": Table(100_000, 100, 10, (64, 32), 256, 10),
    "200000x50": Table(200_000, 50, 10, (512, 256), 1024, 5),
}
PENGUINS = Path(__file__).parents[2] / "data" / "penguins.csv"


def write_table(name: str, folder: Path) -> Path:
    """Write the table's file: the penguins, scikit-learn's digits, or clouds of points."""
    if name == "penguins":
        path = folder / "penguins.csv"
        path.write_bytes(PENGUINS.read_bytes())
        return path
    rows, truth = load(name)
    frame = pd.DataFrame(rows, columns=[f"x{j}" for j in range(rows.shape[1])]).assign(target=truth)
    path = folder / ("table.csv" if name == "digits" else "table.parquet")
    frame.to_csv(path, index=False) if name == "digits" else frame.to_parquet(path)
    return path


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features, float32 (n, k), and class codes, (n,), of digits or of clouds of points."""
    if name == "digits":
        from sklearn.datasets import load_digits

        rows, truth = load_digits(return_X_y=True)
        return rows.astype(np.float32), truth
    table, generator = TABLES[name], np.random.default_rng(0)
    truth = generator.integers(table.classes, size=table.rows)
    centers = generator.standard_normal((table.classes, table.features)) * 0.5
    rows = centers[truth] + generator.standard_normal((table.rows, table.features))
    return rows.astype(np.float32), truth


def read(path: Path, target: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The table, its features, float32 (n, k), imputed and one-hot encoded, and its class codes, (n,)."""
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    features = pd.get_dummies(frame.drop(columns=target), dtype=np.float32)
    features = features.fillna(features.median()).to_numpy(np.float32)
    return frame, features, frame[target].astype("category").cat.codes.to_numpy().astype(int)


def write_predictions(model: str, frames: list[pd.DataFrame]) -> None:
    """Write a model's out-of-sample predictions of all repeats."""
    pd.concat(frames).to_csv(f"oos_{model}.csv", index=False)


def keras_network(table: Table, penalty: dict | None = None):
    """The script's network, with a model's penalty."""
    import keras

    penalty = penalty if penalty is not None else next(iter(table.models.values()))
    regularizers = {
        f"{part}_regularizer": keras.regularizers.L1L2(**penalty[part])
        for part in ("kernel", "activity")
        if part in penalty
    }
    network = keras.Sequential([keras.Input((table.features,))])
    for units in table.hidden:
        network.add(keras.layers.Dense(units, activation="relu", **regularizers))
        if "dropout" in penalty:
            network.add(keras.layers.Dropout(penalty["dropout"]))
    network.add(keras.layers.Dense(table.classes, activation="softmax"))
    return network


def run_keras(table: Table, path: Path, with_options: bool) -> float:
    """Cross-validate with `fit`; the pooled RMSE of the last model's predictions."""
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import scale

    frame, rows, truth = read(path, table.target)
    rows, one_hot = scale(rows), np.eye(table.classes, dtype=np.float32)[truth]
    for name, penalty in table.models.items():
        parts, errors = [], []
        for repeat in range(table.repeats):
            predicted = np.empty_like(one_hot)
            for train, test in KFold(5, shuffle=True, random_state=42 + repeat).split(rows):
                network = keras_network(table, penalty)
                options = {}
                if with_options:
                    steps = -(-len(train) // table.batch_size)
                    options = {"jit_compile": True, "steps_per_execution": steps}
                network.compile(loss="categorical_crossentropy", optimizer="adam", **options)
                sizes = {"batch_size": table.batch_size, "epochs": table.epochs}
                network.fit(rows[train], one_hot[train], **sizes, verbose=0)
                predicted[test] = network.predict(rows[test], verbose=0)
            errors.append((predicted - one_hot) ** 2)
            parts.append(pd.concat([frame, pd.DataFrame(predicted)], axis=1))
        write_predictions(name, parts)
    return float(np.sqrt(np.mean(errors)))


def run_sklearn(table: Table, path: Path) -> float:
    """Cross-validate scikit-learn's network of this shape, standardized in each fold; the pooled RMSE."""
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, rows, truth = read(path, table.target)
    for index, name in enumerate(table.models):
        network = MLPClassifier(
            table.hidden,
            alpha=10.0 ** (index - 5),  # the penalty that it has; its strength costs no time
            batch_size=table.batch_size,
            max_iter=table.epochs,
            n_iter_no_change=table.epochs,
            tol=0.0,
            random_state=42,
        )
        parts, errors = [], []
        for repeat in range(table.repeats):
            folds = KFold(5, shuffle=True, random_state=42 + repeat)
            model = make_pipeline(StandardScaler(), network)
            settings = {"cv": folds, "n_jobs": os.cpu_count(), "method": "predict_proba"}
            predicted = cross_val_predict(model, rows, truth, **settings)
            errors.append((predicted - np.eye(table.classes)[truth]) ** 2)
            parts.append(pd.concat([frame, pd.DataFrame(predicted)], axis=1))
        write_predictions(name, parts)
    return float(np.sqrt(np.mean(errors)))


def main() -> None:
    """Run one program and print its RMSE."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", choices=["plain", "options", "sklearn"])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    table = TABLES[arguments.table]
    if arguments.program == "sklearn":
        rmse = run_sklearn(table, arguments.file)
    else:
        rmse = run_keras(table, arguments.file, arguments.program == "options")
    print(f"RMSE {rmse:.4f}")


if __name__ == "__main__":
    main()
