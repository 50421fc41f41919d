"""The programs that are timed against each other, each as a process of its own: programs.py PROGRAM TABLE.

plain    the teaching script as published, made to run: a Keras `fit` for each fold, one after the other
options  the same with jit_compile and steps_per_execution
sklearn  cross_val_predict with MLPClassifier, one process a core
"""

import argparse
import os
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Table:
    """A table and the network that is trained on it."""

    rows: int
    features: int
    classes: int
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int


TABLES = {
    "digits": Table(1797, 64, 10, (50, 25), 32, 500),
    "100000x100": Table(100_000, 100, 10, (64, 32), 256, 10),
    "200000x50": Table(200_000, 50, 10, (512, 256), 1024, 5),
}


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features, float32 (n, k), and class codes, (n,): scikit-learn's digits, or clouds of points."""
    if name == "digits":
        from sklearn.datasets import load_digits

        rows, truth = load_digits(return_X_y=True)
        return rows.astype(np.float32), truth
    table, generator = TABLES[name], np.random.default_rng(0)
    truth = generator.integers(table.classes, size=table.rows)
    centers = generator.standard_normal((table.classes, table.features)) * 0.5
    rows = centers[truth] + generator.standard_normal((table.rows, table.features))
    return rows.astype(np.float32), truth


def keras_network(table: Table):
    """The script's network: L1 on the activations of both hidden layers."""
    import keras

    network = keras.Sequential([keras.Input((table.features,))])
    for units in table.hidden:
        penalty = keras.regularizers.L1(1e-4)
        network.add(keras.layers.Dense(units, activation="relu", activity_regularizer=penalty))
    network.add(keras.layers.Dense(table.classes, activation="softmax"))
    return network


def run_keras(name: str, with_options: bool) -> float:
    """Cross-validate with `fit`; the pooled RMSE of the predictions."""
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import scale

    table = TABLES[name]
    rows, truth = load(name)
    rows, one_hot = scale(rows), np.eye(table.classes, dtype=np.float32)[truth]
    predicted = np.empty_like(one_hot)
    for train, test in KFold(5, shuffle=True, random_state=42).split(rows):
        network = keras_network(table)
        options = {}
        if with_options:
            options = {"jit_compile": True, "steps_per_execution": -(-len(train) // table.batch_size)}
        network.compile(loss="categorical_crossentropy", optimizer="adam", **options)
        network.fit(rows[train], one_hot[train], batch_size=table.batch_size, epochs=table.epochs, verbose=0)
        predicted[test] = network.predict(rows[test], verbose=0)
    return float(np.sqrt(np.mean((predicted - one_hot) ** 2)))


def run_sklearn(name: str) -> float:
    """Cross-validate scikit-learn's network of this shape, standardized in each fold; the pooled RMSE."""
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = TABLES[name]
    rows, truth = load(name)
    network = MLPClassifier(
        table.hidden,
        batch_size=table.batch_size,
        max_iter=table.epochs,
        n_iter_no_change=table.epochs,
        tol=0.0,
        random_state=42,
    )
    folds = KFold(5, shuffle=True, random_state=42)
    model = make_pipeline(StandardScaler(), network)
    predicted = cross_val_predict(model, rows, truth, cv=folds, n_jobs=os.cpu_count(), method="predict_proba")
    return float(np.sqrt(np.mean((predicted - np.eye(table.classes)[truth]) ** 2)))


def main() -> None:
    """Run one program and print its RMSE."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", choices=["plain", "options", "sklearn"])
    parser.add_argument("table", choices=TABLES)
    arguments = parser.parse_args()
    if arguments.program == "sklearn":
        rmse = run_sklearn(arguments.table)
    else:
        rmse = run_keras(arguments.table, arguments.program == "options")
    print(f"RMSE {rmse:.4f}")


if __name__ == "__main__":
    main()
