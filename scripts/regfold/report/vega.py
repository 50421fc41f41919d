"""Vega, by vl-convert: draws charts in a process of its own, see `renderer`, and gives the page's program."""

import re
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import vl_convert

# Altair's version of Vega-Lite, repeated here because the processes that draw do not import Altair.
LITE_VERSION = "6.4"
PIXEL_RATIO = 2
# A small chart, drawn at the start to load everything that drawing needs.
SMALL = {"mark": "text", "data": {"values": [{}]}, "encoding": {"text": {"value": "0"}}}
# Vega numbers the gradients of all charts that a process has drawn, so the number depends on the order of
# charts. A chart has one gradient at most.
GRADIENT = re.compile(r'(<linearGradient id="| fill="url\(#)gradient_\d+')


def draw(spec: dict) -> tuple[str, bytes]:
    """The chart of a Vega-Lite specification, as SVG and as PNG."""
    svg = vl_convert.vegalite_to_svg(spec, vl_version=LITE_VERSION)
    svg = GRADIENT.sub(r"\1gradient_0", svg)
    return svg, vl_convert.svg_to_png(svg, scale=PIXEL_RATIO)


def javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one program, for a page that is read offline."""
    return vl_convert.javascript_bundle(vl_version=LITE_VERSION)


def serve(connection: Connection) -> None:
    """Answer until the other end is closed: None asks for the program, a specification for its chart."""
    draw(SMALL)
    with suppress(EOFError, OSError):
        while True:
            request = connection.recv()
            try:
                answer = javascript() if request is None else draw(request)
            except Exception as error:
                answer = error
            connection.send(answer)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
