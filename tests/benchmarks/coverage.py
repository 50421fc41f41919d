"""How often the 95 % intervals of the RMSE cover, with quick learners on simulated tables.

    python tests/benchmarks/coverage.py [--tables 500]

Prints the table of docs/statistics.md. Each simulated table is cross-validated with 5 folds, by ridge
regression and by a tree. The truth is the RMSE on fresh rows whose noise is known, ten for each row of the
table and at least 2,000: that of the very models of the folds ("these"), and its mean over tables ("such").
Beside the interval as shipped stand, for one cross-validation, both estimators of Bayle et al. (2020), to
show where they need more rows.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.tree import DecisionTreeRegressor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from regfold.results import intervals  # noqa: E402
from regfold.results.intervals import Estimate, from_rows, of_mean  # noqa: E402
from regfold.results.metrics import RMSE  # noqa: E402

FOLDS = 5
LEARNERS = {
    "ridge": lambda: Ridge(1.0),
    "tree": lambda: DecisionTreeRegressor(min_samples_leaf=5, random_state=0),
}


def linear(x: np.ndarray) -> np.ndarray:
    return x[:, :5].sum(axis=1)


def friedman(x: np.ndarray) -> np.ndarray:
    """The function of sklearn.datasets.make_friedman1, features and values scaled to about 0 and 1."""
    u = (np.tanh(x) + 1) / 2
    return 2 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 4 * (u[:, 2] - 0.5) ** 2 + 2 * u[:, 3] + u[:, 4]


@dataclass(frozen=True)
class Process:
    """Where tables come from: y = function(x) + noise, with 10 standard normal features.

    Args:
        function: of the features (n, 10).
        noise: draws n values of variance 1.
        group: rows of one group, which share half of the noise's variance.
    """

    function: Callable[[np.ndarray], np.ndarray]
    noise: Callable[[np.random.Generator, int], np.ndarray]
    group: int = 1

    def table(self, random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, target and groups of n rows."""
        x, groups = random.standard_normal((n, 10)), np.arange(n) // self.group
        noise = self.noise(random, n)
        if self.group > 1:
            noise = (noise + self.noise(random, n)[groups]) / np.sqrt(2)
        return x, self.function(x) + noise, groups


def normal(random: np.random.Generator, n: int) -> np.ndarray:
    return random.standard_normal(n)


def heavy(random: np.random.Generator, n: int) -> np.ndarray:
    """Student's t with 8 degrees of freedom."""
    return random.standard_t(8, n) / np.sqrt(8 / 6)


PROCESSES = {
    "linear": Process(linear, normal),
    "Friedman": Process(friedman, normal),
    "Friedman, heavy tails": Process(friedman, heavy),
    "linear, groups of 5": Process(linear, normal, group=5),
}


def simulate(process: Process, learner: str, n: int, repeats: int, tables: int) -> tuple[str, dict]:
    """The shipped method; for each interval the shares that cover these and such models, and its width."""
    random = np.random.default_rng([n, repeats])
    bounds: dict[str, list] = {}
    truths = np.empty(tables)
    for table in range(tables):
        x, y, groups = process.table(random, n)
        fresh = random.standard_normal((max(2_000, 10 * n), 10))
        losses, within, true = [], [], []
        for repeat in range(repeats):
            splitter = GroupKFold if process.group > 1 else KFold
            split = splitter(FOLDS, shuffle=True, random_state=table * repeats + repeat)
            for train, test in split.split(x, groups=groups if process.group > 1 else None):
                model = LEARNERS[learner]().fit(x[train], y[train])
                losses.append((test, np.square(model.predict(x[test]) - y[test])))
                within.append(losses[-1][1].var(ddof=1))
                true.append(1 + np.mean(np.square(model.predict(fresh) - process.function(fresh))))
        truths[table] = np.mean(true)
        rows, errors = (np.concatenate(part) for part in zip(*losses, strict=True))
        n_test = np.array([len(test) for test, _ in losses])
        means = np.array([part.mean() for _, part in losses])
        shipped = of_mean(RMSE, errors, groups[rows], means, n_test, n - n_test, repeats, "kfold")
        bounds.setdefault("shipped", []).append((shipped.low, shipped.high))
        if repeats == 1:
            bounds.setdefault("all pairs", []).append(intervals.bounds(from_rows(errors, groups[rows]), RMSE))
            bayle = Estimate(errors.mean(), np.sqrt(np.mean(within) / n), n - 1)
            bounds.setdefault("within fold", []).append(intervals.bounds(bayle, RMSE))
    these, such = np.sqrt(truths), np.sqrt(truths.mean())
    shares = {}
    for name, pairs in bounds.items():
        low, high = np.array(pairs).T
        covers = [float(np.mean((low <= truth) & (truth <= high))) for truth in (these, such)]
        shares[name] = (*covers, float(np.mean(high - low) / such))
    return shipped.method.partition(";")[0], shares


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tables", type=int, default=500, help="simulated tables for each line")
    tables = parser.parse_args().tables
    print("| table | learner | rows | repeats | interval | these | such | width | all pairs | within fold |")
    print("|---" * 10 + "|")
    for name, process in PROCESSES.items():
        for learner in LEARNERS:
            for n, repeats in [(50, 1), (50, 5), (200, 1), (200, 5), (1_000, 1), (1_000, 5), (5_000, 1)]:
                method, shares = simulate(process, learner, n, repeats, tables)
                these, such, width = shares["shipped"]
                cells = [name, learner, f"{n:,}", str(repeats), method]
                cells += [percent(these), percent(such), f"{100 * width:.0f} %"]
                for other in ("all pairs", "within fold"):
                    cells.append(", ".join(map(percent, shares[other][:2])) if other in shares else "")
                print("| " + " | ".join(cells) + " |", flush=True)


def percent(share: float) -> str:
    """As a percentage; set in bold where it is not between 92 and 98."""
    text = f"{100 * share:.1f}"
    return text if 0.92 <= share <= 0.98 else f"**{text}**"


if __name__ == "__main__":
    main()
