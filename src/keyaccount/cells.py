"""Text in cells that a spreadsheet may open: what it would run as a formula is marked, reversibly."""

from __future__ import annotations

_RUN = ("=", "+", "-", "@", "|", "\t", "\r")


def safe(text: str) -> str:
    """Return a text as a cell: with an apostrophe in front where a spreadsheet would run it, or it begins with one.

    Leading blanks do not hide a formula. The empty text becomes a lone apostrophe, because an empty cell is nothing.

    >>> safe("=SUM(A1)"), safe("  +49 89 1234"), safe("'s-Hertogenbosch"), safe("plain"), safe("")
    ("'=SUM(A1)", "'  +49 89 1234", "''s-Hertogenbosch", 'plain', "'")
    """
    marked = not text or text.startswith("'") or text.lstrip().startswith(_RUN) or text.startswith(_RUN)
    return f"'{text}" if marked else text


def plain(cell: str) -> str:
    """Return the text of a cell that `safe` wrote.

    >>> plain("'=SUM(A1)"), plain("''s-Hertogenbosch"), plain("plain"), plain("'")
    ('=SUM(A1)', "'s-Hertogenbosch", 'plain', '')
    """
    return cell.removeprefix("'")
