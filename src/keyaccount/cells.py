"""Text cells of a table that a spreadsheet will open: what it would run is neutralised, and can be read back.

The apostrophe in front is what spreadsheets themselves use for "this is text". Numbers are no text cells: do not pass
them through here.

Source: trust.md 22 (CSV), storage.md (import and export).
"""

from __future__ import annotations

_RUNS = frozenset("=+-@＝＋－＠")  # noqa: RUF001 - full-width signs run too
_BREAKS = frozenset("\t\r\n")


def safe(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs as a formula; `plain` gives the text back, whatever it is.

    >>> safe("+49 89 1234-0"), safe("ACME"), safe("'=1")
    ("'+49 89 1234-0", 'ACME', "''=1")
    """
    return f"'{text}" if _would_run(text) else text


def plain(cell: str) -> str:
    """Return the text that a cell stands for; what was never neutralised stays as it is.

    >>> plain("'+49 89 1234-0"), plain("+49 89 1234-0"), plain("'t Hooft")
    ('+49 89 1234-0', '+49 89 1234-0', "'t Hooft")
    """
    return cell[1:] if cell.startswith("'") and _would_run(cell) else cell


def _would_run(text: str) -> bool:
    """Say whether a text, less the apostrophes in front, begins as a formula does, looking past blanks.

    A leading tab or line break is dangerous by itself: it can move what follows into a cell of its own.
    """
    for character in text.lstrip("'"):
        if character in _BREAKS:
            return True
        if not character.isspace() and character.isprintable():
            return character in _RUNS
    return False
