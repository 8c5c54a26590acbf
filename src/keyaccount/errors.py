"""What can go wrong, as one family of exceptions.

Every error that leaves the library is a `KeyAccountError`. Fields come first, so that a host can act on them; the
message says what to do next. Messages carry kinds, ids and what the caller gave, never what is stored.
"""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger("keyaccount")

_SHOWN = 60


def shown(value: object) -> str:
    """Write a value for a message: escaped, and cut to a length that is quick to read.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'"
    """
    try:
        return _shown(value)
    except Exception:  # noqa: BLE001 - a foreign value may raise anything, and must not hide the problem it is part of
        return f"a {type(value).__name__}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = repr(value[:_SHOWN])
        return text if len(text) <= _SHOWN and len(value) <= _SHOWN else text[: _SHOWN - 5] + "…" + text[0]
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 200:  # noqa: PLR2004 - past 60 digits it is cut
        return f"an int of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def article(name: str) -> str:
    """Put the right article before a kind's name.

    >>> article("Organisation"), article("User")
    ('an Organisation', 'a User')
    """
    return f"{'an' if name[:1] in 'AEIO' else 'a'} {name}"


def nearest(word: object, known: Iterable[str]) -> str:
    """Suggest the nearest known name as the end of a sentence, or say nothing when none is near.

    >>> nearest("nmae", ["name", "phones"])
    "; did you mean 'name'?"
    >>> nearest("CRM", ["crm", "phone"])
    "; did you mean 'crm'?"
    """
    if not isinstance(word, str):
        return ""
    names = sorted(known)
    close = difflib.get_close_matches(word[:200], names, n=1, cutoff=0.5)
    if not close:  # another case is the nearest of mistakes, and none of its letters is the same
        folded = {name.casefold(): name for name in names}
        close = [folded[near] for near in difflib.get_close_matches(word[:200].casefold(), folded, n=1, cutoff=0.5)]
    return f"; did you mean {close[0]!r}?" if close else ""


class KeyAccountError(Exception):
    """The root of every error of this library."""


class NotFound(KeyAccountError, LookupError):
    """There is no such record, or none that this desk may read: the two are the same error on purpose."""

    def __init__(self, kind: str, id: str) -> None:
        """Name the kind and the id (or the external reference) that was asked for."""
        super().__init__(kind, id)
        self.kind = kind
        self.id = id

    def __str__(self) -> str:
        """Say what was not found."""
        return f"there is no {self.kind} {shown(self.id)} that you can read"


@attrs.frozen
class Problem:
    """One thing that is wrong with one field.

    `entity` names the kind (and the id where it is known), `value` is the offending value, shortened and escaped,
    `place` the file and line of an import.
    """

    entity: str
    field: str
    value: str
    reason: str
    place: str = ""

    def __str__(self) -> str:
        """One line: where, what, why."""
        where = f"{self.place}: " if self.place else ""
        field = self.field if self.field.isprintable() else shown(self.field)
        what = f".{field} = {self.value}" if self.field else ""
        return f"{where}{self.entity}{what}: {self.reason}"


class ValidationError(KeyAccountError, ValueError):
    """Input that cannot be accepted; `problems` lists all of them, not the first, and nothing was written."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Collect the problems found."""
        self.problems = tuple(problems)
        super().__init__(self.problems)

    @classmethod
    def of(cls, entity: str, field: str, value: object, reason: str) -> ValidationError:
        """Make the error for a single problem."""
        return cls((Problem(entity, field, shown(value), reason),))

    def __str__(self) -> str:
        """All problems, one a line."""
        if len(self.problems) == 1:
            return str(self.problems[0])
        return f"{len(self.problems)} problems:\n" + "\n".join(f"  {problem}" for problem in self.problems)


@attrs.frozen
class UnknownContextProblem(Problem):
    """A context that is not registered."""

    context: str = ""
    suggestion: str = ""


class UnknownContext(ValidationError):
    """A context that is not registered, beside whatever else is wrong. A typo must not hide a warning.

    `context` is the first such, `suggestion` names the nearest registered one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Collect the problems found, at least one of them an unknown context."""
        super().__init__(problems)
        first = next(problem for problem in self.problems if isinstance(problem, UnknownContextProblem))
        self.context, self.suggestion = first.context, first.suggestion


def unknown_context(entity: str, field: str, context: object, known: Iterable[str]) -> UnknownContextProblem:
    """Describe a context that is not registered, with the nearest that is."""
    hint = nearest(context, known)
    given = context if isinstance(context, str) else ""
    return UnknownContextProblem(
        entity, field, shown(context), f"no such context is registered{hint}", context=given, suggestion=hint
    )


def refusal(problems: Iterable[Problem]) -> ValidationError:
    """Make the error for some problems."""
    found = tuple(problems)
    unknown = any(isinstance(problem, UnknownContextProblem) for problem in found)
    return UnknownContext(found) if unknown else ValidationError(found)


class AccessDenied(KeyAccountError, PermissionError):
    """The record can be read, but this needs a right that is not held; or the call is for trusted desks only."""


class ConflictError(KeyAccountError):
    """Someone else was faster: the stored version is not the one this change was made from.

    `expected` and `found` are versions; both are None where the other record must not be described.
    """

    def __init__(self, kind: str, id: str, expected: int | None = None, found: int | None = None) -> None:
        """Name the record and both versions."""
        super().__init__(kind, id, expected, found)
        self.kind, self.id, self.expected, self.found = kind, id, expected, found

    def __str__(self) -> str:
        """Say what happened and what to do."""
        if self.found is None:
            return f"{self.kind} {shown(self.id)} cannot be created: its id or an external reference is taken"
        if self.expected == 0:
            return f"{self.kind} {shown(self.id)} exists already with other content; get it and change that"
        return (
            f"{self.kind} {shown(self.id)} was changed meanwhile (version {self.found}, yours is from "
            f"version {self.expected}); get it again and repeat your change"
        )


class NoPrice(KeyAccountError, LookupError):
    """No price is agreed, and none is invented."""


class ReadOnly(KeyAccountError):
    """The field belongs to the host's own tables and cannot be written here; change it where the host does.

    `field` is "id" where a whole record of the host's was to be made or removed.
    """

    def __init__(self, kind: str, id: str, field: str) -> None:
        """Name the record and the field."""
        super().__init__(kind, id, field)
        self.kind, self.id, self.field = kind, id, field

    def __str__(self) -> str:
        """Say what is the host's."""
        if self.field == "id":
            return f"{self.kind} {shown(self.id)} stands in the host's own tables: make and remove such records there"
        return f"{self.kind} {shown(self.id)}: {self.field} stands in the host's own tables; change it there"


class StorageUnavailable(KeyAccountError):
    """The storage cannot be reached, is busy, full or read-only; nothing was written. Try again.

    `uncertain` is True in one case: the disk failed at the very end of a transaction, which may be there, whole, or not
    at all. Look before you repeat it, or give such calls an idempotency key.
    """

    def __init__(self, *told: object, uncertain: bool = False) -> None:
        """Say what happened, and whether the transaction may be there all the same."""
        super().__init__(*told)
        self.uncertain = uncertain


class StorageDamaged(KeyAccountError):
    """The storage is not ours, of a newer version, or damaged; it was left as it was."""


class MissingExtra(KeyAccountError, ImportError):
    """A part that was not installed; `extra` is what to install."""

    def __init__(self, extra: str) -> None:
        """Name the extra."""
        super().__init__(extra)
        self.extra = extra

    def __str__(self) -> str:
        """Give the command."""
        return f"this needs: pip install 'keyaccount[{self.extra}]'"
