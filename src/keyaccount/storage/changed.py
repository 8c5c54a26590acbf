"""What an act changed, as it is kept: the names of its records, or of very many of them only their numbers.

Names are for reading an act back; they are not needed for proof. Each row says which act wrote it, each image of the
past which act replaced it, and how many of either there are never changes any more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

NAMED = 5_000
"""An act names so many records; one that changes more counts them, so that loading a million keeps no million ids."""


class Changed:
    """What one act has changed so far.

    `written` counts by kind the images it leaves, `replaced` those of earlier acts that it moved to the past.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._names: dict[tuple[str, str], None] | None = {}
        self.written: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()

    def copy(self) -> Changed:
        """Return the same, to go back to."""
        other = Changed()
        other._names = None if self._names is None else dict(self._names)
        other.written, other.replaced = self.written.copy(), self.replaced.copy()
        return other

    def name(self, names: Iterable[tuple[str, str]]) -> None:
        """Remember which records were changed, each once, as long as they are few."""
        if self._names is not None:
            self._names |= dict.fromkeys(names)
            if len(self._names) > NAMED:
                self._names = None

    def told(self) -> str:
        """Write it down: a list of kinds and ids, or by kind how many were written and replaced."""
        if self._names is not None:
            return json.dumps(list(self._names), ensure_ascii=False)
        kinds = sorted({*self.written, *self.replaced})
        return json.dumps({kind: [self.written[kind], self.replaced[kind]] for kind in kinds})


def names_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kinds and ids that an act names; none of one that counted."""
    told = json.loads(text or "[]")
    if not isinstance(told, dict):
        yield from ((kind, id) for kind, id in told)


def counts_of(text: str) -> dict[str, tuple[int, int]] | None:
    """Return by kind how many an act wrote and replaced; None of one that names them."""
    if not text.startswith("{"):
        return None
    return {kind: (written, replaced) for kind, (written, replaced) in json.loads(text).items()}
