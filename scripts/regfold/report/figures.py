"""All figures of a study, and their SVG and PNG copies for papers."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from regfold import files
from regfold.report.figure import Figure
from regfold.report.renderer import Renderer
from regfold.report.sections import classes, columns, comparison, numbers, paths, training, weights
from regfold.results.study import Study


def of_study(study: Study) -> Iterator[Figure]:
    """All figures of a study, in the page's order."""
    predictions = classes if study.classifies else numbers
    sections = comparison, paths, training, predictions, columns, weights
    for section in sections:
        yield from section.figures(study)


def write(figures: Iterable[Figure], folder: str | Path, renderer: Renderer) -> list[tuple[Figure, str]]:
    """Writes NAME.svg and NAME.png of each figure, and returns the figures with the SVG texts.

    The first ones are drawn while the last ones are still being made.
    """
    drawn = [(figure, renderer.draw(figure.spec(figure.width))) for figure in figures]
    pictures = []
    for figure, copies in drawn:
        svg, png = copies.result()
        with files.atomic(Path(folder) / f"{figure.name}.svg") as temporary:
            temporary.write_text(svg, encoding="utf-8")
        with files.atomic(Path(folder) / f"{figure.name}.png") as temporary:
            temporary.write_bytes(png)
        pictures.append((figure, svg))
    return pictures
