"""How does an engine of data frames add up documents? In one aggregation, by account and currency, in whole numbers.

What leaves the engine are sums by window, never documents; a lazy frame stays lazy until these are collected.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import attrs

from keyaccount.calendars import Period
from keyaccount.errors import (
    KeyAccountError,
    MissingExtra,
    Problem,
    StorageUnavailable,
    ValidationError,
    nearest,
    shown,
)
from keyaccount.figures import Rates
from keyaccount.model.commerce import COUNTED, ORDER_STATES
from keyaccount.money import CURRENCIES, SCALE, exact
from keyaccount.turnover import Basis, Flow, Turnover, checked_basis

try:
    import narwhals as nw
except ImportError:
    raise MissingExtra("frames") from None

Expr: TypeAlias = Any
_UNITS = 10**SCALE
_LARGEST = 10**12
_DIGITS = 12
_MOST = _LARGEST * _UNITS
_NO_UNITS = 1 << 62
"""What stands in the place of an amount where there is none: larger than any."""
NO_AMOUNT, NO_WORD, NO_DAY, NEGATIVE = 1, 2, 3, 4
_NEAR = 1e-6
_EXACT_FLOATS = 1 << 53
_SOME_DAY = date(1970, 1, 1)
_HALF = 1 << 30
_KEYS = ("account", "currency")
_DAY = {"invoices": "issued_on", "orders": "ordered_on"}
_WORDS = {"invoices": ("kind", ("invoice", "credit note")), "orders": ("state", ORDER_STATES)}
_WHOLE = (nw.Int8, nw.Int16, nw.Int32, nw.Int64, nw.Int128, nw.UInt8, nw.UInt16, nw.UInt32, nw.UInt64)


@attrs.frozen(eq=False)
class Documents:
    """Invoices or orders in a frame, one row a document, ready to be added up; made by `Documents.of`.

    `data` has the columns account, currency, day, units (ten-thousandths, negative for a credit note), amiss (why a row
    is none, 0 for one that counts) and, where the frame has ids, id.
    """

    data: Any
    basis: Basis

    @classmethod
    def of(cls, frame: Any, basis: Basis, decimals: int | None = None) -> Documents:
        """Read the documented columns of a frame. Raises ValidationError for one that is missing or of another type."""
        checked_basis(basis)
        check_decimals(decimals)
        with engine():
            data = opened(frame)
            check_columns(data, ("organisation_id", "currency", _DAY[basis]), basis)
            return cls(_documents(data, basis, decimals), basis)

    def among(self, accounts: Collection[str]) -> Documents:
        """Return the documents of some accounts: a semi-join, before anything else is looked at."""
        with engine():
            return attrs.evolve(self, data=_semi_joined(self.data, accounts))

    def turnover(self, windows: Mapping[str, Period], rates: Rates) -> Turnover:
        """Add them up over windows; amounts that are to be converted by day."""
        by_day = rates.exchange is not None
        with engine():
            rows = self._by_day(windows, rates.currency) if by_day else self._summed(self.data, _KEYS, windows)
            if any(row.largest >= _NO_UNITS or not _is_key(row) for row in rows):
                raise self._refusal()
        flows = []
        for row in rows:
            day = _as_day(row.on) if by_day and row.currency != rates.currency else None
            flows.append(Flow(row.account, row.currency, row.sums, _as_day(row.first), day))
        return Turnover(windows, flows, self.find, self.basis)

    def find(self, accounts: Collection[str], window: Period, currency: str | None) -> Iterable[str]:
        """Look up the documents of some accounts in a window; none where the frame has no ids."""
        if not accounts or "id" not in self.data.collect_schema():
            return ()
        with engine():
            data = _semi_joined(self.data, accounts).filter(self._within(window))
            if currency is not None:
                data = data.filter(nw.col("currency") == currency)
            return [str(id) for (id,) in collected(data.select("id")).iter_rows()]

    # -- one aggregation

    @property
    def _day(self) -> Any:
        return self.data.collect_schema()["day"]

    def _within(self, window: Period) -> Expr:
        start, end = (_as_literal(day, self._day) for day in (window.start, window.end))
        return (nw.col("day") >= start) & (nw.col("day") < end)

    def _by_day(self, windows: Mapping[str, Period], currency: str | None) -> list[_Group]:
        """Add up foreign currencies by day, what is in the currency asked for as a whole."""
        one = nw.lit(_as_literal(_SOME_DAY, self._day)).cast(self._day)
        on = nw.when(nw.col("currency") == currency).then(one).otherwise(nw.col("day"))
        return self._summed(self.data.with_columns(on=on), (*_KEYS, "on"), windows)

    def _summed(self, data: Any, keys: Sequence[str], windows: Mapping[str, Period]) -> list[_Group]:
        """Return a row for each group with exact sums; where 64 bits may not do, from two halves."""
        spans = tuple(windows.values())
        rows = list(self._rows(data, keys, spans, {"": nw.col("units")}))
        if any(row.largest >= _NO_UNITS for row in rows):
            return rows
        most = max((row.rows for row in rows), default=0)
        if most * max((row.largest for row in rows), default=0) < 1 << 63:
            return rows
        high = (nw.col("units") // _HALF).cast(nw.Int64)
        return list(self._rows(data, keys, spans, {"high": high, "low": nw.col("units") - high * _HALF}))

    def _rows(
        self, data: Any, keys: Sequence[str], spans: Sequence[Period], parts: Mapping[str, Expr]
    ) -> Iterator[_Group]:
        wanted = {
            f"{part}{n}": nw.when(self._within(span)).then(units).otherwise(nw.lit(0))
            for n, span in enumerate(spans)
            for part, units in parts.items()
        }
        size = nw.when(nw.col("amiss") == 0).then(nw.col("units").abs()).otherwise(nw.lit(_NO_UNITS))
        found = (
            data.with_columns(size=size, **wanted)
            .group_by(*keys)
            .agg(
                nw.len().alias("rows"),
                nw.col("day").min().alias("first"),
                nw.col("size").max().alias("largest"),
                *(nw.col(name).sum() for name in wanted),
            )
        )
        result = collected(found)
        columns = {name: result.get_column(name).to_list() for name in result.columns}  # by rows pandas is slow
        sums = zip(*(map(int, columns[name]) for name in wanted), strict=True)
        told = zip(*(columns[name] for name in ("account", "currency", keys[-1], "first")), strict=True)
        counts = zip(*(map(int, columns[name]) for name in ("rows", "largest")), strict=True)
        for (account, currency, on, first), (rows, largest), units in zip(told, counts, sums, strict=True):
            whole = units if len(parts) == 1 else _joined(units)
            yield _Group(account, currency, on, first, rows, largest, whole)

    def _refusal(self) -> ValidationError:
        """Say what is wrong with how many rows; asked only when something is."""
        day, (column, words) = _DAY[self.basis], _WORDS[self.basis]
        known = nw.col("currency").is_in(sorted(CURRENCIES))
        told: list[tuple[str, Expr, str]] = [
            ("organisation_id", _empty("account"), "is empty"),
            ("currency", nw.col("currency").is_null() | ~known, "is no ISO 4217 currency"),
            (day, nw.col("amiss") == NO_DAY, "is no day"),
            ("net", nw.col("amiss") == NO_AMOUNT, f"is no amount up to 10**12 with at most {SCALE} decimal places"),
            (column, nw.col("amiss") == NO_WORD, f"is none of {', '.join(words)}"),
            ("net", nw.col("amiss") == NEGATIVE, "of a credit note must not be negative: it counts negative"),
        ]
        flags = [
            nw.when(wrong).then(nw.lit(1)).otherwise(nw.lit(0)).alias(f"w{n}") for n, (_, wrong, _) in enumerate(told)
        ]
        counts = collected(self.data.select(*flags).select(nw.all().sum())).row(0)
        return ValidationError(
            Problem(self.basis, name, f"{count} row{'' if count == 1 else 's'}", reason)
            for (name, _, reason), count in zip(told, map(int, counts), strict=True)
            if count
        )


class _Group(NamedTuple):
    """What an account turned over in a currency (`on` a day); `largest` is no amount where a row is no document."""

    account: Any
    currency: Any
    on: Any
    first: Any
    rows: int
    largest: int
    sums: Sequence[int]


def _joined(halves: Sequence[int]) -> list[int]:
    """Put sums of the upper and the lower half of amounts together, which are there for each window."""
    return [high * _HALF + low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _is_key(row: _Group) -> bool:
    return isinstance(row.account, str) and bool(row.account) and row.currency in CURRENCIES


def _empty(name: str) -> Expr:
    return nw.col(name).is_null() | (nw.col(name) == "")


# ---- frames --------------------------------------------------------------------------------------------------------


def opened(frame: Any) -> Any:
    """Take a frame of any engine that narwhals knows; one of Polars becomes lazy, so that it reads what it needs."""
    try:
        data = nw.from_native(frame)
    except TypeError:
        raise ValidationError.of(
            "frames", "frame", type(frame).__name__, "must be a frame of pandas, Polars, PyArrow, DuckDB or PySpark"
        ) from None
    return data.lazy() if data.implementation.is_polars() and isinstance(data, nw.DataFrame) else data


def collected(data: Any) -> Any:
    """Return the few rows that are the result."""
    return data.collect() if isinstance(data, nw.LazyFrame) else data


@contextmanager
def engine() -> Iterator[None]:
    """Let an engine work; what it raises becomes StorageUnavailable, with its cause."""
    try:
        yield
    except KeyAccountError:
        raise
    except Exception as error:
        raise StorageUnavailable(f"the frame cannot be read: {type(error).__name__}") from error


def check_columns(data: Any, names: Iterable[str], what: str) -> None:
    """Refuse a frame in which a column is missing, with the nearest that is there."""
    given = data.collect_schema().names()
    missing = [
        Problem(what, name, shown(name), f"is no column{nearest(name, given)}") for name in names if name not in given
    ]
    if missing:
        raise ValidationError(missing)


def check_decimals(decimals: object) -> None:
    """Refuse what is no number of places."""
    whole = isinstance(decimals, int) and not isinstance(decimals, bool)
    if decimals is not None and not (whole and 0 <= decimals <= SCALE):  # type: ignore[operator]
        raise ValidationError.of("frames", "decimals", decimals, f"must be a whole number from 0 to {SCALE}")


def _semi_joined(data: Any, accounts: Collection[str]) -> Any:
    """Keep the rows of some accounts; where the engine plans a query, they travel as a table and not as its text."""
    wanted, native = sorted(accounts), nw.to_native(data)
    if data.implementation.is_duckdb():
        return nw.from_native(_joined_in_duckdb(native, wanted))
    if data.implementation.is_pyspark():
        rows = native.sparkSession.createDataFrame([(account,) for account in wanted], "account string")
        return data.join(nw.from_native(rows), on="account", how="semi")
    return data.filter(nw.col("account").is_in(wanted))


def _joined_in_duckdb(documents: Any, accounts: Sequence[str]) -> Any:
    import pyarrow as pa

    readable = pa.table({"account": pa.array(accounts, pa.string())})  # DuckDB finds it by the name in the query
    joined = documents.query("documents", "select documents.* from documents semi join readable using (account)")
    del readable
    return joined


# ---- columns -------------------------------------------------------------------------------------------------------


def _documents(data: Any, basis: Basis, decimals: int | None) -> Any:
    """Return the documents that count, with what their columns say in the words of `Documents`."""
    given = data.collect_schema()
    word = _WORDS[basis][0] if _WORDS[basis][0] in given else None
    amount = "net_units" if "net_units" in given else "net"
    check_columns(data, (amount,), basis)
    texts = [name for name in ("organisation_id", "currency", _WORDS[basis][0], "id") if name in given]
    data = _with_own_values(data, texts, _DAY[basis])
    data = data.with_columns(*(_text(name, data.collect_schema()[name], basis) for name in texts))
    if basis == "orders":
        data = _counted(data, word, amount)
    data, amount = _with_own_amounts(data, amount)
    schema = data.collect_schema()
    fits, units = _amount(amount, schema[amount], basis, decimals)
    day = _day(_DAY[basis], schema[_DAY[basis]], basis)
    data = data.with_columns(day=day, fits=fits, units=units)
    if word is not None:
        data = data.with_columns(credit=nw.col(word) == "credit note")
    return data.select(
        nw.col("organisation_id").alias("account"),
        "currency",
        "day",
        _signed(word).alias("units"),
        _amiss(word, basis).alias("amiss"),
        *([nw.col("id")] if "id" in schema else []),
    )


def _counted(data: Any, state: str | None, amount: str) -> Any:
    """Leave out orders that are drafts or cancelled, and those without an amount, because they have no lines."""
    data = data.filter(~nw.col(amount).is_null())
    if state is None:
        return data
    return data.filter(nw.col(state).is_null() | ~nw.col(state).is_in(sorted(set(ORDER_STATES) - COUNTED)))


def _signed(word: str | None) -> Expr:
    units = nw.col("units")
    return units if word is None else nw.when(nw.col("credit")).then(-units).otherwise(units)


def _amiss(word: str | None, basis: Basis) -> Expr:
    """Say why a row is no document; 0 where it is one."""
    found = nw.when(nw.col("day").is_null()).then(nw.lit(NO_DAY)).otherwise(nw.lit(0))
    if word is not None:
        negative = nw.col("credit") & (nw.col("units") < 0)
        found = nw.when(negative).then(nw.lit(NEGATIVE)).otherwise(found)
        words = [nw.col(word) == one for one in _WORDS[basis][1] if one != "credit note"]
        known = functools.reduce(operator.or_, words, nw.col("credit") | nw.col(word).is_null())
        found = nw.when(known).then(found).otherwise(nw.lit(NO_WORD))
    return nw.when(nw.col("fits")).then(found).otherwise(nw.lit(NO_AMOUNT))


def _text(name: str, dtype: Any, what: str) -> Expr:
    """Take a column of text; whole numbers are read as their text."""
    if dtype == nw.String:
        return nw.col(name)
    if dtype in (nw.Categorical, nw.Enum, nw.Unknown, *_WHOLE):
        return nw.col(name).cast(nw.String)
    raise ValidationError.of(what, name, str(dtype), "must be a column of text")


def _day(name: str, dtype: Any, what: str) -> Expr:
    """Take a column of days, or of moments without a zone."""
    if dtype == nw.Unknown:
        return nw.col(name).cast(nw.Date)
    if dtype == nw.Date or (isinstance(dtype, nw.Datetime) and dtype.time_zone is None):
        return nw.col(name)
    raise ValidationError.of(what, name, str(dtype), "must be a column of days")


def _amount(name: str, dtype: Any, what: str, decimals: int | None) -> tuple[Expr, Expr]:
    """Return whether a cell is an amount that can be kept exactly, and its ten-thousandths; 0 where it is none."""
    cell, nothing = nw.col(name), nw.lit(0)
    if dtype == nw.Unknown:
        return cell.is_null() & ~cell.is_null(), nothing
    if dtype in _WHOLE:
        per = 1 if name == "net_units" else _UNITS
        fits = (cell >= -_MOST // per) & (cell <= _MOST // per)
        return fits, nw.when(fits).then(cell).otherwise(nothing).cast(nw.Int64) * per
    if dtype in (nw.Float32, nw.Float64):
        if name == "net":
            return _of_floats(cell.cast(nw.Float64), what, dtype, decimals)
        fits = (cell.round(0) == cell) & (cell.abs() < _EXACT_FLOATS)  # what pandas makes of whole numbers beside nulls
        return fits, nw.when(fits).then(cell).otherwise(nw.lit(0.0)).cast(nw.Int64)
    if dtype == nw.Decimal and name == "net":
        narrow = dtype.scale <= SCALE and dtype.precision - dtype.scale <= _DIGITS
        return _of_narrow(cell, dtype.scale) if narrow else _of_wide(cell, dtype.scale)
    raise ValidationError.of(what, name, str(dtype), "must be a column of decimals or whole numbers")


def _of_narrow(cell: Expr, scale: int) -> tuple[Expr, Expr]:
    """Take decimals that are never too large and never have too many places: at most 17 digits, which is fast."""
    return ~cell.is_null(), (cell * nw.lit(Decimal(10**scale))).cast(nw.Int64) * 10 ** (SCALE - scale)


def _of_wide(cell: Expr, scale: int) -> tuple[Expr, Expr]:
    fits, near = cell.abs() <= _LARGEST, cell
    if scale > SCALE:
        near = cell.round(SCALE)
        fits &= near == cell
    kept = nw.when(fits).then(near).otherwise(nw.lit(Decimal(0))).cast(nw.Decimal(20, SCALE))
    return fits, (kept * nw.lit(Decimal(_UNITS))).cast(nw.Int64)  # 25 or 26 digits: DuckDB takes 18 or 38, Arrow 38


def _of_floats(cell: Expr, what: str, dtype: Any, decimals: int | None) -> tuple[Expr, Expr]:
    """Take floats for the numbers of so many decimal places they stand for; one that is near none is refused."""
    if decimals is None:
        raise ValidationError.of(what, "net", str(dtype), "is not exact; say decimals=2 where floats stand for cents")
    scale = 10**decimals
    whole = (cell * scale).round(0)
    fits = ((cell - whole / scale).abs() <= _NEAR) & (cell.abs() <= _LARGEST)
    return fits, nw.when(fits).then(whole).otherwise(nw.lit(0.0)).cast(nw.Int64) * 10 ** (SCALE - decimals)


# ---- Python's own values in a column of pandas ---------------------------------------------------------------------


def _is_own(data: Any, name: str) -> bool:
    """Say whether a column holds Python's own objects, which no engine can count with."""
    if not isinstance(data, nw.DataFrame) or not data.implementation.is_pandas_like():
        return False
    return bool(str(data.get_column(name).to_native().dtype) == "object")


def _with_own_values(data: Any, texts: Iterable[str], day: str) -> Any:
    for name in (name for name in texts if _is_own(data, name)):
        data = _replaced(data, name, _text_of, nw.String)
    return _replaced(data, day, _moment_of, nw.Datetime("us")) if _is_own(data, day) else data


def _with_own_amounts(data: Any, amount: str) -> tuple[Any, str]:
    """Return ten-thousandths in the place of decimals, and the column they are in."""
    if not _is_own(data, amount):
        return data, amount
    per = 1 if amount == "net_units" else _UNITS
    return _replaced(data, amount, lambda cell: _units_of(cell, per), nw.Int64, "net_units"), "net_units"


def _replaced(data: Any, name: str, convert: Callable[[Any], Any], dtype: Any, to: str | None = None) -> Any:
    cells = [convert(cell) for cell in data.get_column(name).to_list()]
    return data.with_columns(nw.new_series(to or name, cells, dtype, backend=data.implementation))


def _text_of(cell: Any) -> str | None:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    return cell if isinstance(cell, str) else None


def _moment_of(cell: Any) -> datetime | None:
    if not isinstance(cell, date) or cell != cell:  # noqa: PLR0124 - pandas' own nothing is a date that is not itself
        return None
    aware = isinstance(cell, datetime) and cell.tzinfo is not None
    return None if aware else datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 - a day


def _units_of(cell: Any, per: int) -> int:
    """Return ten-thousandths; what is no exact amount becomes a number that no amount reaches."""
    if isinstance(cell, bool) or not isinstance(cell, (int, Decimal)) or (number := exact(cell)) is None:
        return _NO_UNITS
    units = Fraction(number) * per
    return int(units) if units.denominator == 1 and abs(units) <= _MOST else _NO_UNITS


def _as_literal(day: date, dtype: Any) -> Any:
    return datetime(day.year, day.month, day.day) if isinstance(dtype, nw.Datetime) else day  # noqa: DTZ001 - as is


def _as_day(value: Any) -> date:
    return value.date() if isinstance(value, datetime) else value
