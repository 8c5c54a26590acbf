"""Hostile text: kept exactly in every field of every kind, escaped where it is shown, and never read as anything."""

from __future__ import annotations

import html
import logging
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount.catalogue import KINDS
from keyaccount.pages import STYLE
from keyaccount.shapes import Ident, Many, Pairs, Refer, Shape, Text, shapes_of
from keyaccount.visibility import ComputedNote

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = (
    "<script>alert('x')</script>",
    "\"><img src=x onerror='alert(1)'>&amp;&lt;",
    "'; DROP TABLE organisation; --",
    "100% _ * ? [a-z] \\ {0} {x!r} %s %(a)s ${x} $1 #{x}",
    "=HYPERLINK(1)|cmd' /C calc'!A0",
    "+49", "-1", "@SUM(1)", "../../etc/passwd", "C:\\NUL", "null", "NaN", "0x1F", "1e400", "True",
    " leading and trailing ", "a\u00a0b\u200bc\u2060d", "\u202eevil\u202c \u2066x\u2069 \u200f", "\ufeffbom",
    "caf\u00e9 cafe\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0010ffff\ufffe", "Z\u0351\u036b\u0343",
    "\u0130\u0131\u1e9e\ufb01", "a\u2028b\u2029c", "日本語 العربية",
)  # fmt: skip
LINES = ("two\nlines\r\n\tand a tab", "\n")
MARKS = "".join(HOSTILE)

# What the references of a record under test may lead to.
THERE = {
    "Unit": "sales",
    "User": "volker",
    "Organisation": "acme",
    "Contact": "ingo",
    "Position": "job",
    "ServiceNote": "note",
    "ClientGroup": "retail",
    "Contract": "contract",
}
NEEDED: dict[str, dict[str, Any]] = {
    "Assignment": {"role": ka.KEY_ACCOUNT_MANAGER},
    "Grant": {"principal": ka.EVERYONE},
    "Substitution": {"deputy_id": "carla"},
    "ServiceNote": {"text": "x"},
    "BreakGlass": {"opens_at": NOW, "closes_at": NOW.replace(hour=13)},
    "Contract": {"starts_on": NOW.date()},
    "Renewal": {"raised_on": NOW.date(), "due_on": NOW.date()},
    "Order": {"ordered_on": NOW.date()},
    "Invoice": {"issued_on": NOW.date(), "net": ka.Money("1", "EUR")},
}


def base(cls: Any) -> dict[str, Any]:
    """Return what a record of a kind needs in the book under test."""
    shapes = shapes_of(cls)
    needed = {name: shape for name, shape in shapes.items() if getattr(shape, "required", False)}
    links = {name: THERE[shape.kind] for name, shape in needed.items() if isinstance(shape, Refer)}
    texts = {name: "x" for name, shape in needed.items() if isinstance(shape, Text)}
    hangs = {"organisation_id": "acme"} if "organisation_id" in shapes else {}
    return {**hangs, **links, **texts, **NEEDED.get(cls.__name__, {})}


def takes(shape: Shape) -> bool:
    """Say whether a field takes any text: no code, no path, no reference."""
    return isinstance(shape, (Text, Ident)) and shape.pattern is None


def text_fields(cls: Any) -> Iterator[tuple[str, Shape]]:
    """Yield every field of a class that holds text of the host's own choosing."""
    for name, shape in shapes_of(cls).items():
        if takes(shape) or (isinstance(shape, Many) and takes(shape.item)) or isinstance(shape, Pairs):
            yield name, shape


FIELDS = [(kind.cls, name, shape) for kind in KINDS.values() for name, shape in text_fields(kind.cls)]
each_field = pytest.mark.parametrize(
    ("cls", "name", "shape"), FIELDS, ids=[f"{cls.__name__}.{name}" for cls, name, _ in FIELDS]
)


@pytest.fixture(scope="module")
def office() -> ka.Desk:
    """Open a book that has one record to refer to of each kind, and maps every hostile text as a role."""
    policy = ka.AccessPolicy(roles=dict.fromkeys(HOSTILE, ka.Right.READ))
    desk = ka.open(clock=lambda: NOW, policy=policy).trusted("test")
    desk.put(
        ka.Unit("sales", name="Sales"),
        ka.User("volker", name="Volker"),
        ka.User("carla", name="Carla"),
        ka.Organisation("acme", name="ACME"),
        ka.Contact("ingo", name="Ingo"),
        ka.Position("job", contact_id="ingo", organisation_id="acme"),
        ka.ServiceNote("note", organisation_id="acme", text="x"),
        ka.ClientGroup("retail", name="Retail"),
        ka.Contract("contract", organisation_id="acme", starts_on=NOW.date()),
    )
    return desk


def wrapped(shape: Shape, text: str) -> Any:
    """Put a text into the form its field takes."""
    if isinstance(shape, Pairs):
        return {text: text} if shape.texts else {text: [text, {text: text}]}
    return (text, f"{text}2") if isinstance(shape, Many) else text


def test_every_kind_has_text() -> None:
    """Every kind of the catalogue is among the fields tried, and so are phones, mappings and ids."""
    assert {cls.__name__ for cls, _, _ in FIELDS} == set(KINDS)
    named = {f"{cls.__name__}.{name}" for cls, name, _ in FIELDS}
    assert {"Organisation.phones", "Contact.extra", "Position.id", "ServiceNote.text", "Organisation.social"} <= named


@each_field
def test_text_comes_back_exactly(office: ka.Desk, cls: Any, name: str, shape: Shape) -> None:
    """Whatever text is put into a field is returned, got, and found by, exactly as it was written."""
    lines = LINES if isinstance(shape, Text) and not shape.line else ()
    limit = getattr(shape.item if isinstance(shape, Many) else shape, "limit", 1_000)
    for n, text in enumerate(text for text in (*HOSTILE, *lines) if len(text) < limit):
        if text == "\n" and cls is ka.ServiceNote:
            continue  # a note of nothing but a line break says nothing
        value = wrapped(shape, text)
        unique = {} if name == "id" or cls is ka.Context else {"id": f"{cls.__name__}-{name}-{n}"}
        record = cls(**{**base(cls), **unique, name: value})
        stored = office.put(record)
        found = office.get(cls, record.id)
        for row in (stored, found):
            kept = getattr(row, name)
            assert kept == getattr(record, name)
            assert text in (kept if shape.many else (kept,))
        if isinstance(shape, Pairs):
            assert record.id in {row.id for row in office.find(cls, **{name: value})}
            assert found.to_dict()[name] == value
        else:
            assert record.id in {row.id for row in office.find(cls, **{name: text})}
        office.remove(cls, record.id)


@pytest.mark.parametrize("field", [name for name, shape in text_fields(ka.Address)])
def test_addresses_come_back_exactly(office: ka.Desk, field: str) -> None:
    """Text inside an address is kept exactly too."""
    for text in HOSTILE:
        given_text: Any = (text,) if field == "lines" else text
        address = ka.Address(**{field: given_text})
        office.put(ka.Organisation("addressed", name="x", addresses=(address,)))
        (kept,) = office.get(ka.Organisation, "addressed").addresses
        assert getattr(kept, field) in (text, (text,))
        office.remove(ka.Organisation, "addressed")


@pytest.mark.parametrize("text", [*HOSTILE, "a" * 200, "%", "_", "."])
def test_search_reads_text_as_text(office: ka.Desk, text: str) -> None:
    """A needle is no pattern: it finds the record with that name, and none that only a pattern would match."""
    office.put(ka.Organisation("found", name=f"<{text}>"), ka.Organisation("other", name="zzz"))
    found = {hit.id for hit in office.search(text)}
    assert "other" not in found
    assert "found" in found
    office.remove(ka.Organisation, "found")
    office.remove(ka.Organisation, "other")


# ---- shown -----------------------------------------------------------------------------------------------


def unsafe(text: str) -> list[str]:
    """Return the characters that a terminal or log would obey: control, bidirectional, invisible, line separators."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]


@each_field
def test_repr_is_escaped(cls: Any, name: str, shape: Shape) -> None:
    """The `repr` of a record escapes control, bidirectional and invisible characters."""
    lines = LINES if isinstance(shape, Text) and not shape.line else ()
    for text in (*HOSTILE, *lines):
        if text != "\n" and len(text) <= getattr(shape, "limit", 1_000):
            assert unsafe(repr(cls(**{**base(cls), name: wrapped(shape, text)}))) == []


def test_errors_and_desks_are_escaped(office: ka.Desk) -> None:
    """Messages and `repr`s of errors, desks, books and results escape what a caller gave."""
    for text in (*HOSTILE, *LINES, "\x1b[31m", "\x00", "\ud800"):
        calls: list[Any] = [
            lambda t: office.get(ka.Organisation, t),
            lambda t: office.find(ka.Organisation, **{t: t}),
            lambda t: office.find(ka.Organisation, order=t),
            lambda t: office.find(ka.Organisation, after=t),
            lambda t: office.put(ka.Organisation(t, name="x", parent_id="nowhere")),
            lambda t: office.put(ka.Organisation("x", name=t, version=7)),
            lambda t: office.notes(organisation="acme", context=t),
            office._book.desk,
            lambda t: office.caller("1", region=t),
            lambda t: ka.Money(t, t),
            lambda t: ka.open(zone=t),
            lambda t: office.people.special_contact("acme", t),
            lambda t: ka.ServiceNote(t, organisation_id=t, text=t, contexts=(f"{t}!",)),
        ]
        for n, call in enumerate(calls):
            with pytest.raises(ka.KeyAccountError) as caught:
                pytest.fail(f"call {n} took {text!r}: {call(text)!r}")
            told = str(caught.value).replace("\n  ", "")  # one problem a line
            assert unsafe(told) == []
            assert unsafe(repr(caught.value)) == []
    for text in HOSTILE:
        assert unsafe(repr(office._book.trusted(text))) == []


def test_log_lines_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """A provider that fails, or speaks of somebody else, is logged without letting its name or words through raw."""

    def fails(_: object, __: object) -> list[ComputedNote]:
        raise RuntimeError("\u202eevil\nforged line")

    def strays(_: object, __: object) -> list[ComputedNote]:
        return [ComputedNote("\u202eevil", organisation_id="another")]

    providers = [ka.Provider("fails <b>&", fails), ka.Provider("strays '", strays)]
    with ka.open(providers=providers) as book:
        office = book.trusted("test")
        office.put(ka.Organisation("ac\u202eme", name="\u202ename"))
        with caplog.at_level(logging.DEBUG):
            notes = office.notes(organisation="ac\u202eme", context="crm")
    assert {note.code for note in notes} == {"provider-failed"}
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("keyaccount")]
    assert len(messages) == 2
    assert [message for message in messages if unsafe(message)] == []
    lines = [line for record in caplog.records for line in logging.Formatter().format(record).splitlines()]
    assert [line for line in lines if "\u202e" in line or line.startswith("forged")] == []


# ---- in a notebook ---------------------------------------------------------------------------------------

TAGS = {"table", "tr", "th", "td", "br", "div", "span", "p", "b", "ul", "li", "thead", "tbody", "small", "strong"}


class Page(HTMLParser):
    """Reads HTML as a browser does: its tags, their attributes, and the text between."""

    def __init__(self, page: str) -> None:
        """Read a page."""
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Remember text."""
        self.text += data


def assert_safe(page: str, *texts: str) -> None:
    """Check that a page has harmless tags without attributes, nothing unescaped, and shows the texts."""
    page = page.removeprefix(STYLE)  # the library's own, letter by letter; any other style is refused
    read = Page(page)
    assert read.tags <= TAGS
    assert read.attributes <= {"style", "class", "colspan"}
    bare = re.sub(r"</?(?:" + "|".join(TAGS) + r")(?: (?:style|class|colspan)=\"[^\"<>]*\")?>", "", page)
    assert not re.search(r"[<>\"']", bare)
    assert not re.search(r"&(?!(?:amp|lt|gt|quot|#x27|#39);)", bare)
    for text in texts:
        assert text in read.text


@each_field
def test_records_are_safe_in_html(cls: Any, name: str, shape: Shape) -> None:
    """A record's notebook form shows its text as text, whatever the field."""
    for text in HOSTILE:
        if len(text) <= getattr(shape, "limit", 1_000):
            assert_safe(cls(**{**base(cls), name: wrapped(shape, text)})._repr_html_(), text)


@pytest.mark.parametrize("text", HOSTILE)
def test_answers_are_safe_in_html(text: str) -> None:
    """Cards, notes, decisions, lists, hits, charts and other answers show hostile text as text, everywhere."""

    def speaks(_: object, __: object) -> list[ComputedNote]:
        return [ComputedNote(text, code=text, params={text: text})]

    with ka.open(clock=lambda: NOW, providers=[ka.Provider("speaks", speaks)]) as book:
        office = book.trusted("test")
        office.put(
            ka.Unit("sales", name=text),
            ka.User("volker", name=text, unit_ids=("sales",), email=text),
            ka.Organisation("above", name=text),
            ka.Organisation(
                "acme",
                name=text,
                parent_id="above",
                phones=("+49 89 1234567", text),
                emails=(text,),
                addresses=(ka.Address(lines=(text,), town=text, postcode=text),),
                extra={text: {text: text}},
            ),
            ka.Contact("ingo", name=text, vip=True, salutation=text, phones=(text,)),
            ka.Position(
                contact_id="ingo",
                organisation_id="acme",
                title=text,
                department=text,
                role="invoices",
                phones=("+49 89 1234567",),
            ),
            ka.Assignment(user_id="volker", organisation_id="acme", label=text),
            ka.NoteCategory(text),
            ka.ServiceNote("n1", organisation_id="acme", text=text, category=text),
            ka.ServiceNote("n2", organisation_id="above", text=text, for_subsidiaries=True),
            ka.Activity(organisation_id="acme", contact_ids=("ingo",), kind="meeting", by_id="volker", subject=text),
            ka.Activity(organisation_id="acme", kind=text, subject=text, follow_up_on=NOW.date()),
        )
        desk = book.desk("volker")
        answers: list[Any] = [
            desk.card(organisation="acme", context="crm"),
            desk.card(contact="ingo", organisation="acme", context="crm"),
            desk.caller("+49 89 1234567"),
            desk.notes(organisation="acme", context="crm"),
            desk.find(ka.Organisation),
            desk.find(ka.ServiceNote),
            desk.find(ka.Contact),
            desk.search(text),
            desk.people.vips(),
            desk.people.special_contacts("acme"),
            desk.people.responsible(organisation="acme"),
            desk.activities.last_contact("acme"),
            desk.activities.follow_ups(),
            desk.activities.history("acme"),
            *desk.notes(organisation="acme", context="crm"),
        ]
        for answer in answers:
            assert_safe(answer._repr_html_(), *([] if text.strip() != text else [text]))
            assert unsafe(repr(answer)) == []
        assert_safe(desk.may("acme")._repr_html_())


@settings(max_examples=200)
@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip))
def test_any_text_is_one_text_node(text: str) -> None:
    """Any text that a name may hold is shown by a browser exactly as it is, and by `repr` without obeying it."""
    record = ka.Organisation("x", name=text)
    assert text in Page(record._repr_html_()).text
    assert html.unescape(html.escape(text)) == text
    assert unsafe(repr(record)) == []
    assert attrs.evolve(record).name == text
