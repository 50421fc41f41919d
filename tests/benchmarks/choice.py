"""How optimistic the chosen strength's score is, and what the corrections make of it: for docs/paths.md.

    uv run python tests/benchmarks/choice.py

Each table is 200 matrices of squared errors, rows x 50 strengths, whose true means are known.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from regfold.results.choice import bootstrap_bias_corrected, path_scores, tibshirani_corrected

TABLES, STRENGTHS, FOLDS = 200, np.geomspace(1e-4, 1, 50), 5
FAR = np.abs(np.linspace(-1, 1, len(STRENGTHS)))
# Standard deviation of the predictions' errors at each strength, and whether neighbours predict alike.
KINDS = {
    "noise: no strength is better": (np.full_like(FAR, 0.5), False),
    "a U curve": (0.3 + 1.2 * FAR**1.5, False),
    "neighbours predict alike": (np.full_like(FAR, 0.5), True),
}


def errors(kind: str, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors (n, strengths) of a target of variance 1, and their true means (strengths,)."""
    deviation, alike = KINDS[kind]
    own = random.standard_normal((n, len(deviation)))
    if alike:
        own = np.cumsum(own, axis=1) / np.sqrt(np.arange(1, len(deviation) + 1))
    return np.square(random.standard_normal((n, 1)) - deviation * own), 1 + np.square(deviation)


def main() -> None:
    """Print a line for each kind of table, number of rows and rule."""
    print("| table | rows | select | naive | BBC-CV | Tibshirani | BBC-CV's interval covers |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for n in (100, 400):
            for select in ("min", "one_se"):
                biases, covered = _simulate(kind, n, select)
                shown = " | ".join(f"{100 * bias:+.1f} %" for bias in biases)
                print(f"| {kind} | {n} | {select} | {shown} | {100 * covered:.1f} % |", flush=True)


def _simulate(kind: str, n: int, select: str) -> tuple[np.ndarray, float]:
    """Mean bias of the three scores relative to the true mean squared error, and the interval's coverage."""
    random, cells, found, covered = np.random.default_rng(1), np.arange(n) % FOLDS, [], []
    for seed in range(TABLES):
        losses, truth = errors(kind, n, random)
        chosen = int(path_scores(losses, cells, STRENGTHS, FOLDS)[f"is_{select}"].argmax())
        corrected = bootstrap_bias_corrected(losses, np.arange(n), cells, STRENGTHS, FOLDS, select, seed)
        mse = losses[:, chosen].mean(), corrected.score**2, tibshirani_corrected(losses, cells, chosen) ** 2
        found.append(np.array(mse) / truth[chosen] - 1)
        covered.append(corrected.low**2 <= truth[chosen] <= corrected.high**2)
    return np.mean(found, axis=0), float(np.mean(covered))


if __name__ == "__main__":
    main()
