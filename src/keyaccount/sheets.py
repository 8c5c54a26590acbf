"""CSV files as exports really are: their encoding, separator, number and date forms, stated or found, never guessed.

What is not stated is found by reading the file; where the file fits two forms, that is an error which names both.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from keyaccount.errors import Problem, StorageUnavailable, ValidationError, nearest
from keyaccount.money import exact

SEPARATORS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
_BLOCK = 1 << 20
_ENOUGH = 1_000
_LONGEST_HEADER = 100_000


@attrs.frozen
class Sheet:
    """One file: how its bytes and cells are read, and its column names."""

    path: Path
    encoding: str
    separator: str
    header: tuple[str, ...]


@attrs.frozen
class Line:
    """One row: its number (the line of the file it begins in), its cells (by place, or by name), how much is read."""

    number: int
    cells: Any
    done: int = 0


# ---- opening -------------------------------------------------------------------------------------------------------


def opened(path: str | os.PathLike[str], encoding: str | None, separator: str | None, wanted: Iterable[str]) -> Sheet:
    """Look at a file: find what is not stated, and read its header, which must hold the columns that are wanted.

    Raises ValidationError, StorageUnavailable where the file cannot be read.
    """
    file = checked_path(path)
    if encoding is not None:
        _check_encoding(encoding)
    if separator is not None and separator not in SEPARATORS:
        raise ValidationError.of("read_csv", "separator", separator, "must be a comma, semicolon, tab or bar")
    known = encoding or _encoding(file)
    first = _first_record(file, known)
    names = list(wanted)
    headers = {one: _split(file, first, one) for one in ([separator] if separator else SEPARATORS)}
    chosen, header = max(headers.items(), key=lambda item: (sum(name in item[1] for name in names), len(item[1])))
    _check_header(file, header, names)
    return Sheet(file, known, chosen, header)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there; raise ValidationError for anything else."""
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise ValidationError.of("read_csv", "path", path, "must be the path of a file")
    try:
        file = Path(path)
        if file.is_file():
            return file
    except (OSError, ValueError):
        pass
    raise ValidationError.of("read_csv", "path", str(path), "is no file that can be read")


def _check_encoding(encoding: object) -> None:
    try:
        known = isinstance(encoding, str) and codecs.lookup(encoding)._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ValidationError.of("read_csv", "encoding", encoding, "is no encoding such as 'utf-8' or 'cp1252'")


def _encoding(file: Path) -> str:
    """Find the encoding: what a byte order mark says, UTF-8 where the whole file is, else Windows-1252."""
    with _reading(file), file.open("rb") as source:
        start = source.read(4)
        if start.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(start)
            while block := source.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _first_record(file: Path, encoding: str) -> str:
    """Read the first line, and the ones that belong to it because a quote is open."""
    with _reading(file), file.open(encoding=encoding, newline="") as source:
        first = source.readline(_LONGEST_HEADER)
        while first.count('"') % 2 and (more := source.readline(_LONGEST_HEADER)) and len(first) < _LONGEST_HEADER:
            first += more
    if not first.strip():
        raise ValidationError.of("read_csv", "path", str(file), "is empty: the first line must name the columns")
    return first


def _split(file: Path, record: str, separator: str) -> tuple[str, ...]:
    with _reading(file):
        return tuple(name.strip() for name in next(csv.reader(io.StringIO(record), delimiter=separator, strict=True)))


def _check_header(file: Path, header: Sequence[str], wanted: Iterable[str]) -> None:
    problems: list[Problem] = []
    for name in wanted:
        if header.count(name) != 1:
            reason = "stands twice in the header" if name in header else f"is no column{nearest(name, header)}"
            problems += ValidationError.of(file.name, "columns", name, reason).problems
    if problems:
        raise ValidationError(problems)


@contextmanager
def _reading(file: Path, line: Callable[[], int] = lambda: 1) -> Iterator[None]:
    """Turn what reading may raise into documented errors that name the file and the line."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{file.name} cannot be read: {type(error).__name__}") from None
    except UnicodeError as error:
        reason = f"is not written in the encoding {error.encoding!r}" if isinstance(error, UnicodeDecodeError) else ""
        raise ValidationError.of(f"{file.name}:{line()}", "", "", reason or "cannot be decoded") from None
    except csv.Error as error:
        raise ValidationError.of(f"{file.name}:{line()}", "", "", f"is no CSV: {error}") from None


def lines(sheet: Sheet) -> Iterator[Line]:
    """Yield the rows below the header, with the line each begins in; blank lines are left out."""
    with (
        _reading(sheet.path),
        sheet.path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding=sheet.encoding, newline="") as text,
    ):
        reader = csv.reader(text, delimiter=sheet.separator, strict=True)
        with _reading(sheet.path, lambda: reader.line_num):
            next(reader)
            begins = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield Line(begins, cells, raw.tell())
                begins = reader.line_num + 1


# ---- forms ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class Forms:
    """How numbers, days and moments are written: the decimal sign, a pattern of `strptime`, and the zone of moments."""

    decimal: str = "."
    dates: str = "%Y-%m-%d"
    zone: Any = None
    decimals: int | None = None


_ORDERS = {
    "%Y-%m-%d": re.compile(r"(?P<y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)(?:[T ]00:00(?::00(?:\.0+)?)?)?"),
    "%d.%m.%Y": re.compile(r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})(?: 00:00(?::00)?)?"),
    "%d/%m/%Y": re.compile(r"(?P<d>\d\d?)/(?P<m>\d\d?)/(?P<y>\d{4})(?: 00:00(?::00)?)?"),
    "%m/%d/%Y": re.compile(r"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d{4})(?: 00:00(?::00)?)?"),
    "%d-%m-%Y": re.compile(r"(?P<d>\d\d?)-(?P<m>\d\d?)-(?P<y>\d{4})"),
    "%Y/%m/%d": re.compile(r"(?P<y>\d{4})/(?P<m>\d\d?)/(?P<d>\d\d?)"),
    "%Y%m%d": re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)"),
}
"""The forms of a day that are found without being stated; a midnight that some exports add is read over."""
_STATED = re.compile(r"(?:%[dmYyHMS]|[^%A-Za-z])+")
_NUMBERS = {
    ".": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[, '\u00a0\u202f\u2019]\d{3})+)(?:\.\d+)?"),
    ",": re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[. '\u00a0\u202f\u2019]\d{3})+)(?:,\d+)?"),
}


def check_forms(decimal: object, dates: object) -> None:
    """Refuse forms that are none: a decimal sign other than point and comma, a pattern of more than numbers."""
    if decimal is not None and decimal not in DECIMALS:
        raise ValidationError.of("read_csv", "decimal", decimal, "must be '.' or ','")
    if dates is not None and (not isinstance(dates, str) or len(dates) > 100 or not _STATED.fullmatch(dates)):  # noqa: PLR2004
        raise ValidationError.of("read_csv", "dates", dates, "must be a pattern of numbers such as '%d.%m.%Y'")


def day(text: str, pattern: str) -> date | None:
    """Read a day in a form; None for what is not written so, or is no day of the calendar."""
    try:
        if (known := _ORDERS.get(pattern)) is None:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007 - a day has no zone
        found = known.fullmatch(text)
        return date(int(found["y"]), int(found["m"]), int(found["d"])) if found and text.isascii() else None
    except ValueError:
        return None


def number(text: str, decimal: str) -> Decimal | None:
    """Read a number with a decimal sign, and thousands in groups of three; None for what is not written so.

    >>> number("1.234,50", ","), number("1,234.5", "."), number("12,5", ".")
    (Decimal('1234.5'), Decimal('1234.5'), None)
    """
    if len(text) > 60 or not text.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2019", "'").isascii():  # noqa: PLR2004
        return None
    if not _NUMBERS[decimal].fullmatch(text):
        return None
    digits = "".join(c for c in text if c in "+-0123456789" or c == decimal)
    return exact(digits.replace(",", "."))


def found_dates(cells: Iterable[str], what: str) -> str | None:
    """Find the form of days: the one that most cells fit. None where there is none to see.

    Raises ValidationError where two forms fit the same cells: "03/04/2026" is in March or in April.
    """
    return _fitting(cells, _ORDERS, day, what, "dates")


def found_decimal(cells: Iterable[str], what: str) -> str | None:
    """Find the decimal sign: the one that most numbers fit. None where all are whole.

    Raises ValidationError where both fit: "1.234" is one and a bit, or a thousand and more.
    """
    telling = (cell for cell in cells if not cell.lstrip("+-").isdecimal())
    return _fitting(telling, DECIMALS, number, what, "decimal")


def _fitting(
    cells: Iterable[str], forms: Iterable[str], read: Callable[[str, str], Any], what: str, argument: str
) -> str | None:
    fits = dict.fromkeys(forms, 0)
    seen, example = 0, ""
    for cell in cells:
        fitting = [form for form in fits if read(cell, form) is not None]
        for form in fitting:
            fits[form] += 1
        seen, example = seen + bool(fitting), cell if len(fitting) > 1 else example
        best = sorted(fits.values(), reverse=True)
        if seen >= _ENOUGH and best[0] > best[1]:
            break
    most = max(fits.values())
    chosen = [form for form, count in fits.items() if count == most]
    if not most:
        return None
    if len(chosen) > 1:
        either = " or ".join(map(repr, chosen))
        raise ValidationError.of(what, argument, example, f"could be read as {either}; say which: {argument}=")
    return chosen[0]
