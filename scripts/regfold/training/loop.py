"""The training loop around a program: epochs, early stopping, checkpoints, history, divergence."""

import time
from collections.abc import Callable

import numpy as np

from regfold.training import optimizer
from regfold.training.programs.base import Arrays, Program
from regfold.training.seeds import batch_order
from regfold.training.state import DIVERGED, HISTORY, State

# Snapshots of the variables, for the held-out learning curve: at most this many epochs, and bytes in all.
SNAPSHOTS = 40
SNAPSHOT_BYTES = 64 * 2**20
# A call of the program should take no longer, as a request to stop is answered only after it.
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
    """Train all lanes from a state to the end.

    A lane that has ended is computed along with the others until all have ended; its values are ignored. The
    number of epochs in one call of the program depends on time alone, and changes no result.

    Args:
        program: started with the state's variables.
        state: the state to start from; it is changed.
        training: the model's resolved training section.
        key: (seed, repeat, fold), from which the orders of rows derive.
        n_rows: the number of training rows.
        save: called with the state every `save_seconds`, at the end, and when `stop` returns True.
        save_seconds: the most seconds of training that a killed process loses.
        on_epoch: called with each epoch and its history, (4,), of the first lane that has not ended.
        stop: called after each call of the program; True ends the training before it is finished.

    Returns:
        the state, which is `finished` unless `stop` returned True.
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
        keeps: dict[int, int] = {}  # lane -> the epoch of this call, from 0, whose variables it keeps
        for index in range(count):
            state.epoch += 1
            state.history = history[:, : state.epoch]
            first = state.running[0]
            keeps |= {lane: index for lane in state.running if judge(state, training, lane)}
            if state.epoch in snapshots:
                state.snapshots[state.epoch] = epochs.variables(index)
            on_epoch(state.epoch, history[first, state.epoch - 1])
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
        if begun or count > 1:  # the first call of all may include the program's compilation
            per_epoch = (now - clock) / count
            most = min(CALL_SECONDS, save_seconds) / per_epoch
            count = max(1, min(int(most), 8 * count))
    return state


def judge(state: State, training: dict, lane: int) -> bool:
    """Update a lane's best epoch and ending from its history after an epoch.

    Args:
        state: after the epoch; its `best_epochs`, `ended` and `endings` are changed.
        training: the model's resolved training section.
        lane: a lane that has not ended.

    Returns:
        whether the lane's variables after this epoch are to be kept.
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
    """The epochs of the snapshots: half spaced evenly, half dense at the start, where curves bend.

    Args:
        epochs: the most epochs of the training.
        variables: the networks' variables, whose size limits the number of snapshots.
    """
    size = sum(value.nbytes for value in variables)
    count = min(SNAPSHOTS, SNAPSHOT_BYTES // max(1, size))
    spaced = [*np.linspace(1, epochs, count // 2), *np.geomspace(1, epochs, count - count // 2)]
    return {round(epoch) for epoch in spaced}
