"""CSV files as exports really are: each form that is stated or found, and each that could be two, is told."""

from __future__ import annotations

import csv
import locale
import os
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import sheets

TEXT = 'Nr;Name;Umsatz;Datum\r\n1;"Müller; Söhne";"1.234,50";21.11.2026\r\n2;Straße;-3,5;01.02.2025\r\n'
ROWS = [["1", "Müller; Söhne", "1.234,50", "21.11.2026"], ["2", "Straße", "-3,5", "01.02.2025"]]
NAMES = ("Nr", "Name", "Umsatz", "Datum")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file, of bytes or of text in an encoding."""

    def write(content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / "export.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def read(path: Path, wanted: tuple[str, ...] = (), **stated: Any) -> list[list[str]]:
    """Read all rows of a file."""
    sheet = sheets.opened(path, stated.get("encoding"), stated.get("separator"), wanted)
    return [line.cells for line in sheets.lines(sheet)]


def refused(path: Path, wanted: tuple[str, ...] = (), **stated: Any) -> str:
    """Return the one problem of a file that is refused."""
    with pytest.raises(ka.ValidationError) as caught:
        read(path, wanted, **stated)
    (problem,) = caught.value.problems
    return str(problem)


# ---- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings_are_found(file: Any, encoding: str, found: str) -> None:
    """The usual encodings are found, and the rows are the same in each."""
    path = file(TEXT, encoding)
    assert sheets.opened(path, None, None, NAMES).encoding == found
    assert read(path) == ROWS


@pytest.mark.parametrize("mark", ["utf-16-be", "utf-16-le"])
def test_both_orders_of_utf16(file: Any, mark: str) -> None:
    """UTF-16 with a mark is read in either order of bytes; without one it is refused, naming both."""
    assert read(file("\ufeff" + TEXT, mark)) == ROWS
    path = file(TEXT, mark)
    told = refused(path)
    assert "utf-16-le" in told
    assert "utf-16-be" in told
    assert read(path, encoding=mark) == ROWS


@pytest.mark.parametrize("stated", ["utf-8", "UTF8", "U8", "utf_8_sig"])
def test_a_mark_before_utf8_is_no_part_of_the_first_name(file: Any, stated: str) -> None:
    """Where UTF-8 is stated, a byte order mark in front is read over all the same."""
    assert sheets.opened(file(TEXT, "utf-8-sig"), stated, None, NAMES).header == NAMES


@pytest.mark.parametrize("encoding", ["", "klingon", "rot13", "base64", 5, "utf-8\0", "\ud800", b"utf-8", ["utf-8"]])
def test_other_encodings_are_refused(file: Any, encoding: Any) -> None:
    """What is no encoding of text is refused."""
    assert "is no encoding" in refused(file(TEXT), encoding=encoding)


def test_a_file_that_is_utf8_in_places_only(file: Any) -> None:
    """One broken byte does not make a UTF-8 file Windows-1252: that would turn every umlaut into two signs."""
    path = file("Nr;Name\n1;Müller\n".encode() + b"2;S\xf6hne\n")
    told = refused(path)
    assert "'utf-8'" in told
    assert "'cp1252'" in told
    assert read(path, encoding="cp1252") == [["1", "MÃ¼ller"], ["2", "Söhne"]]
    assert refused(path, encoding="utf-8").startswith("export.csv:3: is not written in")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_of_a_broken_byte(file: Any, end: str) -> None:
    """A byte that the encoding does not have is told with its line, however far down that is."""
    rows = end.join(["Nr;Name", *(f"{n};x" for n in range(2, 5000))]).encode()
    path = file(rows + end.encode() + b"5000;\x81" + end.encode())
    given: list[dict[str, Any]] = [{"encoding": "utf-8"}, {}]
    for stated in given:
        assert refused(path, **stated).startswith("export.csv:5000: is not written in the encoding")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever Unicode text is written as UTF-8 CSV is read back exactly."""
    path = tmp_path_factory.mktemp("sheet") / "x.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out).writerows([["a", "b"], ["1", text]])
    rows = read(path, ("a", "b"))
    assert rows == [["1", text]]


# ---- separators, quotes, lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(file: Any, separator: str, quoted: bool, end: str) -> None:
    """Every separator is found, whether names are quoted or not, under every line end; breaks inside quotes stay."""
    names = [f'"{name}"' if quoted else name for name in NAMES]
    text = end.join([separator.join(names), f'1{separator}"two{end}lines"{separator}3{separator}4', "", ""])
    path = file(text)
    sheet = sheets.opened(path, None, None, NAMES)
    assert (sheet.separator, sheet.header) == (separator, NAMES)
    assert [line.cells for line in sheets.lines(sheet)] == [["1", f"two{end}lines", "3", "4"]]


def test_a_header_that_could_be_split_two_ways(file: Any) -> None:
    """Two separators that give as many columns are named both; stated, either is taken."""
    path = file("a;b,c\n1;2,3\n")
    told = refused(path)
    assert "','" in told
    assert "';'" in told
    assert read(path, separator=";") == [["1", "2,3"]]
    assert read(path, ("a;b",)) == [["1;2", "3"]]


@pytest.mark.parametrize("separator", ["", "::", "x", 5, None.__class__, [","], "\n"])
def test_other_separators_are_refused(file: Any, separator: Any) -> None:
    """What is no separator is refused."""
    if separator == "":
        separator = " "
    assert "must be a comma" in refused(file(TEXT), separator=separator)


def test_blank_rows_are_left_out(file: Any) -> None:
    """Empty lines, lines of blanks and lines of separators alone are no rows; lines are numbered as in the file."""
    path = file("a;b\n\n1;2\n   \n;;\n ; \n3;4\n\n\n")
    sheet = sheets.opened(path, None, None, ("a", "b"))
    assert [(line.number, line.cells) for line in sheets.lines(sheet)] == [(3, ["1", "2"]), (7, ["3", "4"])]


def test_rows_are_numbered_by_the_line_they_begin_in(file: Any) -> None:
    """A row after one of three lines has the number of the line of the file that it begins in."""
    sheet = sheets.opened(file('a;b\n1;"x\ny\nz"\n2;w\n'), None, None, ("a", "b"))
    assert [line.number for line in sheets.lines(sheet)] == [2, 5]


def test_names_have_their_blanks_taken_away(file: Any) -> None:
    """Blanks around a name in the header do not count."""
    assert sheets.opened(file(" Nr ;\tName ; x y\n"), None, ";", ("Nr", "Name")).header == ("Nr", "Name", "x y")


@pytest.mark.parametrize("content", ["", "\n", "  \n\n", "\ufeff"])
def test_an_empty_file(file: Any, content: str) -> None:
    """A file without a header is told to be empty."""
    assert "is empty" in refused(file(content))


def test_a_header_alone(file: Any) -> None:
    """A header without rows is a table without rows."""
    assert read(file("a;b")) == []
    assert read(file("a;b\r\n")) == []


def test_names_that_stand_twice(file: Any) -> None:
    """A wanted name that stands twice is refused; twice the same name that nobody wants is not."""
    path = file("a;b;b\n1;2;3\n")
    assert "stands twice" in refused(path, ("a", "b"))
    assert read(path, ("a",)) == [["1", "2", "3"]]


def test_a_misspelt_name(file: Any) -> None:
    """A wanted name that is not there is told with the nearest that is."""
    assert "did you mean 'Umsatz'?" in refused(file(TEXT), ("Umsaz",))


@pytest.mark.parametrize("row", ['2;"x', '2;"x"y', '2;"x" ;3'])
def test_broken_quotes(file: Any, row: str) -> None:
    """A row whose quotes do not fit is told with the line it begins in."""
    told = refused(file(f"a;b\n1;x\n{row}\n3;z\n4;z\n"))
    assert told.startswith("export.csv:3: begins a row that is no CSV")


def test_a_cell_too_long_for_csv(file: Any) -> None:
    """A cell of ten million characters is refused, with its line, and the process's limit stays as it was."""
    before = csv.field_size_limit()
    told = refused(file("a;b\n1;x\n2;" + "x" * 10_000_000 + "\n"))
    assert told.startswith("export.csv:3: begins a row that is no CSV")
    assert csv.field_size_limit() == before


def test_ten_thousand_columns(file: Any) -> None:
    """A header of ten thousand names is one."""
    names = tuple(f"column number {n}" for n in range(10_000))
    path = file(";".join(names) + "\n" + ";".join("x" * 10_000) + "\n")
    sheet = sheets.opened(path, None, None, names[:3])
    assert sheet.header == names
    assert [len(line.cells) for line in sheets.lines(sheet)] == [10_000]


def test_a_header_without_an_end(file: Any) -> None:
    """A first line of five million characters is refused."""
    assert "has a header of more than" in refused(file("x;" * 2_500_000))


# ---- paths -----------------------------------------------------------------------------------------------------------


class Hostile(os.PathLike[str]):
    """A path that raises."""

    def __fspath__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "path", ["", "a\0b", None, 5, b"x.csv", Hostile(), "\ud800", "x" * 5000, "/", ".", "/dev/null", "missing.csv"]
)
def test_what_is_no_file(path: Any) -> None:
    """What is no path, and a path of no file, is refused."""
    with pytest.raises(ka.ValidationError):
        sheets.opened(path, None, None, ())


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A named pipe is refused at once instead of waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ka.ValidationError, match="is no file"):
        sheets.opened(tmp_path / "pipe", None, None, ())


# ---- numbers and days ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("12", "12", "12"),
        ("-12", "-12", "-12"),
        ("+12", "12", "12"),
        ("12-", "-12", "-12"),
        ("1,234.50", "1234.5", None),
        ("1.234,50", None, "1234.5"),
        ("1.234", "1.234", "1234"),
        ("1,234", "1234", "1.234"),
        ("1 234 567", "1234567", "1234567"),
        ("1\u00a0234,5", None, "1234.5"),
        ("1\u202f234,5", None, "1234.5"),
        ("1'234.50", "1234.5", None),
        ("1\u2019234.50", "1234.5", None),
        ("1,234'567", None, None),
        ("1.234.567", None, "1234567"),
        ("12.34.567", None, None),
        ("1.2345,6", None, None),
        (".5", None, None),
        ("5.", None, None),
        ("-5-", None, None),
        ("--5", None, None),
        ("1e5", None, None),
        ("0x10", None, None),
        ("1_000", None, None),
        ("NaN", None, None),
        ("Infinity", None, None),
        ("\u0663", None, None),
        ("5 €", None, None),
        ("", None, None),
        ("9" * 61, None, None),
    ],
)
def test_numbers(text: str, point: str | None, comma: str | None) -> None:
    """A number is read only where it is written in the form that is meant."""
    wanted = tuple(None if one is None else Decimal(one) for one in (point, comma))
    assert (sheets.number(text, "."), sheets.number(text, ",")) == wanted


@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False), st.sampled_from(". ,"), st.booleans())
def test_every_number_is_read_as_it_is_written(value: Decimal, decimal: str, grouped: bool) -> None:
    """What is written with either sign, grouped or not, is read as the same number."""
    decimal = "," if decimal == " " else decimal
    text = f"{value:,.4f}" if grouped else f"{value:.4f}"
    text = text if decimal == "." else text.translate(str.maketrans(",.", ".,"))
    assert sheets.number(text, decimal) == value


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("2026-11-21", "%Y-%m-%d", date(2026, 11, 21)),
        ("2026-11-21 00:00:00", "%Y-%m-%d", date(2026, 11, 21)),
        ("2026-11-21T00:00:00.000", "%Y-%m-%d", date(2026, 11, 21)),
        ("2026-11-21 10:00:00", "%Y-%m-%d", None),
        ("21.11.2026", "%d.%m.%Y", date(2026, 11, 21)),
        ("1.2.2026", "%d.%m.%Y", date(2026, 2, 1)),
        ("21.11.2026 00:00", "%d.%m.%Y", date(2026, 11, 21)),
        ("29.02.2025", "%d.%m.%Y", None),
        ("21.11.26", "%d.%m.%Y", None),
        ("21.11.26", "%d.%m.%y", date(2026, 11, 21)),
        ("03/04/2026", "%d/%m/%Y", date(2026, 4, 3)),
        ("03/04/2026", "%m/%d/%Y", date(2026, 3, 4)),
        ("20261121", "%Y%m%d", date(2026, 11, 21)),
        ("2026/11/21", "%Y/%m/%d", date(2026, 11, 21)),
        ("21-11-2026", "%d-%m-%Y", date(2026, 11, 21)),
        ("\u0662\u0661.11.2026", "%d.%m.%Y", None),
        ("0000-01-01", "%Y-%m-%d", None),
        ("", "%d.%m.%Y", None),
        ("1" * 100, "%d%m%Y", None),
    ],
)
def test_days(text: str, pattern: str, found: date | None) -> None:
    """A day is read only where it is written in the form that is meant, and there is such a day."""
    assert sheets.day(text, pattern) == found


@given(st.dates(date(1000, 1, 1)), st.sampled_from(sorted(sheets._ORDERS)))
def test_every_day_is_read_as_it_is_written(day: date, pattern: str) -> None:
    """Every day is read back in each form that is known."""
    assert sheets.day(day.strftime(pattern), pattern) == day


@pytest.mark.parametrize(
    "pattern", ["", "%d.%m", "%d.%d.%m.%Y", "%d.%B.%Y", "%x", "%%", "dmy", "%d.%m.%Y" * 30, 5, "%j%Y"]
)
def test_patterns_that_are_none(pattern: Any) -> None:
    """A pattern that does not say a day by numbers, each once, is refused."""
    with pytest.raises(ka.ValidationError, match="must be a pattern"):
        sheets.check_forms(None, pattern)


@pytest.mark.parametrize("decimal", ["", ";", "..", 5, None.__class__, [","]])
def test_decimal_signs_that_are_none(decimal: Any) -> None:
    """What is neither point nor comma is refused."""
    with pytest.raises(ka.ValidationError, match="must be"):
        sheets.check_forms(decimal, None)


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([], None),
        (["12", "-5", "7-"], None),
        (["1,5", "12"], ","),
        (["1.234", "1.234,5"], ","),
        (["1,234", "1.5"], "."),
        (["1,5", "2,5", "1.5"], ","),
        (["x", "y"], None),
    ],
)
def test_the_decimal_sign_is_found(cells: list[str], found: str | None) -> None:
    """The sign that most numbers fit is found; whole numbers tell nothing."""
    assert sheets.found_decimal(cells, "x.csv") == found


@pytest.mark.parametrize("cells", [["1.234"], ["1,234", "5,678"], ["1,5", "1.5"]])
def test_a_decimal_sign_that_could_be_both(cells: list[str]) -> None:
    """Where both signs fit as many numbers, both are named."""
    with pytest.raises(ka.ValidationError, match=r"'\.' or ','; say which: decimal="):
        sheets.found_decimal(cells, "x.csv")


def test_days_that_could_be_two() -> None:
    """Days that are in March or in April are refused with both readings; one that tells decides."""
    with pytest.raises(ka.ValidationError, match="'%d/%m/%Y' or '%m/%d/%Y'; say which: dates="):
        sheets.found_dates(["03/04/2026", "05/06/2026"], "x.csv")
    assert sheets.found_dates(["03/04/2026", "25/06/2026"], "x.csv") == "%d/%m/%Y"
    assert sheets.found_dates(["03/04/2026"] * 5000 + ["06/25/2026"], "x.csv") == "%m/%d/%Y"


def test_short_years_are_not_found() -> None:
    """A year of two digits is read only where it is stated."""
    assert sheets.found_dates(["21.11.26"], "x.csv") is None


def test_nothing_of_the_process_is_changed(file: Any) -> None:
    """Reading leaves the locale and the limit of cells as they were."""
    before = (locale.setlocale(locale.LC_ALL), csv.field_size_limit())
    read(file(TEXT))
    assert (locale.setlocale(locale.LC_ALL), csv.field_size_limit()) == before


@pytest.mark.parametrize(
    ("cells", "found", "said"),
    [
        (["1,234.5", "1.234,5"], sheets.found_decimal, "decimal = '1.234,5': stands among as many cells written as"),
        (
            ["13/04/2026", "04/13/2026"],
            sheets.found_dates,
            "dates = '04/13/2026': stands among as many cells written as",
        ),
        (
            ["03/04/2026", "04/03/2026"],
            sheets.found_dates,
            "dates = '04/03/2026': could be read as '%d/%m/%Y' or '%m/%d/%Y'",
        ),
    ],
)
def test_a_column_of_mixed_forms_is_said_to_be_mixed(cells: list[str], found: Any, said: str) -> None:
    """Cells that each tell their form, and differ, are not said to be readable in two ways; one of them is shown."""
    with pytest.raises(ka.ValidationError, match=re.escape(said)):
        found(cells, "table.csv")
