"""The file that the bad rows of an import go to: written beside its place, and moved there when all is done."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from keyaccount.cells import safe
from keyaccount.errors import StorageUnavailable, ValidationError
from keyaccount.sheets import Line

REASON, LINE = "_reason", "_line"
"""The columns that are added: by the first of them a file of rejects is known when it is read again."""


class Rejects:
    """Bad rows as they were given, with the line they stood in and why they were refused."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        """Begin the file; raise ValidationError where its place is taken, StorageUnavailable where it has none."""
        self._path, self._header, self._count = path, header, 0
        self._free()
        try:
            handle, name = tempfile.mkstemp(prefix=".rejects-", dir=path.parent)
        except OSError as error:
            raise StorageUnavailable(f"the rejects cannot be written: {type(error).__name__}") from None
        self._beside = Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._write([*map(safe, header), LINE, REASON])

    def add(self, line: Line, reasons: Sequence[str]) -> None:
        """Write a bad row: its cells as they were, but for the mark on what a spreadsheet would run."""
        self._count += 1
        named = isinstance(line.cells, Mapping)
        cells = [line.cells[name] for name in self._header] if named else list(line.cells)[: len(self._header)]
        told = ["" if cell is None or cell == "" else safe(str(cell)) for cell in cells]
        told += [""] * (len(self._header) - len(told))
        self._write([*told, str(line.number), safe("; ".join(reasons))])

    def finish(self, *, keep: bool) -> str | None:
        """Move the file to its place, where it holds a row and is wanted; else leave nothing. Return its path."""
        try:
            self._file.close()
            if not keep or not self._count:
                return None
            self._free()
            self._beside.rename(self._path)
        except OSError as error:
            raise StorageUnavailable(f"the rejects cannot be written: {type(error).__name__}") from None
        else:
            return str(self._path)
        finally:
            self._beside.unlink(missing_ok=True)

    def _free(self) -> None:
        if self._path.is_symlink() or self._path.exists():
            raise ValidationError.of("import", "rejects", str(self._path), "is taken; choose another with rejects=")

    def _write(self, cells: Sequence[str]) -> None:
        try:
            self._writer.writerow(cells)
        except OSError as error:
            raise StorageUnavailable(f"the rejects cannot be written: {type(error).__name__}") from None
