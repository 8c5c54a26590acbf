"""CSV files as exports really are: their encoding, separator, number and date forms, stated or found, never guessed.

What is not stated is found by reading the file; where the file fits two forms, that is an error which names both.
"""

from __future__ import annotations

import codecs
import csv
import functools
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

from keyaccount.cells import plain
from keyaccount.errors import Problem, StorageUnavailable, ValidationError, nearest
from keyaccount.money import exact

SEPARATORS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
LINE, REASON = "_line", "_reason"
"""The first two columns of a file of rejects: by them it is known when it is read again."""
_BLOCK = 1 << 20
_ENOUGH = 1_000
_LONGEST_LINE = 1 << 22
_HEAD = 4_096


@attrs.frozen
class Sheet:
    """One file: how its bytes and cells are read, and its column names; `rejects` where this library wrote it."""

    path: Path
    encoding: str
    separator: str
    header: tuple[str, ...]
    rejects: bool = False


@attrs.frozen
class Line:
    """One row: its number (the line of the file it begins in), its cells (by place, or by name), how much is read."""

    number: int
    cells: Any
    done: int = 0


# ---- opening -------------------------------------------------------------------------------------------------------


def opened(
    path: object, encoding: str | None, separator: str | None, wanted: Iterable[str], likely: Iterable[str] = ()
) -> Sheet:
    """Look at a file: find what is not stated, and read its header, which must hold the columns that are wanted.

    `likely` are names that help to find the separator. Raises ValidationError, StorageUnavailable where the file cannot
    be read.
    """
    file = checked_path(path)
    if encoding is not None:
        _check_encoding(encoding)
    if separator is not None and not (isinstance(separator, str) and separator in SEPARATORS):
        raise ValidationError.of("read_csv", "separator", separator, "must be a comma, semicolon, tab or bar")
    known = _encoding(file) if encoding is None else _marked(file, encoding)
    first = _first_record(file, known)
    names = list(wanted)
    chosen, header = _split(file, first, separator, names or list(likely))
    rejects = header[:2] == (LINE, REASON)
    header = tuple(map(plain, header[2:])) if rejects else header
    _check_header(file, header, names)
    return Sheet(file, known, chosen, header, rejects)


def checked_path(path: object) -> Path:
    """Return the path of a file that is there; raise ValidationError for anything else."""
    file = path_of("read_csv", "path", path)
    try:
        if file.is_file():
            return file
    except (OSError, ValueError):
        pass
    raise ValidationError.of("read_csv", "path", str(file), "is no file that can be read")


def path_of(call: str, argument: str, path: object) -> Path:
    """Return what a caller gave as a path; raise ValidationError for what cannot be one."""
    try:
        given = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
        if isinstance(given, str) and given and "\0" not in given:
            os.fsencode(given)
            return Path(given)
    except Exception:  # noqa: BLE001, S110 - a foreign path may raise anything; it is refused like any other below
        pass
    raise ValidationError.of(call, argument, path, "must be a path")


def _check_encoding(encoding: object) -> None:
    try:
        known = isinstance(encoding, str) and codecs.lookup(encoding)._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ValidationError.of("read_csv", "encoding", encoding, "is no encoding such as 'utf-8' or 'cp1252'")


def _marked(file: Path, encoding: str) -> str:
    """Read over the mark in front of UTF-8 also where the caller says just that."""
    with _reading(file), file.open("rb") as source:
        marked = source.read(3) == codecs.BOM_UTF8
    return "utf-8-sig" if marked and codecs.lookup(encoding).name == "utf-8" else encoding


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _encoding(file: Path) -> str:
    """Find the encoding: what a byte order mark says, UTF-8 where the whole file is, else Windows-1252.

    Raises ValidationError where a file is UTF-8 in some places and not in others, and for UTF-16 without a mark.
    """
    with _reading(file), file.open("rb") as source:
        start = source.read(_HEAD)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        if start.count(0) > len(start) // 4:
            either = "'utf-16-le' or 'utf-16-be'"
            raise ValidationError.of(
                file.name, "encoding", "", f"is full of NUL bytes, as {either} are; say which: encoding="
            )
        source.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        broken, sound = False, False
        for block in iter(lambda: source.read(_BLOCK), b""):
            text = "" if block.isascii() else decoder.decode(block)
            broken, sound = broken or bool(_BROKEN.search(text)), sound or bool(_SOUND.search(text))
        broken |= bool(decoder.decode(b"", final=True))
    if broken and sound:
        reason = "could be read as 'utf-8', which is broken in places, or 'cp1252'; say which: encoding="
        raise ValidationError.of(file.name, "encoding", "", reason)
    return "cp1252" if broken else "utf-8"


_BROKEN = re.compile("[\udc80-\udcff]")
_SOUND = re.compile("[\x80-\ud7ff\ue000-\U0010ffff]")


def _first_record(file: Path, encoding: str) -> str:
    """Read the first line, and the ones that belong to it because a quote is open."""
    with _reading(file, encoding), file.open(encoding=encoding, newline="") as source:
        first = source.readline(_LONGEST_LINE)
        while first.count('"') % 2 and len(first) < _LONGEST_LINE and (more := source.readline(_LONGEST_LINE)):
            first += more
    if not first.strip():
        raise ValidationError.of(file.name, "", "", "is empty: the first line must name the columns")
    if len(first) >= _LONGEST_LINE:
        raise ValidationError.of(file.name, "", "", f"has a header of more than {_LONGEST_LINE} characters")
    return first


def _split(file: Path, record: str, separator: str | None, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Split the header: at the separator that gives most of the names, then most columns."""
    headers: dict[str, tuple[str, ...]] = {}
    for one in (separator,) if separator else SEPARATORS:
        try:
            headers[one] = tuple(name.strip() for name in next(csv.reader([record], delimiter=one, strict=True)))
        except csv.Error as error:
            reason = str(error)
    if not headers:
        raise ValidationError.of(f"{file.name}:1", "", "", f"is no CSV: {reason}")
    known = {one: set(header) for one, header in headers.items()}
    ranks = {one: (sum(name in known[one] for name in names), len(headers[one])) for one in headers}
    chosen = [one for one, rank in ranks.items() if rank == max(ranks.values())]
    if len(chosen) > 1 and len(headers[chosen[0]]) > 1:
        either = " or ".join(map(repr, chosen))
        raise ValidationError.of(file.name, "separator", "", f"could be {either}; say which: separator=")
    return chosen[0], headers[chosen[0]]


def _check_header(file: Path, header: Sequence[str], wanted: Iterable[str]) -> None:
    problems: list[Problem] = []
    for name in dict.fromkeys(wanted):
        if header.count(name) != 1:
            reason = "stands twice in the header" if name in header else f"is no column{nearest(name, header)}"
            problems += ValidationError.of(file.name, "columns", name, reason).problems
    if problems:
        raise ValidationError(problems)


@contextmanager
def _reading(file: Path, encoding: str = "", line: Callable[[], int] = lambda: 1) -> Iterator[None]:
    """Turn what reading may raise into documented errors that name the file and the line."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{file.name} cannot be read: {type(error).__name__}") from None
    except UnicodeError as error:
        place = f"{file.name}:{_broken_line(file, encoding)}"
        byte = f"0x{error.object[error.start]:02X}" if isinstance(error, UnicodeDecodeError) else ""
        raise ValidationError.of(place, "", byte, f"is not written in the encoding {encoding!r}") from None
    except csv.Error as error:
        raise ValidationError.of(f"{file.name}:{line()}", "", "", f"begins a row that is no CSV: {error}") from None


def _broken_line(file: Path, encoding: str) -> int:
    """Return the line in which a file stops being what its encoding says."""
    number = 1
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        with file.open("rb") as source:
            for piece in iter(lambda: source.readline(_BLOCK), b""):
                text = decoder.decode(piece)
                number += text.count("\n") + text.count("\r") - text.count("\r\n")
    except (UnicodeError, LookupError, OSError):
        pass
    return number


def lines(sheet: Sheet) -> Iterator[Line]:
    """Yield the rows below the header, with the line each begins in; blank ones are left out."""
    begins = 1
    with (
        _reading(sheet.path, sheet.encoding, lambda: begins),
        sheet.path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding=sheet.encoding, newline="") as text,
    ):
        reader = csv.reader(_bounded(text), delimiter=sheet.separator, strict=True)
        next(reader)
        begins = reader.line_num + 1
        for cells in reader:
            if any(cells) and any(map(str.strip, cells)):
                yield Line(begins, [*map(plain, cells[2:])] if sheet.rejects else cells, raw.tell())
            begins = reader.line_num + 1


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a file, each of which must fit into memory."""
    for line in iter(lambda: text.readline(_LONGEST_LINE), ""):
        if len(line) >= _LONGEST_LINE:
            raise csv.Error(f"it has a line of more than {_LONGEST_LINE} characters")
        yield line


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
_STATED = re.compile(r"(?:%[dmYyHMS]|[^%A-Za-z0-9])+")
_DIRECTIVES = re.compile(r"%([dmYyHMS])")
_THOUSANDS = " '\u00a0\u202f\u2019"
_NUMBERS = {
    decimal: re.compile(rf"[+-]?(?:\d+|\d{{1,3}}([{thousands}{_THOUSANDS}])\d{{3}}(?:\1\d{{3}})*)(?:[{decimal}]\d+)?")
    for decimal, thousands in ((".", ","), (",", "."))
}


def check_forms(decimal: object, dates: object) -> None:
    """Refuse forms that are none: a decimal sign other than point and comma, a pattern of more than numbers."""
    if decimal is not None and not (isinstance(decimal, str) and decimal in DECIMALS):
        raise ValidationError.of("read_csv", "decimal", decimal, "must be '.' or ','")
    if dates is not None and not _is_pattern(dates):
        reason = "must be a pattern of a day, month and year in numbers, such as '%d.%m.%Y'"
        raise ValidationError.of("read_csv", "dates", dates, reason)


def _is_pattern(dates: object) -> bool:
    if not isinstance(dates, str) or len(dates) > 100 or not _STATED.fullmatch(dates):  # noqa: PLR2004
        return False
    asked = _DIRECTIVES.findall(dates.replace("y", "Y"))
    return {"d", "m", "Y"} <= set(asked) and len(asked) == len(set(asked))


@functools.lru_cache(maxsize=4_096)  # an export says the same few days again and again
def day(text: str, pattern: str) -> date | None:
    """Read a day in a form; None for what is not written so, or is no day of the calendar.

    >>> day("21.11.2026", "%d.%m.%Y"), day("21.11.26", "%d.%m.%y"), day("21.11.26", "%d.%m.%Y")
    (datetime.date(2026, 11, 21), datetime.date(2026, 11, 21), None)
    """
    if len(text) > 60 or not text.isascii():  # noqa: PLR2004
        return None
    try:
        if (known := _ORDERS.get(pattern)) is None:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007 - a day has no zone
        found = known.fullmatch(text)
        return date(int(found["y"]), int(found["m"]), int(found["d"])) if found else None
    except ValueError:
        return None


def moment(text: str, pattern: str) -> datetime | None:
    """Read a moment: as ISO 8601 writes it, or in a pattern with hours; None for anything else."""
    if len(text) > 60 or not text.isascii():  # noqa: PLR2004
        return None
    for read in (datetime.fromisoformat, functools.partial(_timed, pattern)):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _timed(pattern: str, text: str) -> datetime:
    if "%H" not in pattern:
        raise ValueError(pattern)
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - it gets the book's zone


def number(text: str, decimal: str) -> Decimal | None:
    """Read a number with a decimal sign, and thousands in groups of three; None for what is not written so.

    A minus may stand behind it, as some exports write it.

    >>> number("1.234,50", ","), number("1,234.5-", "."), number("12,5", ".")
    (Decimal('1234.5'), Decimal('-1234.5'), None)
    """
    if text.isdecimal() and text.isascii() and len(text) <= 60:  # noqa: PLR2004
        return exact(text)
    if len(text) > 60 or not text.translate(_PLAIN).isascii():  # noqa: PLR2004
        return None
    signed = f"-{text[:-1]}" if text.endswith("-") and text[0] not in "+-" else text
    if not _NUMBERS[decimal].fullmatch(signed):
        return None
    digits = "".join(c for c in signed if c in "+-0123456789" or c == decimal)
    return exact(digits.replace(",", "."))


_PLAIN = str.maketrans("\u00a0\u202f\u2019", "  '")


def found_dates(cells: Iterable[str], what: str) -> str | None:
    """Find the form of days: the one that most cells fit. None where there is none to see.

    Raises ValidationError where two forms fit the same cells: "03/04/2026" is in March or in April.
    """
    return _fitting(cells, _ORDERS, day, what, "dates")


def found_decimal(cells: Iterable[str], what: str) -> str | None:
    """Find the decimal sign: the one that most numbers fit. None where all are whole.

    Raises ValidationError where both fit: "1.234" is one and a bit, or a thousand and more.
    """
    telling = (cell for cell in cells if not cell.strip("+-").isdecimal())
    return _fitting(telling, DECIMALS, number, what, "decimal")


def _fitting(
    cells: Iterable[str], forms: Iterable[str], read: Callable[[str, str], Any], what: str, argument: str
) -> str | None:
    fits = dict.fromkeys(forms, 0)
    seen, example, last = 0, "", ""
    for cell in cells:
        fitting = [form for form in fits if read(cell, form) is not None]
        for form in fitting:
            fits[form] += 1
        seen, example = seen + bool(fitting), cell if len(fitting) > 1 else example
        last = cell if fitting else last
        best = sorted(fits.values(), reverse=True)
        if seen >= _ENOUGH and best[0] > best[1]:
            break
    most = max(fits.values())
    chosen = [form for form, count in fits.items() if count == most]
    if not most:
        return None
    if len(chosen) > 1:
        either = " or ".join(map(repr, chosen))
        if not example:  # each cell tells its form, and they differ
            why = f"stands among as many cells written as {either}; say which: {argument}="
            raise ValidationError.of(what, argument, last, why)
        raise ValidationError.of(what, argument, example, f"could be read as {either}; say which: {argument}=")
    return chosen[0]
