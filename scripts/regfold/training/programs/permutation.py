"""A program that predicts the same rows many times, each time with some columns shuffled among them."""

import keras
import numpy as np
import tensorflow as tf

# Up to this many predictions are made in one call without a program, whose tracing would take longer.
FEW_ROWS = 8192


def squared_errors(
    network: keras.Model,
    rows: np.ndarray,
    truth: np.ndarray,
    orders: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """The weighted sums over rows of a network's squared errors, once some of its columns are shuffled.

    It runs on the CPU, as a GPU may multiply with fewer digits (TF32).

    Args:
        network: a saved network, see network.assemble.
        rows: float32 (n, width), encoded rows.
        truth: float64 (n, n_outputs), in the network's units; one-hot for classes.
        orders: int (n_orders, n), permutations of the rows.
        columns: bool (n_columns, width), which inputs are shuffled together; none for the errors as they are.
        weights: float64 (n,), of the rows; they are not shuffled.

    Returns:
        float64 (n_orders, n_columns, n_outputs).
    """
    if len(orders) * len(columns) * len(rows) <= FEW_ROWS:
        inputs = np.where(columns[:, None], rows[orders][:, None], rows)
        with tf.device("/CPU:0"):
            outputs = network(inputs.reshape(-1, rows.shape[1]), training=False).numpy()
        errors = np.square(outputs.reshape(*inputs.shape[:3], -1).astype(np.float64) - truth)
        return (weights[:, None] * errors).sum(axis=2)

    @tf.function(autograph=False)
    def run(
        rows: tf.Tensor, truth: tf.Tensor, orders: tf.Tensor, columns: tf.Tensor, weights: tf.Tensor
    ) -> tf.Tensor:
        def of_order(order: tf.Tensor) -> tf.Tensor:
            shuffled = tf.gather(rows, order)

            def of_column(inputs: tf.Tensor) -> tf.Tensor:
                outputs = network(tf.where(inputs, shuffled, rows), training=False)
                errors = tf.square(tf.cast(outputs, tf.float64) - truth)
                return tf.reduce_sum(weights[:, None] * errors, axis=0)

            return tf.map_fn(of_column, columns, fn_output_signature=tf.float64)

        return tf.map_fn(of_order, orders, fn_output_signature=tf.float64)

    with tf.device("/CPU:0"):
        return run(rows, truth, orders.astype(np.int32), columns, weights).numpy()
