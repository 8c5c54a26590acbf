"""A temporary database for what is too much for memory, thrown away at the end."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keyaccount.errors import StorageUnavailable, ValidationError


class Scratch:
    """A database in a temporary folder, whose errors are documented ones."""

    def __init__(self, *statements: str) -> None:
        """Make it, with its tables."""
        with _documented():
            self._folder = tempfile.TemporaryDirectory(prefix="keyaccount-", ignore_cleanup_errors=True)
            path = Path(self._folder.name) / "scratch"
            self._rows = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for statement in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = OFF", *statements, "BEGIN"):
                self._rows.execute(statement)

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with _documented():
            return self._rows.execute(statement, values).fetchall()

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement one after the other."""
        with _documented():
            yield from self._rows.execute(statement)

    def add(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        with _documented():
            self._rows.executemany(statement, rows)

    def close(self) -> None:
        """Throw it away."""
        self._rows.close()
        self._folder.cleanup()


@contextmanager
def _documented() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageUnavailable(f"the temporary file cannot be used: {type(error).__name__}") from error
    except UnicodeEncodeError:
        raise ValidationError.of("import", "", "", "holds half a character") from None
