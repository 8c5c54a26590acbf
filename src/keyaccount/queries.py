"""Questions to a storage and their answers: the one door to both.

A `Query` is a plain value (`keyaccount.asking`). `run` and `total` answer it exactly from rows
(`keyaccount.evaluator`, `keyaccount.scope`, `keyaccount.rows`). An adapter does the same in its own language or hands
its rows to them; there is no third way.
"""

from keyaccount.asking import (
    COUNTED,
    Key,
    Query,
    Test,
    Total,
    Totals,
    Window,
    above,
    at_least,
    at_most,
    below,
    between,
    check_fields,
    check_totals,
    conditions,
    cursor,
    dialled,
    groups,
    is_none,
    key_order,
    one_of,
    ordering,
    place,
    resume,
)
from keyaccount.evaluator import best, columns_of, grouped, in_order, run, total
from keyaccount.rows import Index, Rows, index_keys
from keyaccount.scope import Scope

__all__ = [
    "COUNTED",
    "Index",
    "Key",
    "Query",
    "Rows",
    "Scope",
    "Test",
    "Total",
    "Totals",
    "Window",
    "above",
    "at_least",
    "at_most",
    "below",
    "best",
    "between",
    "check_fields",
    "check_totals",
    "columns_of",
    "conditions",
    "cursor",
    "dialled",
    "grouped",
    "groups",
    "in_order",
    "index_keys",
    "is_none",
    "key_order",
    "one_of",
    "ordering",
    "place",
    "resume",
    "run",
    "total",
]
