"""Plain data as a table in a notebook: readable in light and in dark, escaped, nothing loaded from anywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Colours are mixed from the page's own, so that they fit a light and a dark one.
STYLE = (
    "<style>.keyaccount{border-collapse:collapse;color:inherit;background:transparent;line-height:1.35}"
    ".keyaccount th,.keyaccount td{border-bottom:1px solid rgba(128,128,128,.35);padding:.2em .7em;text-align:left;"
    "vertical-align:top;max-width:36em;overflow-wrap:break-word}"
    ".keyaccount th{font-weight:normal;opacity:.75;white-space:nowrap}"
    ".keyaccount caption{text-align:left;font-weight:bold;padding:.2em .7em}"
    ".keyaccount .number{text-align:right}.keyaccount td.number{white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".keyaccount .keyaccount{margin:-.2em -.7em}.keyaccount .keyaccount tr:last-child th,"
    ".keyaccount .keyaccount tr:last-child td{border-bottom:none}</style>"
)
_MONEY, _RIGHT = {"amount", "currency"}, ' class="number"'


class Shown(NamedTuple):
    """A value that is text already, and on which side of its column it stands."""

    text: str
    right: bool = False


def facts_page(facts: Mapping[str, Any]) -> str:
    """Return named facts as a page: one below the other; what says nothing is left out."""
    return STYLE + _facts(facts)


def rows_page(rows: Sequence[Any]) -> str:
    """Return rows as a page: one table, with those columns in which any row says something."""
    if not rows:
        return "<em>nothing</em>"
    if not isinstance(rows[0], Mapping):
        return "".join(f"<div>{cell(row)}</div>" for row in rows)
    names = list(rows[0])
    return table(list(map(words, names)), [[row.get(name) for name in names] for row in rows])


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> str:
    """Return a table as a page: numbers and amounts to the right; a column that says nothing at all is left out."""
    columns = [[row[n] for row in rows] for n in range(len(heads))]
    kept = [
        n for n, column in enumerate(columns) if any(value is not False and not _is_nothing(value) for value in column)
    ]
    head = "".join(_head(heads[n], columns[n]) for n in kept)
    body = "".join(f"<tr>{''.join(_cell(row[n]) for n in kept)}</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'{STYLE}<table class="keyaccount">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def words(name: str) -> str:
    """Return the name of a field as words.

    >>> words("key_account_manager")
    'key account manager'
    """
    return name.replace("_", " ")


def cell(value: Any) -> str:
    """Return a value as the inside of a cell."""
    if isinstance(value, Shown):
        return html.escape(value.text)
    if isinstance(value, Mapping):
        return html.escape(amount(value)) if value.keys() == _MONEY else _facts(value)
    if isinstance(value, (list, tuple)):
        return "<br>".join(cell(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape("" if value is None else str(value))


def amount(money: Mapping[str, str]) -> str:
    """Write plain money with its thousands apart.

    >>> amount({"amount": "-1234.50", "currency": "EUR"})
    '-1,234.50 EUR'
    """
    whole, point, places = money["amount"].partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    grouped = f"{int(digits):,}" if digits.isdecimal() else digits
    return f"{sign}{grouped}{point}{places} {money['currency']}"


def _head(name: str, column: Sequence[Any]) -> str:
    right = all(_is_number(value) or _is_nothing(value) for value in column)
    return f"<th{_RIGHT if right else ''}>{html.escape(name)}</th>"


def _cell(value: Any) -> str:
    several = isinstance(value, (list, tuple)) and bool(value) and not isinstance(value, Shown)
    right = all(map(_is_number, value)) if several else _is_number(value)
    return f"<td{_RIGHT if right else ''}>{cell(value)}</td>"


def _is_number(value: Any) -> bool:
    if isinstance(value, Shown):
        return value.right
    if isinstance(value, Mapping):
        return value.keys() == _MONEY
    return isinstance(value, int) and not isinstance(value, bool)


def _facts(facts: Mapping[str, Any]) -> str:
    told = ((name, value) for name, value in facts.items() if not _is_nothing(value))
    cells = (f"<tr><th>{html.escape(words(name))}</th><td>{cell(value)}</td></tr>" for name, value in told)
    return f'<table class="keyaccount">{"".join(cells)}</table>'


def _is_nothing(value: Any) -> bool:
    return value is None or value in ("", [], {}, ())
