"""The headline of the list `metrics`: by it strengths are chosen, and models ranked and compared."""

from collections.abc import Sequence

RMSES = ("rmse", "rmse_standardized")


def other_than_rmse(chosen: Sequence[str]) -> list[str]:
    """The first metric of the list, unless it is an RMSE, which decides where nothing is said.

    Args:
        chosen: the config's list.
    """
    return [name for name in chosen[:1] if name not in RMSES]
