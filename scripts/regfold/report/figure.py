"""A figure: a chart with its title and caption, for the page and as files for papers."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import altair as alt

from regfold.report.charts import common
from regfold.results.study import Study

# With more models, only the best one has figures of predictions, of the gap along the path, and of weights.
MOST_BESIDE = 4


@dataclass(frozen=True)
class Figure:
    """A chart with its title and caption.

    Args:
        name: the stem of its files, unique in the study.
        section: of the page: comparison, folds, path, training, predictions, levels, importance, penalties.
        title: what the chart shows, plain text.
        caption: how to read the chart, plain text.
        chart: the chart, without a width.
        width: that of its copies for papers, in pixels.
    """

    name: str
    section: str
    title: str
    caption: str
    chart: alt.LayerChart
    width: int

    def spec(self, width: int | str) -> dict:
        """The chart as a Vega-Lite specification, with a width in pixels or that of its "container"."""
        fit = {"type": "fit-x", "contains": "padding"}
        return self._spec | {"width": width, "autosize": fit, "config": common.THEME}

    @cached_property
    def _spec(self) -> dict:
        with alt.data_transformers.enable(consolidate_datasets=False):
            return self.chart.to_dict(validate=False)


def of_best(study: Study, models: Collection[str], where: str) -> tuple[Collection[str], str]:
    """The models that have figures of their own, and what a caption adds if it is the best of many.

    Args:
        study: the study.
        models: the candidates.
        where: the file that has the others.
    """
    if len(models) <= MOST_BESIDE:
        return models, ""
    return [study.best_of(models)], f" Of {len(models)} models, the best one; {where}."


def beside(study: Study) -> Collection[str]:
    """The models whose predictions have figures."""
    return study.models if len(study.models) <= MOST_BESIDE else [study.best]


def of_model(study: Study, model: str) -> str:
    """What a title adds if there are several models."""
    return f" of model {model}" * (len(study.models) > 1)
