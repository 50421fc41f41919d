"""Write features.csv: 50 columns of noise, of which x1 to x5 decide y; uv run python make_table.py."""

from pathlib import Path

import numpy as np
import pandas as pd

random = np.random.default_rng(4)
x = random.normal(size=(600, 50)).round(3)
y = 2 * x[:, 0] - 1.5 * x[:, 1] + x[:, 2] + 2 * np.tanh(2 * x[:, 3]) + 2 * np.exp(x[:, 4] / 2)
table = pd.DataFrame(x, columns=[f"x{i}" for i in range(1, 51)])
table["y"] = (y + 0.5 * random.normal(size=600)).round(3)
table.to_csv(Path(__file__).with_name("features.csv"), index=False)
