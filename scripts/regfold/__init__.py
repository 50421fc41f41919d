"""regfold: honest out-of-sample predictions of regularized Keras networks."""

import importlib

__version__ = "0.1.0"
__all__ = ["RegfoldError", "Study", "load"]

# Imported on first use, so that `import regfold` costs nothing.
_PUBLIC = {
    "RegfoldError": "regfold.errors",
    "Study": "regfold.study",
    "load": "regfold.results.predictor",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
