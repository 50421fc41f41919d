"""What the teaching script does on the penguins: its numbers in docs/from-the-script.md.

Run by hand, two minutes on an idle core: uv run python tests/benchmarks/teaching_script.py
"""

import os
import time
import warnings
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}

import keras
import numpy as np
import pandas as pd
from keras import layers, regularizers
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier

TABLE = Path(__file__).parents[2] / "data" / "penguins.csv"


def encoded(frame: pd.DataFrame, known: np.ndarray) -> np.ndarray:
    """Medians, dummies and z-scores, float32 (n, width), with the statistics of some rows, bool (n,)."""
    features = frame.drop(columns="species")
    numbers = features.select_dtypes("number")
    numbers = numbers.fillna(numbers[known].median())
    numbers = (numbers - numbers[known].mean()) / numbers[known].std(ddof=0)
    dummies = pd.get_dummies(features.select_dtypes(exclude="number"), dummy_na=True, dtype=float)
    return pd.concat([numbers, dummies], axis=1).to_numpy(np.float32)


def folds(n_rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(KFold(5, shuffle=True, random_state=42).split(np.empty(n_rows)))


def rmse(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((prediction - truth) ** 2)))


def the_script(frame: pd.DataFrame, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The script's loop: its predictions in the order of the folds, and each row's own, (n, classes)."""
    rows = encoded(frame, np.ones(len(frame), bool))
    glued, own = [], np.empty_like(truth)
    for training, tested in folds(len(truth)):
        model = keras.Sequential(
            [
                layers.Input((rows.shape[1],)),
                layers.Dense(50, "relu", activity_regularizer=regularizers.l1(1e-4)),
                layers.Dense(25, "relu", activity_regularizer=regularizers.l1(1e-4)),
                layers.Dense(truth.shape[1], "softmax"),
            ]
        )
        model.compile("adam", "categorical_crossentropy")
        model.fit(rows[training], truth[training], batch_size=32, epochs=500, verbose=0)
        own[tested] = model.predict(rows[tested], verbose=0)
        glued.append(own[tested])
    return np.concatenate(glued), own


def with_statistics_of(frame: pd.DataFrame, truth: np.ndarray, leak: bool, seed: int) -> float:
    """The final RMSE of scikit-learn's network of this shape, whose seed decides all but the statistics."""
    own = np.empty_like(truth)
    for training, tested in folds(len(truth)):
        rows = encoded(frame, np.isin(np.arange(len(frame)), training) | leak)
        model = MLPClassifier(
            (50, 25), batch_size=32, max_iter=500, tol=0, n_iter_no_change=500, random_state=seed
        )
        with warnings.catch_warnings(action="ignore"):  # that it has not converged
            model.fit(rows[training], truth[training].argmax(axis=1))
        own[tested] = model.predict_proba(rows[tested])
    return rmse(own, truth)


def orders(seed: int | None) -> int:
    """In how many different orders Keras' fit visits 20 rows in 5 epochs."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model, seen = keras.Sequential([layers.Input((1,)), layers.Dense(1)]), []
    model.compile("sgd", "mse", run_eagerly=True)
    step = model.train_step

    def watched(data):
        seen.append(float(data[0][0, 0]))
        return step(data)

    model.train_step = watched
    rows = np.arange(20, dtype=np.float32)[:, None]
    model.fit(rows, rows, batch_size=1, epochs=5, verbose=0)
    return len({tuple(seen[start : start + 20]) for start in range(0, 100, 20)})


def main() -> None:
    """Print the numbers."""
    frame = pd.read_csv(TABLE)
    labels = np.array(sorted(frame["species"].unique()))
    truth = (frame["species"].to_numpy()[:, None] == labels).astype(np.float64)
    for seed in (None, 42):
        print(f"Keras' seed {seed}: {orders(seed)} orders of the rows in 5 epochs")
    for seed in range(3):
        leaking, honest = (with_statistics_of(frame, truth, leak, seed) for leak in (True, False))
        print(f"statistics, seed {seed}: of all rows {leaking:.5f}, of the training rows {honest:.5f}")
    begun = time.process_time()
    glued, own = the_script(frame, truth)
    n_own = int(np.all(glued == own, axis=1).sum())
    print(f"the script, {time.process_time() - begun:.0f} s of processor time: RMSE {rmse(own, truth):.5f}")
    print(f"its CSV: RMSE {rmse(glued, truth):.5f}; {n_own} of {len(own)} rows carry their own prediction")


if __name__ == "__main__":
    main()
