"""Draw images/rulegraph.svg, by Snakemake and graphviz' `dot`: uv run python images/draw_rulegraph.py STUDY.

STUDY is a finished one: before the checkpoint split_folds has run, Snakemake does not know what is behind it.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def rulegraph(study: Path) -> str:
    """The graph of the rules of a finished study, in the language of `dot`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", study]
    run = subprocess.run([*command, "--rulegraph", "dot"], stdout=subprocess.PIPE, text=True, check=True)
    graph = run.stdout[run.stdout.index("digraph") :]
    return graph.replace(",dashed", "")  # of rules that need not run


def edges(graph: str) -> set[tuple[str, str]]:
    """Which rule goes before which, in a graph or in a picture that was drawn of it."""
    nodes = r'^\s*(\d+)\[label = "(\w+)"', r"<title>(\d+)</title>(?:\n(?!</g>).*)*?<text[^>]*>(\w+)</text>"
    arrows = r"^\s*(\d+) -> (\d+)", r"<title>(\d+)&#45;&gt;(\d+)</title>"
    names = dict(pair for pattern in nodes for pair in re.findall(pattern, graph, re.MULTILINE))
    pairs = [pair for pattern in arrows for pair in re.findall(pattern, graph, re.MULTILINE)]
    return {(names[one], names[other]) for one, other in pairs}


if __name__ == "__main__":
    drawn = subprocess.run(
        ["dot", "-Tsvg"], input=rulegraph(Path(sys.argv[1])), capture_output=True, text=True
    )
    (ROOT / "images" / "rulegraph.svg").write_text(drawn.stdout)
