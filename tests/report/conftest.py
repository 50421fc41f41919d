"""The report's JavaScript is made once for all tests: it takes more than a second."""

from contextlib import nullcontext

import pytest
from regfold.report import vega


@pytest.fixture(scope="session", autouse=True)
def javascript_made_once():
    with vega.javascript() as made:
        text = made()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vega, "javascript", lambda: nullcontext(lambda: text))
        yield
