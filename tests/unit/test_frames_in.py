"""Data frames in: pandas, Polars and PyArrow give the same records as the rows they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka

Rows = Sequence[Mapping[str, Any]]
INVOICE = {"id": "1", "organisation_id": "acme", "issued_on": date(2026, 1, 2), "net": Decimal("12.50")}
EUROS = {"currency": "EUR"}


@pytest.fixture
def desk() -> Iterator[ka.Desk]:
    """Open a book with an organisation."""
    with ka.open() as book:
        desk = book.trusted("import")
        desk.put(ka.Organisation("acme", name="ACME"))
        yield desk


@pytest.fixture(params=["list", "pandas", "polars", "pyarrow"])
def framed(request: pytest.FixtureRequest) -> Callable[[Rows], Any]:
    """Make a frame of rows in each of the packages."""
    if request.param == "list":
        return list
    package: Any = pytest.importorskip(request.param)
    if request.param == "pyarrow":
        return lambda rows: package.Table.from_pylist([dict(row) for row in rows])
    return lambda rows: package.DataFrame([dict(row) for row in rows])


@pytest.fixture
def pandas() -> ModuleType:
    """Return pandas."""
    package: ModuleType = pytest.importorskip("pandas")
    return package


def refused(call: Callable[[], Any]) -> list[tuple[str, str, str]]:
    """Return place, column and reason of everything that a call is refused for."""
    with pytest.raises(ka.ValidationError) as caught:
        call()
    return [(p.place, p.field, p.reason) for p in caught.value.problems]


def test_each_package_gives_the_same_records(desk: ka.Desk, framed: Any) -> None:
    """Text, days, decimals, flags and missing values arrive alike; a second time nothing changes."""
    rows = [
        {**INVOICE, "due_on": date(2026, 2, 1), "disputed": True, "number": "A"},
        {**INVOICE, "id": "2", "due_on": None, "disputed": False, "number": None},
    ]
    for written in (2, 0):
        told = desk.from_frame(ka.Invoice, framed(rows), fixed=EUROS)
        assert (told.read, told.written, told.source) == (2, written, "frame")
    one, two = desk.find(ka.Invoice, order="id")
    assert (one.net, one.due_on, one.disputed, one.number) == (ka.Money("12.5", "EUR"), date(2026, 2, 1), True, "A")
    assert (two.due_on, two.disputed, two.number) == (None, False, None)


def test_columns_are_mapped_and_bad_rows_are_numbered(desk: ka.Desk, framed: Any) -> None:
    """The mapping is that of a file; a bad row is told with its number, from 1."""
    frame = framed([{"nr": "a", "title": "Tea", "x": 1}, {"nr": "b", "title": "", "x": 2}])
    mapping = {"nr": "id", "title": "name"}
    assert refused(lambda: desk.from_frame(ka.Product, frame, columns=mapping)) == [("frame:2", "title", "is required")]
    ((*_, reason),) = refused(lambda: desk.from_frame(ka.Product, frame, columns={"nr": "id", "titel": "name"}))
    assert reason == "is no column; did you mean 'title'?"


def test_floats_need_their_decimals(desk: ka.Desk, framed: Any) -> None:
    """A float is taken only with stated decimals, and where it is such a number to a millionth."""
    frame = framed([{**INVOICE, "net": 0.1 + 0.2}, {**INVOICE, "id": "2", "net": 1234567.89}])
    ((_, _, first), (_, _, second)) = refused(lambda: desk.from_frame(ka.Invoice, frame, fixed=EUROS))
    assert first == second == "is a float; say with how many decimals="
    desk.from_frame(ka.Invoice, frame, fixed=EUROS, decimals=2)
    assert [str(row.net) for row in desk.find(ka.Invoice, order="id")] == ["0.30 EUR", "1234567.89 EUR"]
    off = framed([{**INVOICE, "id": "3", "net": 12.501}])
    assert refused(lambda: desk.from_frame(ka.Invoice, off, fixed=EUROS, decimals=2)) == [
        ("frame:1", "net", "is no number with 2 decimals")
    ]
    for value in (float("inf"), 1e15):
        vast = framed([{**INVOICE, "id": "3", "net": value}])
        assert refused(lambda vast=vast: desk.from_frame(ka.Invoice, vast, fixed=EUROS, decimals=2)) == [  # type: ignore[misc]
            ("frame:1", "net", "is too large")
        ]


@given(st.decimals(-(10**9), 10**9, places=2, allow_nan=False))
def test_every_amount_that_became_a_float_is_found_again(amount: Decimal) -> None:
    """An amount with two decimals that went through a float is the same amount again."""
    with ka.open() as book:
        desk = book.trusted("x")
        desk.put(ka.Organisation("acme", name="A"))
        desk.from_frame(ka.Invoice, [{**INVOICE, "net": float(amount)}], fixed=EUROS, decimals=2)
        assert desk.get(ka.Invoice, "1").net == ka.Money(amount, "EUR")


@pytest.mark.parametrize("decimals", [-1, 5, 2.0, "2", True])
def test_decimals_that_are_none(desk: ka.Desk, decimals: Any) -> None:
    """What is no number of decimals is refused."""
    with pytest.raises(ka.ValidationError, match="must be a whole number"):
        desk.from_frame(ka.Invoice, [INVOICE], fixed=EUROS, decimals=decimals)


def test_whole_numbers_that_became_floats(desk: ka.Desk, framed: Any) -> None:
    """Ids and counts that became floats beside a missing value are whole numbers again."""
    rows = [
        {**INVOICE, "id": 7.0, "dunning_level": 2.0, "n": 3.0},
        {**INVOICE, "id": 8.0, "dunning_level": None, "n": None},
    ]
    mapping = {name: name for name in (*INVOICE, "dunning_level")} | {"n": "extra.n"}
    desk.from_frame(ka.Invoice, framed(rows), columns=mapping, fixed=EUROS)
    seven, eight = desk.find(ka.Invoice, order="id")
    assert (seven.id, seven.dunning_level, seven.extra) == ("7", 2, {"n": 3})
    assert (eight.id, eight.dunning_level, eight.extra) == ("8", 0, {})
    assert type(seven.extra["n"]) is int


def test_an_empty_frame(desk: ka.Desk, framed: Any) -> None:
    """A frame without rows is a table without rows, with and without columns."""
    frame = framed([{"id": "p", "name": "x"}])[:0]
    for columns in (None, {"id": "id", "name": "name"}):
        told = desk.from_frame(ka.Product, frame, columns=columns)
        assert (told.read, told.written) == (0, 0)


def test_lists_go_to_fields_of_several_values(desk: ka.Desk, framed: Any) -> None:
    """A list in a cell fills a field of several values; in a text it is refused, and not written as Python shows it."""
    frame = framed([{"id": "a", "name": "A", "phones": ["123", "456"]}])
    desk.from_frame(ka.Organisation, frame)
    assert desk.get(ka.Organisation, "a").phones == ("123", "456")
    ((_, column, reason),) = refused(lambda: desk.from_frame(ka.Product, frame, columns={"id": "id", "phones": "name"}))
    assert (column, reason) == ("phones", "is no text but a list")


def test_pandas_has_many_words_for_nothing(desk: ka.Desk, pandas: Any) -> None:
    """NaN, NaT, NA and None are nothing."""
    frame = pandas.DataFrame(
        {
            "id": ["1", "2", "3", "4"],
            "organisation_id": "acme",
            "issued_on": pandas.to_datetime(["2026-01-02"] * 4),
            "due_on": pandas.to_datetime(["2026-01-03", None, "2026-01-05", None]),
            "dunning_level": pandas.array([1, None, 3, None], dtype="Int64"),
            "number": pandas.Series(["a", None, pandas.NA, float("nan")], dtype=object),
            "net": [Decimal("1.5"), Decimal("NaN"), Decimal(2), None],
            "gross": [1.5, float("nan"), 2.0, None],
        }
    )
    told = refused(lambda: desk.from_frame(ka.Invoice, frame, fixed=EUROS, decimals=2))
    assert [(place, column) for place, column, _ in told] == [("frame:2", "net"), ("frame:4", "net")]
    desk.from_frame(ka.Invoice, frame.drop(index=[1, 3]), fixed=EUROS, decimals=2)
    one, three = desk.find(ka.Invoice, order="id")
    assert (one.issued_on, one.due_on, one.dunning_level, one.number) == (date(2026, 1, 2), date(2026, 1, 3), 1, "a")
    assert (three.due_on, three.dunning_level, three.number, three.gross) == (
        date(2026, 1, 5),
        3,
        None,
        ka.Money(2, "EUR"),
    )


def test_pandas_categories_and_moments(desk: ka.Desk, pandas: Any) -> None:
    """Categories are their words; moments keep their zone, or get the book's; a moment is no day."""
    numpy = pytest.importorskip("numpy")
    frame = pandas.DataFrame(
        {
            "id": ["a", "b"],
            "organisation_id": pandas.Categorical(["acme", "acme"]),
            "kind": pandas.Categorical(["call", "visit"]),
            "at": pandas.to_datetime(["2026-07-01T12:00:00.000000001", "2026-07-01T12:30:00.000000000"]).tz_localize(
                "Europe/Berlin"
            ),
            "n": [numpy.int64(1), numpy.int64(2)],
        }
    )
    mapping = {name: name for name in ("id", "organisation_id", "kind", "at")} | {"n": "extra.n"}
    desk.from_frame(ka.Activity, frame, columns=mapping)
    one, two = desk.find(ka.Activity, order="id")
    assert (one.kind, one.at, one.extra["n"]) == ("call", datetime(2026, 7, 1, 10, 0, tzinfo=UTC), 1)
    assert two.at == datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
    odd = pandas.DataFrame(
        {"id": ["c"], "organisation_id": ["acme"], "at": [numpy.datetime64("2026-07-01T12:00", "ns")]}
    )
    desk.from_frame(ka.Activity, odd.astype(object))
    assert desk.get(ka.Activity, "c").at == datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    noon = pandas.DataFrame([{**INVOICE, "issued_on": datetime(2026, 1, 2, 12)}])  # noqa: DTZ001 - as exports have it
    assert refused(lambda: desk.from_frame(ka.Invoice, noon, fixed=EUROS)) == [
        ("frame:1", "issued_on", "is a moment, not a day")
    ]


def test_names_that_stand_twice(desk: ka.Desk, pandas: Any) -> None:
    """A column that stands twice is refused where it is mapped, and not one of the two taken."""
    frame = pandas.DataFrame([["p", "Tea", "Coffee"]], columns=["id", "name", "name"])
    ((*_, reason),) = refused(lambda: desk.from_frame(ka.Product, frame))
    assert reason == "stands twice in the frame"
    arrow = pytest.importorskip("pyarrow")
    table = arrow.Table.from_arrays([arrow.array([v]) for v in ("p", "Tea", "x", "y")], names=["id", "name", "z", "z"])
    assert desk.from_frame(ka.Product, table, columns={"id": "id", "name": "name"}).written == 1
    assert desk.get(ka.Product, "p").name == "Tea"


def test_arrow_words_and_decimals(desk: ka.Desk) -> None:
    """Dictionary-encoded words and 128-bit decimals arrive as what they stand for, over many batches."""
    arrow = pytest.importorskip("pyarrow")
    count = 2_500
    table = arrow.table(
        {
            "id": [str(n) for n in range(count)],
            "organisation_id": arrow.array(["acme"] * count).dictionary_encode(),
            "issued_on": arrow.array([date(2026, 1, 2)] * count, arrow.date32()),
            "net": arrow.array([Decimal("1.25")] * count, arrow.decimal128(12, 2)),
        }
    )
    assert desk.from_frame(ka.Invoice, table, fixed=EUROS).written == count
    assert desk.get(ka.Invoice, "2499").net == ka.Money("1.25", "EUR")


@pytest.mark.parametrize("frame", [None, 5, "x.csv", [5], {"id": "p"}, object(), [[1]], b"x", iter(())])
def test_frames_that_are_none(desk: ka.Desk, frame: Any) -> None:
    """What is no frame is refused."""
    with pytest.raises(ka.ValidationError):
        desk.from_frame(ka.Product, frame)


def test_rejects_of_a_frame_are_a_file(desk: ka.Desk, tmp_path: Path) -> None:
    """Bad rows go to a file where one is named, and can be read from it; without one they are told alone."""
    rows = [{"id": "p", "name": None}, {"id": "q", "name": "Tea"}]
    told = desk.from_frame(ka.Product, rows, keep_good=True)
    assert (told.written, told.rejected, told.rejects) == (1, 1, None)
    place = tmp_path / "bad.csv"
    told = desk.from_frame(ka.Product, rows, keep_good=True, rejects=place)
    assert (told.unchanged, told.rejected, told.rejects) == (1, 1, str(place))
    place.write_text(place.read_text(encoding="utf-8-sig").replace("p,", "p,Coffee"), encoding="utf-8-sig")
    assert desk.read_csv(ka.Product, place).written == 1


class Nasty:
    """A cell that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


CELLS = (Nasty(), object(), {1: 2}, {"a": Nasty()}, [Nasty()], b"x", 1j, 10**5000, "\ud800")


@pytest.mark.parametrize("number", range(len(CELLS)))
@pytest.mark.parametrize("target", ["id", "name", "active", "list_price", "extra.x", "refs.x"])
def test_cells_of_any_type(desk: ka.Desk, tmp_path: Path, number: int, target: str) -> None:
    """A cell of any type is taken, or told as bad and written to the rejects."""
    row = {"id": "p", "name": "Tea", "list_price": 1} | {target: CELLS[number]}
    rejects = tmp_path / "bad.csv"
    mapping = {name: name for name in row}
    told = desk.from_frame(ka.Product, [row], columns=mapping, fixed=EUROS, keep_good=True, rejects=rejects)
    assert told.written + told.rejected == 1
    assert rejects.exists() == bool(told.rejected)
