"""regfold: honest out-of-sample predictions of regularized Keras networks."""

__version__ = "0.1.0"
