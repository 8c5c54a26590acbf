"""What a field may hold: one small class per sort of value.

A shape says three things of its field: how a value is brought to normal form (`normal`), why a value is refused
(`reason`), and by what it compares in conditions and orders (`key`). Entities, queries and adapters all ask here, so a
field is described once.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

import attrs

from keyaccount.errors import Problem, ValidationError, article, shown
from keyaccount.money import Money, exact
from keyaccount.results import Result, plain
from keyaccount.values import FrozenMap, fold, frozen_json, unwritable

ID_LIMIT = 200
LINE_LIMIT = 1_000
TEXT_LIMIT = 100_000
ITEM_LIMIT = 1_000

Gone = Literal["remove", "clear", "keep"]


class Shape:
    """The base: any value, taken as it is."""

    __slots__ = ()
    many: ClassVar[bool] = False
    adds_up: ClassVar[bool] = False

    def normal(self, value: Any) -> Any:
        """Return the value in normal form; what cannot be normalised is returned as it is, for `reason` to refuse."""
        return value

    def reason(self, value: Any) -> str | None:
        """Say why the value is refused, or None."""
        raise NotImplementedError

    def operand(self, value: Any) -> str | None:
        """Say why the value cannot be compared with this field, or None."""
        return "must not be None; use ka.is_none" if value is None else self.reason(value)

    def key(self, value: Any) -> Any:
        """Return what the value compares by."""
        return value

    def measure(self, value: Any) -> Any:
        """Return what the value is put in order by."""
        return self.key(value)

    def keys(self, value: Any) -> Iterable[Any]:
        """Return the keys a stored value is found under: its own, or one for each of its items."""
        return () if value is None else (self.key(value),)

    def integer(self, value: Any) -> int | None:
        """Return the whole number that a value counts for in a sum, as its column holds it; nothing counts for None.

        Asked only of shapes that say `adds_up`; it is exact, and the same number wherever the value stands.
        """
        raise NotImplementedError


@attrs.frozen
class Text(Shape):
    """Text: a `line` (names, numbers) takes no line breaks; `folded` text compares by case folding and NFC."""

    limit: int = TEXT_LIMIT
    line: bool = False
    folded: bool = False
    required: bool = False
    pattern: Callable[[str], str | None] | None = None

    def normal(self, value: Any) -> Any:
        """Return an exact `str`, so that no subclass of it travels on."""
        return str.__str__(value) if isinstance(value, str) else value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no text, too long, or holds characters that make no sense."""
        if value is None:
            return "is required" if self.required else None
        if not isinstance(value, str):
            return f"must be text, not {type(value).__name__}"
        if not value or (self.required and len(value) <= self.limit and not value.strip()):
            return "is required" if self.required else None
        if len(value) > self.limit:
            return f"is longer than {self.limit} characters"
        return unwritable(value, line=self.line) or (self.pattern(value) if self.pattern else None)

    def operand(self, value: Any) -> str | None:
        """Take any text that the field could hold."""
        return super().operand(value) if isinstance(value, str) or value is None else self.reason(value)

    def key(self, value: str) -> str:
        """Return the folded text where names compare, else the text."""
        return fold(value) if self.folded else value


@attrs.frozen
class Refer(Shape):
    """The id of another record; `gone` says what becomes of this record when that one is removed."""

    kind: str
    gone: Gone = "clear"
    required: bool = False

    def normal(self, value: Any) -> Any:
        """Return an exact `str`."""
        return str.__str__(value) if isinstance(value, str) else value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no id."""
        if value is None:
            return "is required" if self.required else None
        return _no_id(value)


@attrs.frozen
class Ident(Shape):
    """The record's own id: the host's, compared byte by byte."""

    pattern: Callable[[str], str | None] | None = None

    def normal(self, value: Any) -> Any:
        """Return an exact `str`."""
        return str.__str__(value) if isinstance(value, str) else value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no id."""
        return _no_id(value) or (self.pattern(value) if self.pattern else None)


def _no_id(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"must be an id (text), not {type(value).__name__}"
    if not value:
        return "must not be empty"
    if len(value) > ID_LIMIT:
        return f"is longer than {ID_LIMIT} characters"
    return unwritable(value, line=True)


@attrs.frozen
class Flag(Shape):
    """Yes or no."""

    def reason(self, value: Any) -> str | None:
        """Refuse all but True and False."""
        return None if isinstance(value, bool) else "must be True or False"


@attrs.frozen
class Number(Shape):
    """A whole number, 0 or more."""

    adds_up: ClassVar[bool] = True

    def reason(self, value: Any) -> str | None:
        """Refuse what is no such number."""
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
            return "must be a whole number, 0 or more"
        return None

    def integer(self, value: Any) -> int | None:
        """Return the number."""
        return None if value is None else int(value)


@attrs.frozen
class Degrees(Shape):
    """Degrees of latitude or longitude, exact."""

    bound: int

    def normal(self, value: Any) -> Any:
        """Take ints as decimals."""
        return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 999 else value  # noqa: PLR2004

    def reason(self, value: Any) -> str | None:
        """Refuse what is no Decimal within the bound."""
        if not isinstance(value, Decimal) or not value.is_finite() or not -self.bound <= value <= self.bound:
            return f"must be a Decimal from -{self.bound} to {self.bound}"
        return None


@attrs.frozen
class Whole(Shape):
    """A whole number, negative ones too: what sums are made of."""

    adds_up: ClassVar[bool] = True

    def reason(self, value: Any) -> str | None:
        """Refuse what is no such number."""
        if isinstance(value, bool) or not isinstance(value, int) or not -_LARGEST <= value <= _LARGEST:
            return "must be a whole number"
        return None

    def integer(self, value: Any) -> int | None:
        """Return the number itself."""
        return None if value is None else int(value)


_LARGEST = 1 << 62


@attrs.frozen
class Exact(Shape):
    """An exact number with up to six decimal places; never a float."""

    low: int = -1_000_000_000
    high: int = 1_000_000_000
    required: bool = True

    def normal(self, value: Any) -> Any:
        """Take ints and numbers written as text; bring decimals to their shortest form."""
        found = exact(value)
        return value if found is None else found

    def reason(self, value: Any) -> str | None:
        """Refuse what is no Decimal within the bounds, or has too many places."""
        if value is None and not self.required:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            return "must be a Decimal, an int or text; a float is not exact"
        if not self.low <= value <= self.high:
            return f"must lie between {self.low} and {self.high}"
        return None if value.as_tuple().exponent >= -_PLACES else "has more than 6 decimal places"  # type: ignore[operator]


_PLACES = 6


@attrs.frozen
class Amount(Shape):
    """Money; kept as a whole number of ten-thousandths beside its currency."""

    required: bool = False

    def reason(self, value: Any) -> str | None:
        """Refuse what is no money, or too large to be kept."""
        if value is None:
            return "is required" if self.required else None
        if not isinstance(value, Money):
            return f"must be Money, not {type(value).__name__}"
        return None if abs(value.units) <= _LARGEST_AMOUNT else "is larger than 10**12"

    def measure(self, value: Money) -> int:
        """Return ten-thousandths, whatever the currency: amounts of different ones are put in order by their number."""
        return value.units

    def key(self, value: Money) -> str:
        """Return ten-thousandths and currency as one text, equal for equal money.

        >>> Amount().key(Money("12.50", "EUR"))
        '125000 EUR'
        """
        return f"{value.units} {value.currency}"


_LARGEST_AMOUNT = 10**16


@attrs.frozen
class Day(Shape):
    """A calendar day; `unbounded` says which side None stands for, in every comparison."""

    unbounded: Literal["start", "end", ""] = ""
    required: bool = False

    def normal(self, value: Any) -> Any:
        """Return an exact `date`, so that no subclass of it travels on."""
        if isinstance(value, date) and type(value) is not date and not isinstance(value, datetime):
            return date.fromordinal(date.toordinal(value))
        return value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no date, and a moment."""
        if value is None:
            return "is required" if self.required else None
        if isinstance(value, date) and not isinstance(value, datetime):
            return None
        return f"must be a date, not {type(value).__name__}"


@attrs.frozen
class Moment(Shape):
    """A moment: a datetime that knows its time zone; kept in UTC."""

    def normal(self, value: Any) -> Any:
        """Return the same moment in UTC."""
        if isinstance(value, datetime) and self.reason(value) is None:
            moment = value.astimezone(UTC)
            return datetime.combine(date(moment.year, moment.month, moment.day), moment.time(), UTC)
        return value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no datetime, and a naive one."""
        if value is None:
            return None
        if not isinstance(value, datetime):
            return f"must be a datetime, not {type(value).__name__}"
        try:
            offset = value.utcoffset()
            far = offset is not None and not _FIRST_DAY < value.replace(tzinfo=None).toordinal() < _LAST_DAY
        except Exception:  # noqa: BLE001 - a foreign tzinfo may raise anything
            return "has a time zone that cannot say its offset"
        if offset is None:
            return "must know its time zone"
        return "lies outside the years 1 to 9999" if far else None


_FIRST_DAY, _LAST_DAY = 2, date.max.toordinal() - 1


@attrs.frozen
class Choice(Shape):
    """One of a few words."""

    words: tuple[str, ...]
    required: bool = True

    def normal(self, value: Any) -> Any:
        """Return an exact `str`."""
        return str.__str__(value) if isinstance(value, str) else value

    def reason(self, value: Any) -> str | None:
        """Refuse other words."""
        if value is None and not self.required:
            return None
        return None if isinstance(value, str) and value in self.words else f"must be one of {', '.join(self.words)}"


@attrs.frozen
class Rank(Shape):
    """A member of an ordered enumeration."""

    of: type[enum.IntEnum]

    def reason(self, value: Any) -> str | None:
        """Refuse what is no member."""
        names = ", ".join(f"{self.of.__name__}.{member.name}" for member in self.of)
        return None if isinstance(value, self.of) else f"must be one of {names}"


@attrs.frozen
class One(Shape):
    """A value object."""

    of: type
    required: bool = False
    convert: Callable[[Any], Any] | None = None

    def normal(self, value: Any) -> Any:
        """Convert what stands for the value, where there is such a short form."""
        return self.convert(value) if self.convert else value

    def reason(self, value: Any) -> str | None:
        """Refuse other types."""
        if value is None:
            return "is required" if self.required else None
        return None if isinstance(value, self.of) else f"must be {article(self.of.__name__)}"


@attrs.frozen
class Many(Shape):
    """A tuple of items of one shape; conditions ask whether it holds an item, save where it is not `sought`."""

    many: ClassVar[bool] = True
    item: Shape
    limit: int = ITEM_LIMIT
    sought: bool = True

    def normal(self, value: Any) -> Any:
        """Return a tuple of normal items."""
        if isinstance(value, tuple):
            return tuple(map(self.item.normal, tuple.__iter__(value)))
        return tuple(map(self.item.normal, list.__iter__(value))) if isinstance(value, list) else value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no list, too many items, and the first bad item."""
        if not isinstance(value, tuple):
            return f"must be a tuple, not {type(value).__name__}"
        if len(value) > self.limit:
            return f"has more than {self.limit} items"
        for item in value:
            if reason := self.item.operand(item):
                return f"holds {shown(item)}, which {reason}"
        return None

    def operand(self, value: Any) -> str | None:
        """Compare with one item."""
        return self.item.operand(value) if self.sought else "cannot be asked for"

    def key(self, value: Any) -> Any:
        """Return the key of one item."""
        return self.item.key(value)

    def keys(self, value: Any) -> Iterable[Any]:
        """Return the keys of all items; none where nobody asks for one."""
        return [self.item.key(item) for item in value] if self.sought else ()


@attrs.frozen
class PhoneNumber(Text):
    """A phone number as written; found under the lookup keys of its text."""

    limit: int = 250
    line: bool = True
    required: bool = True


@attrs.frozen
class Email(Text):
    """An e-mail address as written; addresses compare case-insensitively."""

    limit: int = 320
    line: bool = True
    folded: bool = True
    required: bool = True


@attrs.frozen
class Pairs(Shape):
    """A mapping under the host's own keys; `texts` holds text, else any JSON; conditions ask for some of its pairs."""

    many: ClassVar[bool] = True
    texts: bool = False

    def normal(self, value: Any) -> Any:
        """Return a frozen mapping; an empty one as it is, so that a default stays known as sound."""
        if type(value) is FrozenMap and not len(value):
            return value
        try:
            if not isinstance(value, Mapping) or len(value) > ITEM_LIMIT:
                return value
            return frozen_json(value) if len(value) else FrozenMap()
        except Exception:  # noqa: BLE001 - a foreign mapping may raise anything; `reason` then refuses it
            return value

    def reason(self, value: Any) -> str | None:
        """Refuse what is no mapping of JSON values, or too large."""
        if not isinstance(value, Mapping):
            return "must be a mapping"
        try:
            if len(value) > ITEM_LIMIT:
                return f"has more than {ITEM_LIMIT} entries"
            size = _size(frozen_json(value))
        except ValueError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - a foreign mapping may raise anything
            return "cannot be read"
        if size > TEXT_LIMIT:
            return f"is larger than {TEXT_LIMIT} characters"
        if self.texts and not all(isinstance(item, str) and item for item in value.values()):
            return "must hold text"
        if "" in value:
            return "has an empty key"
        told = (*value, *value.values()) if self.texts else ()
        return next((reason for text in told if (reason := unwritable(text, line=True))), None)

    def operand(self, value: Any) -> str | None:
        """Compare with a mapping of the pairs wanted."""
        return self.reason(value)

    def key(self, value: Any) -> Any:
        """Return the pairs in a form that compares exactly (1 is not True)."""
        return frozenset(self.keys(self.normal(value)))

    def keys(self, value: Any) -> Iterable[Any]:
        """Return one key for each pair."""
        return [(name, json.dumps(plain(item), ensure_ascii=False, sort_keys=True)) for name, item in value.items()]


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _size(item) + 2 for key, item in value.items())
    return sum(map(_size, value)) + 2 if isinstance(value, tuple) else 8


@attrs.frozen
class Rule:
    """A check over several fields of one record; it runs when each of them is sound by itself."""

    fields: tuple[str, ...]
    holds: Callable[..., bool]
    reason: str


def field(shape: Shape, default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """Declare a field of an entity or a value: its shape, and what it holds when nothing is given."""
    chosen: dict[str, Any] = {"default": default} if factory is None else {"factory": factory}
    return attrs.field(**chosen, converter=shape.normal, metadata={"shape": shape})


def shapes_of(cls: type) -> dict[str, Shape]:
    """Return the shapes of a class's fields by name, in their order."""
    return {item.name: item.metadata["shape"] for item in attrs.fields(cls)}


class Checked(Result):
    """The base of entities and of the values they hold: refuses what its shapes and rules refuse, all at once."""

    __slots__ = ()
    rules: ClassVar[tuple[Rule, ...]] = ()

    def __attrs_post_init__(self) -> None:
        """Check every field, then every rule whose fields are sound."""
        problems = [
            (name, value, reason)
            for name, shape, usual in _shapes(type(self))
            if (value := getattr(self, name)) is not usual and (reason := shape.reason(value)) is not None
        ]
        bad = {name for name, _, _ in problems}
        for rule in self.rules:
            values = [getattr(self, name) for name in rule.fields]
            if bad.isdisjoint(rule.fields) and not rule.holds(*values):
                problems.append((rule.fields[0], values[0], rule.reason))
        if problems:
            entity = _named(self)
            raise ValidationError(Problem(entity, name, shown(value), reason) for name, value, reason in problems)


_NEVER = object()
_cache: dict[type, tuple[tuple[str, Shape, object], ...]] = {}


def _shapes(cls: type) -> tuple[tuple[str, Shape, object], ...]:
    """Return names, shapes and sound defaults; kept by class because entities are made by the million."""
    if cls not in _cache:
        fields = ((item.name, item.metadata["shape"], item.default) for item in attrs.fields(cls))
        _cache[cls] = tuple(
            (name, shape, _NEVER if isinstance(usual, attrs.Factory) or shape.reason(usual) else usual)  # type: ignore[arg-type]
            for name, shape, usual in fields
        )
    return _cache[cls]


def _named(record: object) -> str:
    ident = getattr(record, "id", None)
    return f"{type(record).__name__} {shown(ident)}" if isinstance(ident, str) else type(record).__name__
