"""The losses that training.loss names: which task each is for, and what its networks' outputs are."""

AUTO = "auto"
CLASSIFICATION = ("crossentropy", "focal")
REGRESSION = ("mse", "mae", "huber", "log_cosh", "poisson")
OF_TASK = {"classification": CLASSIFICATION, "regression": REGRESSION}


def resolve(loss: str, task: str) -> str:
    """The loss by name; for `auto` the first one of the task."""
    return OF_TASK[task][0] if loss == AUTO else loss


def conflict(loss: str, task: str) -> str:
    """Why a loss does not suit a task, and which losses do; empty where it does."""
    if loss == AUTO or loss in OF_TASK[task]:
        return ""
    needs = "classes" if task == "regression" else "numbers"
    *others, last = AUTO, *OF_TASK[task]
    return f"needs {needs}; expected {', '.join(others)} or {last}"


def output_activation(loss: str) -> str:
    """The activation of the output layer: for probabilities, numbers, or positive numbers (counts)."""
    if loss in CLASSIFICATION:
        return "softmax"
    return "exponential" if loss == "poisson" else "linear"
