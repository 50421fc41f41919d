"""Are the weights distributed like a Laplace or a Gaussian? Maximum-likelihood fits to networks' kernels.

An L1 penalty on weights is the negative logarithm of a Laplace prior, an L2 penalty that of a Gaussian one
(Williams, 1995, "Bayesian regularization and pruning using a Laplace prior", Neural Computation 7). Both are
members of one family, the generalized Gaussian distribution with density proportional to
exp(-|w / scale|^shape): its shape is 1 for Laplace, 2 for Gaussian. All are centred at 0, towards which
penalties pull.
"""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy import optimize, stats
from scipy.special import gammaln

from regfold import files
from regfold.errors import reason

SHAPES = (0.1, 20.0)  # beyond, the distribution is all but a spike, or uniform
MOST_FITTED = 100_000
# Of the likelihood-ratio statistic, for a 95 % interval of one parameter.
CRITICAL = stats.chi2.ppf(0.95, 1)


@dataclass(frozen=True)
class Fit:
    """The fit of a layer's weights, without exact zeros, which have no density.

    Attributes:
        n: the number of weights that are not zero.
        zeros: the share of weights that are zero.
        deviation: the root mean square of the others, their standard deviation around 0.
        laplace_over_gaussian: how much higher the log-likelihood of the Laplace fit is than that of the
            Gaussian one, per weight.
        laplace_scale: of the Laplace fit, the mean absolute weight.
        shape, scale: of the generalized Gaussian fit; the shape within SHAPES.
        low, high: the shape's 95 % interval, by the likelihood ratio, as if the weights were independent.
    """

    n: int
    zeros: float
    deviation: float
    laplace_over_gaussian: float
    laplace_scale: float
    shape: float
    scale: float
    low: float
    high: float


def fit(values: np.ndarray) -> Fit | None:
    """Fit weights, in any order, or MOST_FITTED evenly spaced ones; None for fewer than two nonzero ones."""
    size = np.abs(values[np.isfinite(values) & (values != 0)].astype(np.float64))
    if len(size) < 2:
        return None
    n, deviation = len(size), float(np.sqrt(np.mean(np.square(size))))
    size = size[:: -(-n // MOST_FITTED)]
    size = size / deviation  # of numbers around 1 no power is too large

    def profile(log_shape: float) -> float:
        """The mean log-likelihood at the scale that is best for a shape."""
        shape = np.exp(log_shape)
        scale = np.mean(size**shape) * shape
        return log_shape - np.log(2) - np.log(scale) / shape - gammaln(1 / shape) - 1 / shape

    bounds = tuple(np.log(SHAPES))
    best = optimize.minimize_scalar(lambda at: -profile(at), bounds=bounds, method="bounded").x
    least = profile(best) - CRITICAL / (2 * n)
    ends = [
        optimize.brentq(lambda at: profile(at) - least, *sorted((best, bound)))
        if profile(bound) < least
        else bound
        for bound in bounds
    ]
    difference = profile(0.0) - profile(np.log(2))
    shape, low, high = (float(np.exp(at)) for at in (best, *ends))
    return Fit(
        n=n,
        zeros=float(np.mean(values == 0)),
        deviation=deviation,
        laplace_over_gaussian=float(difference),
        laplace_scale=deviation * float(np.mean(size)),
        shape=shape,
        scale=deviation * float((shape * np.mean(size**shape)) ** (1 / shape)),
        low=low,
        high=high,
    )


def closest(fitted: Fit) -> str:
    """The distribution that the interval of the shape suggests, as text."""
    for name, shape in (("Laplace", 1), ("Gaussian", 2)):
        if fitted.low <= shape <= fitted.high:
            return name
    if fitted.high < 1:
        return "more peaked than Laplace"
    return "flatter than Gaussian" if fitted.low > 2 else "between both"


def pooled(networks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """layer -> its weights in several networks together, (n,) float32; each network as from `kernels`."""
    return {
        layer: np.concatenate([network[layer].ravel() for network in networks if layer in network])
        for layer in dict.fromkeys(layer for network in networks for layer in network)
    }


def initial_limits(network: Mapping[str, np.ndarray]) -> dict[str, float]:
    """layer -> the bound of the uniform distribution of its initial weights (Glorot and Bengio, 2010).

    Args:
        network: as from `kernels`, of regfold's own architecture, whose layers are Dense.
    """
    return {layer: float(np.sqrt(6 / sum(kernel.shape))) for layer, kernel in network.items()}


def kernels(path: str | Path, place: int | None = None) -> list[dict[str, np.ndarray]]:
    """The kernels in a cell's model.keras, for each seed's network: layer -> its weights.

    The network itself is not built. The networks of several seeds have layers of equal names, in their order.

    Args:
        path: the file.
        place: with a path, the position of the strength, see network.build_stack; otherwise None.

    Raises:
        RegfoldError: if it is not a file that Keras wrote.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = io.BytesIO(archive.read("model.weights.h5"))
        found = {}
        with h5py.File(stored) as file:
            file.visititems(lambda name, item: found.update(_kernel(name, item, place)))
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise files.damaged(path, f"is not a Keras network ({reason(error)})") from None
    networks: list[dict[str, np.ndarray]] = []
    for order, layer in sorted(found):
        network = next((one for one in networks if layer not in one), None)
        if network is None:
            networks.append(network := {})
        network[layer] = found[order, layer]
    return networks


def _kernel(name: str, item: h5py.Group | h5py.Dataset, place: int | None) -> dict:
    """{(order, layer): kernel}: the first variable of a layer, if it has at least two axes; otherwise {}."""
    if not name.endswith("/vars") or "0" not in item or item["0"].ndim < 2:
        return {}
    # Keras numbers the layers of a class: dense, dense_1, ..., dense_10.
    order = tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))
    value = item["0"][()]
    return {(order, str(item.attrs["name"])): value if place is None else value[..., place, :]}
