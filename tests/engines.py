"""Frames of every engine that is installed, made from one table; and tables made from records."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

import keyaccount as ka

EVERYDAY = ("pandas", "pandas of numpy", "pandas of arrow", "polars", "polars, lazy", "pyarrow", "duckdb")


def engines(names: Sequence[str] = EVERYDAY) -> list[Any]:
    """Return the engines as parameters of a test; one that is not installed is skipped by its name."""
    return [pytest.param(name, marks=_marks(name), id=name) for name in names]


def _marks(name: str) -> Any:
    packages = ("narwhals", "pyarrow", name.split(" ", maxsplit=1)[0].strip(","))
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def frame_of(engine: str, columns: Mapping[str, tuple[Iterable[Any], str]]) -> Any:
    """Make a frame of an engine from columns of values and the names of their types."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "day": pa.date32(),
        "decimal": pa.decimal128(20, 4),
        "wide decimal": pa.decimal128(38, 8),
        "whole": pa.int64(),
        "float": pa.float64(),
        "flag": pa.bool_(),
        "texts": pa.list_(pa.string()),
        "nothing": pa.null(),
    }
    table = pa.table({name: pa.array(list(values), types[sort]) for name, (values, sort) in columns.items()})
    return _MAKERS[engine](table)


def _pandas(table: Any) -> Any:
    """Make one of Python's own days and decimals, under an index that is no range."""
    found = table.to_pandas()
    found.index = [7 * n % 1_000_003 for n in range(len(found))]
    return found


def _numpy(table: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    found = table.to_pandas()
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if pa.types.is_date(kind):
            found[name] = pd.to_datetime(found[name]).astype("datetime64[us]")
    return found


def _arrow(table: Any) -> Any:
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _polars(table: Any) -> Any:
    import polars as pl

    return pl.from_arrow(table)


def _duckdb(table: Any) -> Any:
    import duckdb

    return duckdb.connect().from_arrow(table)


def _spark(table: Any) -> Any:
    from spark_session import session

    rows = [tuple(row.values()) for row in table.to_pylist()]
    kinds = {"date32[day]": "date", "int64": "bigint", "list<item: string>": "array<string>", "bool": "boolean"}
    kinds |= {"null": "string", "list<element: string>": "array<string>"}
    schema = ", ".join(
        f"{field.name} {kinds.get(str(field.type), str(field.type).replace('decimal128', 'decimal'))}"
        for field in table.schema
    )
    return session().createDataFrame(rows, schema)


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "pandas": _pandas,
    "pandas of numpy": _numpy,
    "pandas of arrow": _arrow,
    "polars": _polars,
    "polars, lazy": lambda table: _polars(table).lazy(),
    "pyarrow": lambda table: table,
    "duckdb": _duckdb,
    "pyspark": _spark,
}


def invoices_in(rows: Sequence[ka.Invoice], amounts: str = "decimal", *, plain_kind: bool = False) -> dict[str, Any]:
    """Return the columns of invoices; with `plain_kind` invoices say nothing in their kind."""
    kinds = [None if plain_kind and row.kind == "invoice" else row.kind for row in rows]
    return {
        "id": ([row.id for row in rows], "text"),
        "organisation_id": ([row.organisation_id for row in rows], "text"),
        "kind": (kinds, "text" if any(kinds) or not plain_kind else "nothing"),
        "issued_on": ([row.issued_on for row in rows], "day"),
        "currency": ([row.currency for row in rows], "text"),
        **_amounts([row.net for row in rows], amounts),
    }


def orders_in(rows: Sequence[ka.Order], amounts: str = "decimal") -> dict[str, Any]:
    """Return the columns of orders."""
    return {
        "id": ([row.id for row in rows], "text"),
        "organisation_id": ([row.organisation_id for row in rows], "text"),
        "state": ([row.state for row in rows], "text"),
        "ordered_on": ([row.ordered_on for row in rows], "day"),
        "currency": ([row.currency for row in rows], "text"),
        **_amounts([row.net for row in rows], amounts),
    }


def _amounts(nets: Sequence[ka.Money | None], sort: str) -> dict[str, Any]:
    if sort == "units":
        return {"net_units": ([None if net is None else net.units for net in nets], "whole")}
    numbers = [None if net is None else net.amount for net in nets]
    if sort == "float":
        return {"net": ([None if number is None else float(number) for number in numbers], "float")}
    return {"net": ([None if number is None else Decimal(number) for number in numbers], sort)}


def contracts_in(rows: Sequence[ka.Contract], amounts: str = "decimal") -> dict[str, Any]:
    """Return the columns of contracts, terms as text."""
    texts = ("id", "organisation_id", "kind", "value_per", "notice", "initial_term", "renewal_term")
    days = ("signed_on", "starts_on", "ends_on", "terminated_on", "terminated_to")
    values = [None if row.value is None else row.value.amount for row in rows]
    return {
        **{name: ([_told(getattr(row, name)) for row in rows], "text") for name in texts},
        **{name: ([getattr(row, name) for row in rows], "day") for name in days},
        "predecessor_ids": ([list(row.predecessor_ids) for row in rows], "texts"),
        "add_on": ([row.add_on for row in rows], "flag"),
        "currency": ([None if row.value is None else row.value.currency for row in rows], "text"),
        "value": ([None if v is None else float(v) for v in values] if amounts == "float" else values, amounts),
    }


def _told(value: Any) -> str | None:
    return None if value is None else str(value)
