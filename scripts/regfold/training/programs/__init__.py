"""Programs: the training and the prediction of a network, compiled once for its shapes."""
