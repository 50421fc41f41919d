"""Proximal steps, which make weights exactly zero. Each follows a step of the optimizer on the loss.

A step u = w - s * g, with a step size s for each weight, is followed by

    prox(u) = argmin_w  sum((w - u)^2 / (2 s)) + penalty(w).

The metric 1/s is the optimizer's own (for Adam, that of its second moment), so that the fixed points are
those of loss plus penalty, whatever the step sizes are: Yun, Lozano and Yang (2021, "Adaptive proximal
gradient methods for structured neural networks", NeurIPS 34); with one step size for all, Beck and Teboulle
(2009, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM J. Imaging
Sciences 2).
"""

import tensorflow as tf

# Newton steps for the norm of a group. They converge quadratically from below; if all weights of a group have
# the same step size, the first step is exact.
NEWTON_STEPS = 6


def soft_threshold(weights: tf.Tensor, step_sizes: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """The proximal step of strength * sum|w|; the arguments are broadcast."""
    return tf.sign(weights) * tf.maximum(tf.abs(weights) - step_sizes * strength, 0.0)


def shrink_groups(
    kernel: tf.Tensor, step_sizes: tf.Tensor, strength: tf.Tensor, groups: tf.Tensor
) -> tf.Tensor:
    """The proximal step of strength * sum_g sqrt(n_g) * ||w_g||, groups being blocks of the kernel's rows.

    With a = u / step for each weight, and s the norm of the group's w, each weight is
    w = a s / (s / step + threshold). So s solves one equation in each group: the norm of
    a / (s / step + threshold) is 1. If it has no root above 0, the whole group is zero.

    Args:
        kernel: (n_rows, ..., n_units), u.
        step_sizes: a scalar, or of the kernel's shape.
        strength: a scalar; with axes in the middle (lanes), of their shape with a last axis of 1.
        groups: int32 (n_rows,), the group of each row, from 0.

    Returns:
        w, of the kernel's shape.
    """
    metric = tf.broadcast_to(1.0 / step_sizes, tf.shape(kernel))
    pulled = metric * kernel
    threshold = strength * tf.sqrt(_sums(tf.ones_like(kernel[..., :1]), groups))

    def norm(values: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(_sums(values**2, groups))

    size = tf.zeros_like(threshold)
    alive = norm(pulled) > threshold
    for _ in range(NEWTON_STEPS):
        divisor = metric * size + threshold
        ratio = pulled / divisor
        length = norm(ratio)
        slope = _sums(ratio**2 * metric / divisor, groups)
        size += tf.where(alive, (length - 1) * length**2 / slope, 0.0)
    shrunk = tf.where(alive, pulled * size / (metric * size + threshold), 0.0)
    return tf.where(threshold > 0, shrunk, kernel)


def group_norms(kernel: tf.Tensor, groups: tf.Tensor) -> tf.Tensor:
    """||w_g|| / sqrt(n_g) of each row's group, n_g being the group's rows: its sum over rows is the penalty.

    Args:
        kernel: (n_rows, ..., n_units).
        groups: int32 (n_rows,), the group of each row, from 0.

    Returns:
        (n_rows, ..., 1).
    """
    n = _sums(tf.ones_like(kernel[..., :1]), groups)
    return tf.sqrt(_sums(kernel**2, groups) / n)


def _sums(values: tf.Tensor, groups: tf.Tensor) -> tf.Tensor:
    """The sum of a group's values over rows and units, at each of its rows: (n_rows, ..., 1)."""
    n_rows = values.shape[0]
    by_group = tf.math.unsorted_segment_sum(tf.reduce_sum(values, axis=-1, keepdims=True), groups, n_rows)
    return tf.gather(by_group, groups)
