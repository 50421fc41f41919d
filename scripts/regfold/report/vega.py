"""The JavaScript that draws the report's charts, made by vl-convert."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Altair's version of Vega-Lite, written down because it takes as long to import Altair as to draw its charts.
LITE_VERSION = "6.4"


@contextmanager
def javascript() -> Iterator[Callable[[], str]]:
    """Give a function that waits for Vega, Vega-Lite and vega-embed, as one program for a page read offline.

    The program takes more than a second to make, in which vl-convert lets no other thread run: so another
    process makes it meanwhile.
    """
    make = f"import vl_convert; print(vl_convert.javascript_bundle(vl_version='{LITE_VERSION}'), end='')"
    with subprocess.Popen([sys.executable, "-P", "-c", make], stdout=subprocess.PIPE) as maker:

        def result() -> str:
            text, _ = maker.communicate()
            if maker.returncode:
                raise RuntimeError("vl-convert could not make the report's JavaScript")
            return text.decode()

        yield result
