"""Guards that a config file means what it seems to mean: what YAML takes for something else is one line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from regfold.config import yaml_file
from regfold.errors import RegfoldError

READS = "c.yaml, line 1: epochs: YAML reads"
INSIDE = "an alias refers to what contains it; expected values"
DIGITS = "expected plain decimal digits, or a text in quotes"
REFUSED = {
    # Keys that are given twice, at every level, the lines of both.
    "data: 1\nmodels: 2\ndata: 3\n": "c.yaml, lines 1 and 3: data: is given twice; expected each key once",
    "training:\n  epochs: 5\n  seed: 1\n  'epochs': 50\n": (
        "c.yaml, lines 2 and 4: training.epochs: is given twice; expected each key once"
    ),
    "models: {m: {}, m: {}}": "c.yaml, line 1: models.m: is given twice; expected each key once",
    "a:\n- {b: 1}\n- b: 1\n  b: 2\n": "c.yaml, lines 3 and 4: a.b: is given twice; expected each key once",
    "a: &x {b: 1,\n b: 2}\nc: {<<: *x}\n": (
        "c.yaml, lines 1 and 2: a.b: is given twice; expected each key once"
    ),
    '{"a": 1,\n"a": 2}': "c.yaml, lines 1 and 2: a: is given twice; expected each key once",
    # Numbers that YAML 1.1 reads in its own way.
    "epochs: 1:30": f"{READS} 1:30 as the number 90; {DIGITS}",
    "epochs: 010": f"{READS} 010 as the number 8; {DIGITS}",
    "epochs: 0x1F": f"{READS} 0x1F as the number 31; {DIGITS}",
    "epochs: 1_000": f"{READS} 1_000 as the number 1000; {DIGITS}",
    "rate: 1_0.5": f"c.yaml, line 1: rate: YAML reads 1_0.5 as the number 10.5; {DIGITS}",
    "rate: 1:30.5": f"c.yaml, line 1: rate: YAML reads 1:30.5 as the number 90.5; {DIGITS}",
    "missing: [NA,\n007]": f"c.yaml, line 2: missing: YAML reads 007 as the number 7; {DIGITS}",
    "models: {010: {}}": f"c.yaml, line 1: models.010: YAML reads 010 as the number 8; {DIGITS}",
    f"epochs: {'1' * 5000}": "c.yaml, line 1: epochs: a number of 5,000 digits; expected a shorter one",
    # What cannot be read at all.
    "id: 2020-13-45": "c.yaml, line 1: id: '2020-13-45': month must be in 1..12; put a text in quotes",
    "a: 0b_": "c.yaml, line 1: a: '0b_': invalid literal for int() with base 2: ''; put a text in quotes",
    "a: &a\n  b: [*a]\n": f"c.yaml, line 1: a.b: {INSIDE}",
    "models: &m {m: *m}": f"c.yaml, line 1: models.m: {INSIDE}",
    "a: !b [c]": "c.yaml, line 1: a: the tag '!b' is unknown; expected none",
    "? [a]\n: 1": "c.yaml, line 1: a key is a list or a mapping; expected a text",
    "a:\n\tb: 1": "c.yaml, line 2: found character '\\t' that cannot start any token; expected YAML",
    "a: 1\n---\nb: 1": "c.yaml, line 2: but found another document; expected YAML",
    "a: *b": "c.yaml, line 1: found undefined alias 'b'; expected YAML",
    "a: \x01": "c.yaml: special characters are not allowed; expected YAML",
    "[" * 100_000: "c.yaml: is nested too deeply; expected at most a few levels",
    "\udcff": "c.yaml: is not UTF-8; expected a config saved as UTF-8",
}
GOOD = [
    "",
    "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\ne: {<<: [*x, *x]}\nf: [*x, *x]\n",
    "a: [0, -0, +3, 1.5, -1.5e+3, .inf, 1e-4, '010', '1:30', \"1_000\", 08, v1_000]",
    "a: {b: 1}\nb: {b: 1}\n",
    '{"a":\t1,\n\t"b": 2}',
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(text: str) -> None:
    Path("c.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    yaml_file.check("c.yaml")


@pytest.mark.parametrize("text", REFUSED, ids=[message[:60] for message in REFUSED.values()])
def test_a_config_that_does_not_mean_what_it_seems_to_ends_with_one_line(text):
    with pytest.raises(RegfoldError) as error:
        check(text)
    assert str(error.value) == REFUSED[text]


@pytest.mark.parametrize("text", GOOD)
def test_a_config_that_means_what_it_says_passes(text):
    check(text)


def test_a_file_that_cannot_be_read_is_one_line():
    Path("c.yaml").mkdir()
    with pytest.raises(RegfoldError, match=r"^c\.yaml: cannot be read: Is a directory$"):
        yaml_file.check("c.yaml")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["010", "1:30"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.booleans())
def test_whatever_is_written_by_a_program_passes(value, flow):
    check(yaml.safe_dump({"a": value}, default_flow_style=flow, allow_unicode=True))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("ab:{}[],&*<!'\"- \n0123_.ex?|#%")))
def test_what_passes_is_read_and_anything_else_is_one_line(text):
    try:
        check(text)
    except RegfoldError as error:
        assert "\n" not in str(error)
    else:
        yaml.safe_load(text)
