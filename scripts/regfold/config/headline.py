"""The headline: the first entry of `metrics`, which chooses strengths and ranks and compares models."""

from collections.abc import Sequence

RMSES = ("rmse", "rmse_standardized")


def other_than_rmse(chosen: Sequence[str]) -> list[str]:
    """The headline, in a list; empty where that is an RMSE, the default.

    Args:
        chosen: the config's list `metrics`.
    """
    return [name for name in chosen[:1] if name not in RMSES]
