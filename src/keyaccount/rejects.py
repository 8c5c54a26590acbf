"""The file that the bad rows of an import go to: written beside its place, and moved there when all is done."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from keyaccount.cells import safe
from keyaccount.errors import StorageUnavailable, ValidationError, shown
from keyaccount.readings import is_nothing
from keyaccount.sheets import LINE, REASON, Line

_NEGATIVE = re.compile(r"-[\d.,]+")


class Rejects:
    """Bad rows as they were given, behind the line they stood in and why they were refused.

    The file is written as the one it comes from (encoding, separator), so that it is read again by the same call.
    """

    def __init__(self, path: Path, header: Sequence[str], encoding: str = "utf-8-sig", separator: str = ",") -> None:
        """Begin the file; raise ValidationError where its place is taken, StorageUnavailable where it has none."""
        self._path, self._header, self._count = path, header, 0
        self._free()
        with _documented():
            handle, name = tempfile.mkstemp(prefix=".rejects-", dir=path.parent)
            self._beside = Path(name)
            self._file = os.fdopen(handle, "w", encoding=encoding, errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, delimiter=separator, lineterminator="\r\n")
        self._write([LINE, REASON, *map(safe, header)])

    def add(self, line: Line, reasons: Sequence[str]) -> None:
        """Write a bad row: its cells as they were, but for the mark on what a spreadsheet would run."""
        self._count += 1
        cells = [line.cells[name] for name in self._header] if isinstance(line.cells, Mapping) else line.cells
        self._write([str(line.number), safe("; ".join(reasons)), *map(_told, cells)])

    def place(self) -> str | None:
        """Move the file to its place, where it holds a row; return its path."""
        with _documented():
            self._file.close()
            if not self._count:
                return None
            self._free()
            os.link(self._beside, self._path)
        return str(self._path)

    def finish(self, *, keep: bool) -> None:
        """Leave nothing but the file in its place, and where the import failed, nothing."""
        with contextlib.suppress(OSError):  # it is thrown away
            self._file.close()
        if not keep and self._path.exists() and self._path.samefile(self._beside):
            self._path.unlink()
        self._beside.unlink(missing_ok=True)

    def _free(self) -> None:
        if os.path.lexists(self._path):
            raise ValidationError.of("import", "rejects", str(self._path), "is taken; choose another with rejects=")

    def _write(self, cells: Sequence[str]) -> None:
        with _documented():
            self._writer.writerow(cells)


def _told(cell: object) -> str:
    """Return a cell as it was; a number is nothing that a spreadsheet runs."""
    if is_nothing(cell):
        return ""
    try:
        text = str(cell)
    except Exception:  # noqa: BLE001 - a foreign value may raise anything
        text = shown(cell)
    return text if _NEGATIVE.fullmatch(text) else safe(text)


@contextmanager
def _documented() -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise ValidationError.of("import", "rejects", "", "is taken; choose another with rejects=") from None
    except OSError as error:
        raise StorageUnavailable(f"the rejects cannot be written: {type(error).__name__}") from error
