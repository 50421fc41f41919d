"""The training loop around a program: epochs, early stopping, checkpoints, history, divergence."""

import time
from collections.abc import Callable

import numpy as np

from regfold.training import optimizer
from regfold.training.programs.base import Arrays, Program
from regfold.training.seeds import batch_order
from regfold.training.state import DIVERGED, HISTORY, State

# Variables kept on the way, for the held-out learning curve: how many epochs, and how many bytes in all.
SNAPSHOTS = 40
SNAPSHOT_BYTES = 64 * 2**20
# One call of the program should take no longer: a request to stop is met after it.
CALL_SECONDS = 0.5


def fit(
    program: Program,
    state: State,
    *,
    training: dict,
    key: tuple[int, int, int],
    n_rows: int,
    save: Callable[[State], None],
    save_seconds: float = 30.0,
    on_epoch: Callable[[int, np.ndarray], None] = lambda epoch, values: None,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Train all lanes to the end, from where the state is.

    A lane that has ended is calculated on until all have, and nothing looks at it any more. How many epochs
    one call of the program runs is a matter of time alone, and changes no result.

    Args:
        program: started with the state's variables.
        state: where to go on; it is changed.
        training: the model's resolved training section.
        key: (seed, repeat, fold), from which the orders of rows derive.
        n_rows: the number of training rows.
        save: takes the state every `save_seconds`, at the end, and when `stop` says so.
        save_seconds: at most so many seconds of training are ever lost.
        on_epoch: is told each epoch and its line of history, that of the first lane that goes on.
        stop: asked after each call of the program; True ends the training unfinished.

    Returns:
        the state; `finished` unless it was stopped.
    """
    shape = program.lanes, max(training["epochs"], state.epoch), len(HISTORY)
    history = np.full(shape, np.nan)
    history[:, : state.epoch] = state.history
    snapshots = snapshot_epochs(training["epochs"], state.variables)
    saved, count = time.monotonic(), 1
    while not state.finished:
        begun, clock = state.epoch, time.monotonic()
        count = min(count, program.most_epochs, training["epochs"] - begun)
        numbers = range(begun + 1, begun + 1 + count)
        orders = [batch_order(*key, epoch, n_rows) for epoch in numbers]
        rates = np.stack([optimizer.learning_rates(training, n_rows, epoch) for epoch in numbers])
        epochs = program.epochs(orders, rates)
        columns = epochs.losses, epochs.objectives, epochs.validation_losses
        history[:, begun : begun + count, :3] = np.stack(columns, axis=2).swapaxes(0, 1)
        history[:, begun : begun + count, 3] = rates[:, 0]
        keeps: dict[int, int] = {}  # lane -> which epoch of this call it keeps
        for index in range(count):
            state.epoch += 1
            state.history = history[:, : state.epoch]
            told = state.running[0]
            keeps |= {lane: index for lane in state.running if judge(state, training, lane)}
            if state.epoch in snapshots:
                state.snapshots[state.epoch] = epochs.variables(index)
            on_epoch(state.epoch, history[told, state.epoch - 1])
            if state.finished:
                break
        for index in sorted(set(keeps.values())):
            state.keep([lane for lane in keeps if keeps[lane] == index], epochs.variables(index))
        now = time.monotonic()
        stopping = not state.finished and stop()
        saving = state.finished or stopping or now - saved >= save_seconds
        if saving:
            state.variables, state.optimizer = ([], []) if state.finished else program.values()
            save(state)
            saved = time.monotonic()
        if stopping:
            break
        if begun or count > 1:  # the first call of all may have compiled the program
            per_epoch = (now - clock) / count
            most = min(CALL_SECONDS, save_seconds) / per_epoch
            count = max(1, min(int(most), 8 * count))
    return state


def judge(state: State, training: dict, lane: int) -> bool:
    """Decide from a lane's last line of history whether its training ends.

    Returns:
        whether the lane's variables are to be kept as they are now.
    """
    loss, objective, validation, _ = state.history[lane, -1]
    stopping, keep = training["early_stopping"], False
    if stopping and np.isfinite(validation):
        best = state.best_epochs[lane]
        keep = not best or validation < state.history[lane, best - 1, 2]
        if keep:
            state.best_epochs[lane] = state.epoch
        elif state.epoch - best >= stopping["patience"]:
            state.ended[lane] = state.epoch
            state.endings[lane] = f"stopped early after epoch {state.epoch}"
    if not np.isfinite(loss) or not np.isfinite(objective):
        state.ended[lane] = state.epoch
        state.endings[lane] = f"{DIVERGED}: the loss is not finite in epoch {state.epoch}"
    elif state.epoch >= training["epochs"]:
        state.ended[lane] = state.epoch
    return keep or (state.ended[lane] > 0 and not state.best_epochs[lane])


def snapshot_epochs(epochs: int, variables: Arrays) -> set[int]:
    """Some epochs, half of them spaced evenly and half of them dense at the start, where curves bend."""
    size = sum(value.nbytes for value in variables)
    count = min(SNAPSHOTS, SNAPSHOT_BYTES // max(1, size))
    spaced = [*np.linspace(1, epochs, count // 2), *np.geomspace(1, epochs, count - count // 2)]
    return {round(epoch) for epoch in spaced}
