"""Guards the report as readers see it, in a real browser: all charts drawn, nothing amiss or cut off."""

import functools
import os
from pathlib import Path

import browser
import example_results
import pytest
import render_report
from regfold.formatting import visible

pytestmark = pytest.mark.skipif(
    browser.PROGRAM is None and not os.environ.get("REGFOLD_REQUIRE_BROWSER"),
    reason="no Chromium on this machine",
)

CASES = {
    "classification": {"n": 120, "by": ("island", "bill_length_mm"), "models": ("l1", "l2", "none")},
    "regression": {"task": "regression", "n": 120, "n_targets": 2, "diverged": (1, 3)},
    "paths": {"task": "regression", "n": 60, "selects": {"l1": "min", "l2": "nested"}},
    "hostile": {"n": 120, "hostile": True, "lost": (1, 2)},
    "one cell": {"task": "regression", "n": 30, "folds": 1, "models": ("l1",), "hostile": True},
}
# Each chart with the number of shapes that stand for data, and whether it is wider than its place.
CHARTS = """Array.from(document.querySelectorAll(".chart"), (chart) => ({
  name: chart.id,
  marks: chart.querySelectorAll("svg .mark-symbol path, svg .mark-rect path, svg .mark-line path").length,
  cut: chart.scrollWidth > chart.clientWidth,
}))"""


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """The report of a case, made once."""

    @functools.cache
    def make(case: str) -> Path:
        made = example_results.build(tmp_path_factory.mktemp("study"), **CASES[case])
        example_results.score(made)
        render_report.main(made)
        return Path(made.output.report)

    return make


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [390, 1200])
def test_page_in_a_browser(report_of, case, width):
    with browser.Browser(width) as page:
        page.open(report_of(case))
        charts = page.evaluate(CHARTS)
        assert len(charts) == len(list(report_of(case).with_name("figures").glob("*.svg")))
        assert [chart["name"] for chart in charts if not chart["marks"]] == []
        assert [chart["name"] for chart in charts if chart["cut"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.complaints() == []
        assert page.requests() == [report_of(case).resolve().as_uri()]


def test_hostile_names_are_read_as_text(report_of):
    with browser.Browser(1200) as page:
        page.open(report_of("hostile"))
        text = page.evaluate("document.body.innerText")
        for name in example_results.HOSTILE:
            assert visible(name) in text
        assert page.evaluate("document.querySelectorAll('body script, img, b, u, i').length") == 2
        # Vega cuts a long label off, sooner with a wider font.
        assert "<script>alert(" in page.evaluate("document.querySelector('#chart-confusion-l1').textContent")
        assert page.complaints() == []


def test_policy_refuses_what_a_name_could_smuggle_in(report_of, tmp_path):
    smuggled = "<script>window.smuggled = 1</script><img src='http://127.0.0.1:9/x.png'></footer>"
    path = tmp_path / "smuggled.html"
    path.write_text(report_of("one cell").read_text().replace("</footer>", smuggled))
    with browser.Browser(1200) as page:
        page.open(path)
        assert page.evaluate("window.smuggled === undefined")
        assert any("Content Security Policy" in text for text in page.complaints())
