"""What every stored record shares: an id, a version, external references and the host's own extra values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from keyaccount.shapes import Checked, Day, Ident, Number, Pairs, Rule, Text, field
from keyaccount.values import FrozenMap, new_id


@attrs.frozen(repr=False, kw_only=True)
class Entity(Checked):
    """The base of every stored record.

    `version` counts the writes (0: not stored yet). `refs` are external references, one for each system:
    `{"erp": "res.partner/42"}`, unique per system and kind. `extra` holds JSON values under the host's own keys.
    """

    version: int = field(Number(), 0)
    refs: Mapping[str, str] = field(Pairs(texts=True), FrozenMap())
    extra: Mapping[str, Any] = field(Pairs(), FrozenMap())

    @property
    def key(self) -> str:
        """The id, as every entity has one."""
        ident: str = self.id  # type: ignore[attr-defined]
        return ident


E = TypeVar("E", bound=Entity)


def evolved(record: E, changes: Mapping[str, Any]) -> E:
    """Return a record with some fields changed by name; the record itself where nothing changes."""
    changed: E = attrs.evolve(record, **changes) if changes else record
    return changed


def at_version(record: E, version: int) -> E:
    """Return a record as another version: nothing else differs, so that nothing is checked again."""
    other = object.__new__(type(record))
    for item in attrs.fields(type(record)):
        object.__setattr__(other, item.name, getattr(record, item.name))
    object.__setattr__(other, "version", version)
    return other


def identity() -> Any:
    """Declare the id: the host's own, or a new time-ordered one."""
    return field(Ident(), factory=new_id)


def name_field(*, required: bool = True) -> Any:
    """Declare a name: one line, compared by case folding."""
    return field(Text(limit=1_000, line=True, folded=True, required=required), "" if required else None)


def first_day() -> Any:
    """Declare the first day in force; None: since ever."""
    return field(Day("start"))


def last_day() -> Any:
    """Declare the last day in force, inclusive; None: open."""
    return field(Day("end"))


SPAN = Rule(
    ("valid_until", "valid_from"),
    lambda until, start: until is None or start is None or start <= until,
    "lies before valid_from",
)
