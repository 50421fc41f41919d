"""regfold: honest out-of-sample predictions of regularized Keras networks."""

import importlib

__version__ = "0.1.0"
__all__ = ["RegfoldError", "Study", "load"]

# What is imported when it is asked for: to import regfold alone costs nothing.
_PUBLIC = {
    "RegfoldError": "regfold.errors",
    "Study": "regfold.study",
    "load": "regfold.results.predictor",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
