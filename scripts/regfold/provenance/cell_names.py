"""What cells are called: (repeat, fold), both from 1, or what is trained on all rows and tests none."""

REFIT = (0, 0)


def name(repeat: int, fold: int) -> str:
    """A cell's name, as its folder has it: `2-4`, or `refit`."""
    return "refit" if (repeat, fold) == REFIT else f"{repeat}-{fold}"


def words(repeat: int, fold: int) -> str:
    """A cell's name in a sentence."""
    return "refit" if (repeat, fold) == REFIT else f"repeat {repeat}, fold {fold}"
