"""From one version of the schema to the next, in numbered steps; a new database takes all of them.

A step is never changed once it was released: what comes later is a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from keyaccount.storage.dialects import SQLITE, Dialect
from keyaccount.storage.schema import statements

Step = Callable[[Dialect], Iterable[str]]

STEPS: tuple[Step, ...] = (statements,)
"""Step 1 makes the tables; the number of the last step is the version of the schema."""


def version() -> int:
    """Return the version of the schema that this library writes."""
    return len(STEPS)


def pending(found: int, dialect: Dialect = SQLITE) -> Iterator[str]:
    """Yield the statements that bring a database of an older version to this one."""
    for step in STEPS[found:]:
        yield from step(dialect)
