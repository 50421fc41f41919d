"""Guards the numbers and lists of messages: what is left out, plurals, and digits."""

import pytest
from regfold.formatting import counted, duration, first_few, significant


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, 3"), (5, "0, 1, 2 and 2 more")],
)
def test_a_list_is_cut_short_only_where_that_leaves_out_two_or_more(n, expected):
    assert first_few([str(i) for i in range(n)], 3) == expected


def test_nouns_have_their_plural():
    assert [counted(n, "row") for n in (0, 1, 2, 1234)] == ["0 rows", "1 row", "2 rows", "1,234 rows"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        (0.0, "0"),
        (12346, "12,346"),
        (0.071234, "0.07123"),
        (801.49, "801.5"),
        (99999.6, "100,000"),
        (1.2349e9, "1.235e+09"),
        (-0.00001, "-1.000e-05"),
    ],
)
def test_numbers_have_four_significant_digits(value, expected):
    assert significant(value) == expected


def test_durations_are_in_the_largest_units():
    assert [duration(s) for s in (8.1, 59.9, 200, 7500)] == ["8.1 s", "60 s", "3 min 20 s", "2 h 5 min"]
