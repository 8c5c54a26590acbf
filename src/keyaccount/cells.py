"""Text in cells that a spreadsheet may open: what it would run as a formula is marked, reversibly.

The mark is an apostrophe in front, which is what spreadsheets themselves use for "this is text". Numbers are no text:
do not pass them through here.

Source: trust.md 22 (CSV), storage.md (import and export).
"""

from __future__ import annotations

_RUN = frozenset("=+-@|\uff1d\uff0b\uff0d\uff20")  # full-width signs run too
_BREAKS = frozenset("\t\r\n")


def safe(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs; `plain` gives the text back, whatever it is.

    Leading blanks do not hide a formula. Nothing but apostrophes gets one more, and so does the empty text, because an
    empty cell is nothing.

    >>> safe("=SUM(A1)"), safe("  +49 89 1234"), safe("'=1"), safe("'s-Hertogenbosch"), safe("")
    ("'=SUM(A1)", "'  +49 89 1234", "''=1", "'s-Hertogenbosch", "'")
    """
    return f"'{text}" if _marked(text) else text


def plain(cell: str) -> str:
    """Return the text that a cell stands for; one that `safe` would never have marked is taken as it is.

    >>> plain("'=SUM(A1)"), plain("''=1"), plain("'s-Hertogenbosch"), plain("+49 89 1234"), plain("'")
    ('=SUM(A1)', "'=1", "'s-Hertogenbosch", '+49 89 1234', '')
    """
    return cell[1:] if cell.startswith("'") and _marked(cell) else cell


def _marked(text: str) -> bool:
    """Say whether a text, less the apostrophes in front, is nothing, or begins as a formula does behind blanks.

    A leading tab or line break is dangerous by itself: it can move what follows into a cell of its own.
    """
    rest = text.lstrip("'")
    for character in rest:
        if character in _BREAKS:
            return True
        if not character.isspace() and character.isprintable():
            return character in _RUN
    return not rest
