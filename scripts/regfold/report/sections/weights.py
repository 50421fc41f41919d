"""The trained networks: sizes that the penalties act on, and distributions of weights."""

import numpy as np

from regfold.report.charts import common
from regfold.report.charts import weights as charts
from regfold.report.figure import Figure, of_best
from regfold.results import weights
from regfold.results.study import Study


def figures(study: Study) -> list[Figure]:
    """The measured penalties of all networks, and histograms of weights and of hidden units' outputs."""
    return [_penalties(study), *_distributions(study)]


def _penalties(study: Study) -> Figure:
    return Figure(
        "penalties",
        "penalties",
        "What the penalties act on",
        "Sizes of weights, biases and activations of the kept networks, before they are multiplied by a "
        "penalty's strength. Points: folds; bars: their mean. A penalized size stands further left.",
        common.measured_penalties(study.network_cells, list(study.networks)),
        560,
    )


def _distributions(study: Study) -> list[Figure]:
    figures = []
    alone, which = of_best(study, study.weight_fits, "all: the table")
    for model in alone:
        fits, networks = study.weight_fits[model], study.kernels[model]
        own = study.cells[model][0]["settings"]["network"].get("build")
        limits = {} if own else weights.initial_limits(networks[0])
        if fits:
            figures.append(
                Figure(
                    f"weights-{model}",
                    "weights",
                    f"Weights of model {model}" if len(study.networks) > 1 else "Weights",
                    "Bars: the kernel weights of each layer over all folds, but exact zeros; lines: the most "
                    "likely Gaussian, Laplace and generalized Gaussian distributions, whose shape is 1 for "
                    "Laplace and 2 for Gaussian, and the one that the weights were drawn from before the "
                    "training." + which,
                    charts.layers(weights.pooled(networks), fits, limits),
                    480,
                )
            )
        if outputs := study.activation_fits.get(model):
            sizes = {layer: study.activations[model][layer][1] for layer in outputs}
            mirrored = {layer: np.concatenate([-values, values]) for layer, values in sizes.items()}
            figures.append(
                Figure(
                    f"activations-{model}",
                    "weights",
                    f"Outputs of hidden units{f' of model {model}' if len(study.networks) > 1 else ''}",
                    "What the activity penalty acts on: the sizes of the outputs on some training rows, but "
                    "exact zeros, on both sides of 0; lines as above. A claim about weights does not follow "
                    "from them.",
                    charts.layers(mirrored, outputs, {}, "output", intervals=False),
                    480,
                )
            )
    return figures
