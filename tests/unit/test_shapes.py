"""Shapes: whatever is put into a field is taken in normal form, or refused by name; nothing foreign is raised."""

from __future__ import annotations

import decimal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.shapes import Many, Shape, shapes_of
from keyaccount.values import FrozenMap

# What each class needs to be sound; every other field has a default, and a kind that is not named here gets its
# required references.
NEEDED: dict[str, dict[str, Any]] = {
    "Unit": {"name": "Sales"},
    "User": {"name": "Volker"},
    "Organisation": {"name": "ACME"},
    "Contact": {"name": "Ingo"},
    "Grant": {"organisation_id": "acme", "principal": ka.EVERYONE},
    "Assignment": {"user_id": "volker", "organisation_id": "acme"},
    "ServiceNote": {"organisation_id": "acme", "text": "Careful"},
    "Context": {"id": "crm"},
    "Activity": {"organisation_id": "acme"},
    "Opportunity": {"organisation_id": "acme"},
    "BreakGlass": {
        "organisation_id": "acme",
        "user_id": "volker",
        "reason": "ill",
        "opens_at": datetime(2026, 11, 21, 12, tzinfo=UTC),
        "closes_at": datetime(2026, 11, 21, 13, tzinfo=UTC),
    },
    "KeyAccountStatus": {"organisation_id": "acme"},
    "Contract": {"organisation_id": "acme", "starts_on": date(2026, 1, 1)},
    "Renewal": {
        "organisation_id": "acme",
        "contract_id": "m-1",
        "raised_on": date(2026, 11, 1),
        "due_on": date(2026, 12, 31),
    },
    "Order": {"organisation_id": "acme", "ordered_on": date(2026, 1, 1)},
    "Invoice": {"organisation_id": "acme", "issued_on": date(2026, 1, 1), "net": ka.Money(1, "EUR")},
    "Link": {"organisation_id": "acme", "kind": "task"},
    "Address": {},
    "Location": {"latitude": Decimal(48), "longitude": Decimal(11)},
    "Reference": {"kind": "Organisation", "id": "acme"},
    "Principal": {"kind": "user", "id": "volker"},
}


def required(cls: type) -> dict[str, Any]:
    """Return what the required fields of a class may hold, and an organisation that it hangs on."""
    shapes = shapes_of(cls)
    hangs = {"organisation_id": "acme"} if "organisation_id" in shapes else {}
    return {name: f"the-{name}" for name, shape in shapes.items() if getattr(shape, "required", False)} | hangs


CLASSES = [*(kind.cls for kind in KINDS.values()), ka.Address, ka.Location, ka.Reference, ka.Principal]
SOUND: dict[Any, dict[str, Any]] = {cls: NEEDED.get(cls.__name__, required(cls)) for cls in CLASSES}
FIELDS = [(cls, name, shape) for cls in SOUND for name, shape in shapes_of(cls).items()]
NAMES = [f"{cls.__name__}.{name}" for cls, name, _ in FIELDS]
each_field = pytest.mark.parametrize(("cls", "name", "shape"), FIELDS, ids=NAMES)


def made(cls: Any, **fields: Any) -> Any:
    """Make a sound record with some fields set."""
    return cls(**{**SOUND[cls], **fields})


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_sound_records_are_made(cls: Any) -> None:
    """With what it needs, and nothing else, a record of every kind is made: the refusals below have a cause."""
    made(cls)


# ---- what is refused -------------------------------------------------------------------------------------


class Odd(tzinfo):
    """A time zone that cannot say its offset."""

    def utcoffset(self, _: datetime | None) -> NoReturn:
        """Fail."""
        raise RuntimeError

    dst = tzname = utcoffset


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
# For each shape, values of other types, and of the right type with content that makes no sense.
NOT_TEXT: tuple[Any, ...] = (
    5,
    1.5,
    True,
    b"x",
    ["x"],
    {"x": 1},
    ("x",),
    NOW,
    ka.Right.READ,
    "\x00",
    "a\x1fb",
    "\ud800",
)
WRONG: dict[str, tuple[Any, ...]] = {
    "Text": (*NOT_TEXT, "\x85", "\x7f"),
    "Email": (*NOT_TEXT, "a\nb", "x" * 321),
    "PhoneNumber": (*NOT_TEXT, "1\n2", "1" * 251),
    "Ident": (*NOT_TEXT, None, "", "a\nb", "x" * 201),
    "Refer": (*NOT_TEXT, "", "a\nb", "x" * 201),
    "Flag": (None, 0, 1, "yes", "", 1.0, [], ka.Right.READ),
    "Number": (None, -1, True, 1.0, "1", Decimal(1), 1 << 62, 10**5000, Fraction(1)),
    "Degrees": (None, "48", 48.1, True, 181, -181, Decimal("180.0000001"), Decimal("NaN"), Decimal("sNaN"), 10**400),
    "Exact": (1.5, True, "x", b"1", (1,), Decimal("NaN"), Decimal("1E+10"), 10**400, Decimal("0.0000001")),
    "Amount": (5, 1.5, "5 EUR", Decimal(5), ("5", "EUR"), {"amount": "5", "currency": "EUR"}, ka.Money(10**13, "EUR")),
    "Day": (NOW, "2026-11-21", 5, 20261121, True, (2026, 11, 21)),
    "Moment": (
        date(2026, 11, 21),
        datetime(2026, 11, 21),  # noqa: DTZ001 - naive on purpose
        "2026-11-21T12:00:00Z",
        1.5,
        NOW.replace(tzinfo=Odd()),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ),
    "Choice": ("", "none of them", 5, b"in", ["in"], True, "\ud800"),
    "Rank": (None, 1, 2, "READ", True, 1.0, "warning"),
    "One": (5, "acme", b"x", object(), NOW, {"kind": "user"}, ("a", "b", "c"), [1, 2]),
    "Many": ("text", b"x", {"a"}, frozenset({"a"}), {"a": 1}, 5, None, iter(["a"]), (None,), ("",), ["x" * 100_001]),
    "Pairs": ([], (), "text", None, 5, {1: "a"}, {"": "a"}, {"a": b"x"}, {"a": object()}, {"a": "\x00"}, {"\x00": "a"},
              {"a": float("nan")}, {"a": "x" * 100_001}, {str(n): "x" for n in range(1_001)}, [("a", "b")]),
}  # fmt: skip


@each_field
def test_wrong_values_are_refused_by_name(cls: Any, name: str, shape: Shape) -> None:
    """A value that does not fit is refused with the entity, the field, the value as text, and a reason."""
    for value in WRONG[type(shape).__name__]:
        with pytest.raises(ka.ValidationError) as caught:
            made(cls, **{name: value})
        told = {problem.field: problem for problem in caught.value.problems}
        assert name in told, value
        problem = told[name]
        assert problem.entity.startswith(cls.__name__)
        assert problem.reason
        assert 0 < len(problem.value) <= 61
        assert problem.value.isprintable()
        assert str(problem) in str(caught.value)


@each_field
def test_wrong_items_are_refused(cls: Any, name: str, shape: Shape) -> None:
    """A list is refused for any of its items, as the item would be by itself, and for being too long."""
    if not isinstance(shape, Many):
        return
    for value in (*WRONG[type(shape.item).__name__], None):
        for items in ((value,), [value]):
            with pytest.raises(ka.ValidationError) as caught:
                made(cls, **{name: items})
            assert name in {problem.field for problem in caught.value.problems}
    with pytest.raises(ka.ValidationError, match=f"more than {shape.limit}"):
        made(cls, **{name: (object(),) * (shape.limit + 1)})


@pytest.mark.parametrize("cls", SOUND, ids=lambda cls: cls.__name__)
def test_all_problems_at_once(cls: Any) -> None:
    """A record that is wrong in every field is refused once, with a problem for each field."""
    with pytest.raises(ka.ValidationError) as caught:
        cls(**dict.fromkeys(shapes_of(cls), b"\x00"))
    assert {problem.field for problem in caught.value.problems} == set(shapes_of(cls))
    assert {problem.entity for problem in caught.value.problems} == {cls.__name__}
    assert str(caught.value).startswith(f"{len(shapes_of(cls))} problems:")


def test_problems_name_the_record() -> None:
    """Where the id is sound, a problem names it beside the kind, shortened and escaped."""
    with pytest.raises(ka.ValidationError) as caught:
        ka.Organisation("ac\u202eme", name="", private=1)  # type: ignore[arg-type]
    assert [(p.entity, p.field) for p in caught.value.problems] == [
        ("Organisation 'ac\\u202eme'", "name"),
        ("Organisation 'ac\\u202eme'", "private"),
    ]


def test_rules_over_several_fields() -> None:
    """What fits field by field but not together is refused, naming the field to change."""
    day = date(2026, 11, 21)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (ka.Position, {"valid_from": day, "valid_until": day - timedelta(days=1)}, "valid_until"),
        (ka.Assignment, {"contact_id": "ingo"}, "organisation_id"),
        (ka.Assignment, {"organisation_id": None}, "organisation_id"),
        (ka.Assignment, {"organisation_id": None, "contact_id": "ingo", "role": ka.DEPUTY}, "role"),
        (ka.ServiceNote, {"organisation_id": None}, "organisation_id"),
        (ka.ServiceNote, {"text": " \n"}, "text"),
        (ka.ServiceNote, {"severity": ka.Severity.STOP, "dismissible": True}, "dismissible"),
        (ka.ServiceNote, {"contact_id": "ingo", "for_subsidiaries": True}, "for_subsidiaries"),
        (ka.Activity, {"organisation_id": None}, "organisation_id"),
        (ka.Organisation, {"id": "acme", "parent_id": "acme"}, "parent_id"),
        (ka.Position, {"id": "p", "reports_to_id": "p"}, "reports_to_id"),
        (ka.Principal, {"id": None}, "id"),
        (ka.Principal, {"kind": "everyone"}, "id"),
    ]
    for cls, fields, field in cases:
        with pytest.raises(ka.ValidationError) as caught:
            made(cls, **fields)
        assert [problem.field for problem in caught.value.problems] == [field], fields
    made(ka.Position, valid_from=day, valid_until=day)


@pytest.mark.parametrize(
    ("cls", "field", "limit"),
    [
        (ka.Organisation, "id", 200),
        (ka.Organisation, "name", 1_000),
        (ka.ServiceNote, "text", 100_000),
        (ka.Position, "title", 1_000),
        (ka.Organisation, "website", 2_000),
    ],
)
def test_limits_are_exact(cls: Any, field: str, limit: int) -> None:
    """The longest text allowed is taken, one character more is refused."""
    assert len(getattr(made(cls, **{field: "x" * limit}), field)) == limit
    with pytest.raises(ka.ValidationError, match=f"longer than {limit}"):
        made(cls, **{field: "x" * (limit + 1)})


def test_degrees_do_not_depend_on_the_hosts_context() -> None:
    """A latitude just over the pole is refused, and a sound one kept, under a host's context of three digits."""
    traps = [decimal.Inexact, decimal.Rounded]
    for context in (decimal.Context(prec=3), decimal.Context(prec=3, traps=traps)):
        with decimal.localcontext(context):
            assert ka.Location(Decimal("48.137154"), Decimal("11.576124")).latitude == Decimal("48.137154")
            with pytest.raises(ka.ValidationError):
                ka.Location(Decimal("90.000001"), Decimal(0))


# ---- what is taken ---------------------------------------------------------------------------------------


class Shout(str):
    """Text that answers otherwise than it reads."""

    __slots__ = ()

    def __str__(self) -> str:
        """Say something else."""
        return "something else"

    def __eq__(self, other: object) -> bool:
        """Equal everything."""
        return True

    def __hash__(self) -> int:
        """Hash alike."""
        return 1


@each_field
def test_subclasses_of_text_do_not_travel_on(cls: Any, name: str, shape: Shape) -> None:
    """Text is kept as exact `str`, so that no foreign behaviour is stored."""
    item = shape.item if isinstance(shape, Many) else shape
    word = {"Choice": "customer"}.get(type(item).__name__, "crm")
    if type(item).__name__ not in ("Text", "Email", "PhoneNumber", "Ident", "Refer", "Choice"):
        return
    given_value: Any = [Shout(word)] if isinstance(shape, Many) else Shout(word)
    try:
        kept = getattr(made(cls, **{name: given_value}), name)
    except ka.ValidationError:  # a code or choice that "crm" is none of
        return
    values = kept if isinstance(kept, tuple) else (kept,)
    assert [type(value) for value in values] == [str]
    assert str.__eq__(values[0], word) is True


def test_lists_and_mappings_are_frozen() -> None:
    """A list or dictionary that is given is copied: changing it later changes no record, and records hash."""
    phones, extra = ["+49 89 1234"], {"tags": ["a"], "more": {"b": 1}}
    record = ka.Organisation("acme", name="ACME", phones=phones, extra=extra)  # type: ignore[arg-type]
    phones.append("+49 30 1")
    extra["tags"].append("z")  # type: ignore[attr-defined]
    assert record.phones == ("+49 89 1234",)
    assert record.extra == {"tags": ("a",), "more": {"b": 1}}
    hash(record)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.name = "other"  # type: ignore[misc]
    inside: Any = FrozenMap({"tags": ["a"]})
    assert ka.Organisation("acme", name="ACME", extra=inside).extra["tags"] == ("a",)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_moments_between_the_ends_are_kept(at: datetime) -> None:
    """A moment that knows its zone is kept as the same moment, to the microsecond, a few days from the ends of time."""
    if datetime(1, 1, 4) < at.replace(tzinfo=None) < datetime(9999, 12, 28):  # noqa: DTZ001 - compared as written
        kept = made(ka.Activity, at=at).at
        assert kept.utcoffset() is not None
        assert (kept - at.astimezone(UTC)) == timedelta(0)


# ---- anything at all -------------------------------------------------------------------------------------


class Mute:
    """An object whose every answer is an error, or that cannot be asked whether it is equal, as arrays cannot."""

    def __eq__(self, other: object) -> bool:
        """Fail."""
        raise RuntimeError

    def __hash__(self) -> int:
        """Fail."""
        raise RuntimeError

    def __repr__(self) -> str:
        """Fail."""
        raise RuntimeError

    def __bool__(self) -> bool:
        """Fail."""
        raise RuntimeError

    def __len__(self) -> int:
        """Fail."""
        raise RuntimeError

    def __iter__(self) -> Iterator[Any]:
        """Fail."""
        raise RuntimeError


class Array:
    """What comparing an array gives: something that has no truth."""

    def __eq__(self, other: object) -> Any:
        """Compare item by item, as numpy does."""
        return Mute()

    __hash__ = None  # type: ignore[assignment]


class BrokenMapping(Mapping[str, Any]):
    """A mapping that breaks when it is read."""

    def __getitem__(self, key: str) -> Any:
        """Fail."""
        raise RuntimeError

    def __len__(self) -> int:
        """Pretend to hold something."""
        return 1

    def __iter__(self) -> Iterator[str]:
        """Pretend to hold something."""
        return iter(["a"])


class BrokenTuple(tuple[Any, ...]):
    """A tuple that breaks when it is read."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        """Fail."""
        raise RuntimeError


class Lazy(date):
    """A date that breaks when it is compared."""

    def __le__(self, other: object) -> bool:
        """Fail."""
        raise RuntimeError


hostile = st.sampled_from([Array(), Ellipsis, NotImplemented, int, len, 10**4000, "\U0010ffff"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.sampled_from(
        [*ka.Right, *ka.Severity, ka.EVERYONE, ka.Address(), ka.Reference("Unit", "x"), ka.Money(1, "EUR")]
    )
    | hostile
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=400)
@given(data=st.data(), cls=st.sampled_from(list(SOUND)))
def test_anything_is_taken_or_refused(data: st.DataObject, cls: Any) -> None:
    """Whatever is put into any fields of any record: it is made, and can be shown, or ValidationError says why not."""
    names = data.draw(st.lists(st.sampled_from(list(shapes_of(cls))), unique=True, min_size=1, max_size=4))
    fields = {name: data.draw(anything, label=name) for name in names}
    record = outcome(cls, fields)
    if isinstance(record, ka.ValidationError):
        assert record.problems
        assert all(p.entity.startswith(cls.__name__) and p.reason and p.value for p in record.problems)
        assert str(record).replace("\n", "").isprintable()
        return
    repr(record)
    record.to_dict()
    hash(record)


def outcome(cls: Any, fields: dict[str, Any]) -> Any:
    """Return the record that is made, or the exception that says why not."""
    try:
        return made(cls, **fields)
    except Exception as error:  # noqa: BLE001 - the caller looks at what it is
        return error


@pytest.mark.parametrize("value", [Mute(), Array(), BrokenMapping(), BrokenTuple((1,)), Lazy(2026, 1, 1)], ids=type)
def test_objects_that_break_are_refused(value: Any) -> None:
    """An object whose own methods raise, or an array, is refused like any other wrong value, in every field."""
    found = {f"{cls.__name__}.{name}": outcome(cls, {name: value}) for cls, name, _ in FIELDS}
    foreign = {name: kind.__name__ for name, kind in ((n, type(f)) for n, f in found.items()) if kind in FOREIGN}
    assert foreign == {}
    taken = {name for name, result in found.items() if not isinstance(result, ka.ValidationError)}
    days = {f"{cls.__name__}.{name}" for cls, name, shape in FIELDS if type(shape).__name__ == "Day"}
    assert taken <= (days if isinstance(value, date) else set())


FOREIGN = (RuntimeError, TypeError, ValueError, AttributeError)


def test_a_small_value_that_unfolds_is_refused_at_once() -> None:
    """A value of a few lists that hold each other ten times over is refused in bounded time, not unfolded."""
    program = (
        "import keyaccount as ka\n"
        "value = 1\n"
        "for _ in range(9):\n    value = [value] * 10\n"
        "try:\n    ka.Organisation('a', name='A', extra={'x': value})\n"
        "except ka.ValidationError:\n    print('refused')\n"
    )
    source = Path(ka.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(source)}, capture_output=True, text=True, timeout=10,
        check=False,
    )  # fmt: skip
    assert done.stdout == "refused\n"


@pytest.mark.parametrize("website", ["javascript:alert(1)", " JavaScript:x", "data:text/html,x", "file:///etc/passwd"])
def test_a_website_is_one_of_the_web(website: str) -> None:
    """A website that would run, or lead to a file, is refused; one without a scheme, or with a port, is not."""
    with pytest.raises(ka.ValidationError, match="must begin with http or https"):
        ka.Organisation("a", name="A", website=website)
    for good in ("https://acme.example", "HTTP://acme.example", "www.acme.example/a:b", "acme.example:8080", "acme"):
        assert ka.Organisation("a", name="A", website=good).website == good


@pytest.mark.parametrize("given", [{"erp": "4\n2"}, {"e\trp": "42"}, {"erp": "42\x85"}])
def test_references_and_social_accounts_are_lines(given: dict[str, str]) -> None:
    """A line break or tab in an external reference, or in a social account, is refused; in `extra` it is kept."""
    for field in ("refs", "social"):
        with pytest.raises(ka.ValidationError, match="holds the control character"):
            ka.Organisation("a", name="A", **{field: given})  # type: ignore[arg-type]
    assert ka.Organisation("a", name="A", extra={"note": "two\nlines"}).extra["note"] == "two\nlines"
