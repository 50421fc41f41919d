"""The report as one self-contained page, which is readable offline and loads nothing from the network."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2

from regfold import files
from regfold.formatting import first_few, visible
from regfold.report import figures, sentences
from regfold.report.figure import MOST_BESIDE, Figure
from regfold.report.renderer import Renderer
from regfold.report.tables import inputs, predictions, scores
from regfold.results.study import Study

TEMPLATE = "page.html.j2"
MOST_TARGETS = 3
# Draws the charts. With `ast` Vega interprets its expressions itself and needs no `eval`, which the page's
# content security policy forbids.
DRAW = """
const specs = JSON.parse(document.getElementById("specs").textContent);
const options = {renderer: "svg", actions: false, ast: true};
window.drawn = Promise.all(Object.entries(specs).map(
  ([name, spec]) => window.vegaEmbed(document.getElementById(`chart-${name}`), spec, options)));
"""


def write(study: Study, renderer: Renderer, report: str | Path, folder: str | Path) -> None:
    """Writes the page, and a copy of each of its charts as SVG and PNG.

    Args:
        study: what `study.read` returned.
        renderer: draws the charts.
        report: path of the page.
        folder: where the charts' copies go.
    """
    pictures = figures.write(figures.of_study(study), folder, renderer)
    text = render(study, pictures, renderer.javascript.result())
    with files.atomic(report) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(study: Study, pictures: Sequence[tuple[Figure, str]], javascript: str) -> str:
    """The page's text.

    Args:
        study: what `study.read` returned.
        pictures: the study's figures, each with its SVG text, for readers without JavaScript.
        javascript: Vega, Vega-Lite and vega-embed.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        # Escapes control characters in everything that is put into the page, except markup.
        finalize=lambda value: value if hasattr(value, "__html__") else visible(value),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # `</script` and `<!--` occur in the program only within strings and patterns, where `<\/` means the same.
    program = (javascript + DRAW).replace("</script", "<\\/script").replace("<!--", "<\\!--")
    digest = base64.b64encode(hashlib.sha256(program.encode("utf-8")).digest()).decode("ascii")
    sections = {}
    for figure, svg in pictures:
        picture = base64.b64encode(svg.encode("utf-8")).decode("ascii")
        section = sections.setdefault(figure.section, [])
        repeated = any(figure.caption == other.caption for other, _, _ in section)
        section.append((figure, picture, repeated))
    return environment.get_template(TEMPLATE).render(
        study=study,
        schema=study.schema,
        targets=first_few(study.schema["target"], MOST_TARGETS),
        headline=sentences.headline(study),
        facts=sentences.facts(study),
        warnings=sentences.warnings(study),
        weights=sentences.weights(study),
        notes=sentences.notes(study),
        method=sentences.method(study),
        prior=sentences.prior(study),
        seeds=sentences.seeds(study),
        hard_rows=sentences.hard_rows(study),
        worst_levels=sentences.worst_levels(study),
        citation=sentences.citation(study),
        tables={"scores": scores, "predictions": predictions, "inputs": inputs},
        most_beside=MOST_BESIDE,
        sections=sections,
        specs={figure.name: figure.spec("container") for figure, _ in pictures},
        program=program,
        digest=digest,
    )
