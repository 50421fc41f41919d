"""Which charts a study has, with titles and captions, and their SVG and PNG copies for papers."""

from collections.abc import Sequence
from pathlib import Path

from regfold import files
from regfold.report.figure import Figure
from regfold.report.renderer import Renderer
from regfold.report.sections import classes, columns, comparison, numbers, paths, training, weights
from regfold.results.study import Study


def of_study(study: Study) -> list[Figure]:
    """All figures of a study, in the page's order."""
    predictions = classes if study.classifies else numbers
    sections = comparison, paths, training, predictions, columns, weights
    return [figure for section in sections for figure in section.figures(study)]


def write(figures: Sequence[Figure], folder: str | Path, renderer: Renderer) -> dict[str, str]:
    """Writes NAME.svg and NAME.png of each figure, and returns the SVG texts by name."""
    drawn = {figure.name: renderer.draw(figure.spec(figure.width)) for figure in figures}
    texts = {}
    for name, copies in drawn.items():
        texts[name], png = copies.result()
        with files.atomic(Path(folder) / f"{name}.svg") as temporary:
            temporary.write_text(texts[name], encoding="utf-8")
        with files.atomic(Path(folder) / f"{name}.png") as temporary:
            temporary.write_bytes(png)
    return texts
