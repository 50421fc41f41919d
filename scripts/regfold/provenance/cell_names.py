"""The names of cells: (repeat, fold), both from 1, or the refit, which is trained on all rows."""

REFIT = (0, 0)


def name(repeat: int, fold: int) -> str:
    """A cell's name in files and folders: `2-4`, or `refit`."""
    return "refit" if (repeat, fold) == REFIT else f"{repeat}-{fold}"


def words(repeat: int, fold: int) -> str:
    """A cell's name in a sentence."""
    return "refit" if (repeat, fold) == REFIT else f"repeat {repeat}, fold {fold}"
