"""Cells: a spreadsheet runs none of them, and each can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyaccount.cells import plain, safe

RUNS = (
    *("=1+1", "+49 89 1", "-1", "@SUM(A1)", "|cmd", "\t=1", "\rx", "\n=1", "  =1"),
    *("\u00a0+1", "\ufeff=1", "\u200b@a", "\uff1d1+1"),
)
QUIET = ("ACME", "a=b", "1+1", "'t Hooft", "  ACME", "' '", "ACME\t=1", "5 - 3")
edgy = st.text(alphabet=st.sampled_from("'=+-@ \t\r\nab1\u00a0\ufeff\uff1d"), max_size=6)


@pytest.mark.parametrize("text", RUNS)
def test_what_would_run_is_neutralised(text: str) -> None:
    """A text that begins as a formula, also behind blanks, gets an apostrophe in front, and gives itself back."""
    assert safe(text) == f"'{text}"
    assert plain(safe(text)) == text
    assert safe(f"'{text}") == f"''{text}"


@pytest.mark.parametrize("text", QUIET)
def test_the_rest_stays(text: str) -> None:
    """Any other text is written as it is, and read as it is."""
    assert safe(text) == plain(text) == text


def test_nothing_is_not_an_empty_text() -> None:
    """The empty text is told from an empty cell, and from texts of apostrophes."""
    for count in range(4):
        assert safe("'" * count) == "'" * (count + 1)
        assert plain("'" * (count + 1)) == "'" * count


@given(st.one_of(st.text(max_size=20), edgy))
def test_back_and_forth(text: str) -> None:
    """Every text comes back; no cell begins with a sign that runs."""
    assert plain(safe(text)) == text
    assert not safe(text).lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
