"""One cell: from training rows to a network and its out-of-sample predictions."""
