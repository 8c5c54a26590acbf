"""Small worlds, told as a key account manager would tell them: what the golden tables share.

A world is a list of statements. A statement is a head and options: `position ingo at acme role invoices not employed
until 2026-06-30`. A later statement about a record that was named before adds to it. Text with spaces stands in double
quotes. Every statement is a row of `FORMS` (records) or `SETTINGS` (how the book is opened).
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import attrs

import keyaccount as ka
from keyaccount.model.entity import Entity
from keyaccount.providers import Function, Sight
from keyaccount.visibility import Subject

SPECIFICATION = Path(__file__).parents[3] / "shared" / "spec"
OFFICE = "office"
NOTHING = "nothing"

Record: TypeAlias = tuple[type[Entity], str, dict[str, Any]]
"""What a statement says of one record: its kind, its id, the fields it gives."""


# ---- tables --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Rule:
    """A named rule: words of the specification."""

    name: str
    file: str
    words: str

    @property
    def missing(self) -> str | None:
        """Say what is wrong where the words do not stand in the specification; None where they do."""
        text = (SPECIFICATION / self.file).read_text(encoding="utf-8")
        return None if self.words in " ".join(text.split()) else f"{self.file} does not say: {self.words}"


@attrs.frozen
class Case:
    """One line of a table: under which rules, in which world, what is done and asked, and the answer."""

    id: str
    rules: tuple[str, ...]
    given: tuple[str, ...]
    asked: tuple[str, ...]
    expected: str


@attrs.frozen
class Table:
    """A golden table: the common world, the rules, the cases."""

    world: tuple[str, ...]
    rules: tuple[Rule, ...]
    cases: tuple[Case, ...]

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the table itself: rules without a case, cases without a rule, names used twice."""
        used = {name for case in self.cases for name in case.rules}
        known = {rule.name for rule in self.rules}
        yield from (f"no case for rule {name}" for name in sorted(known - used))
        yield from (f"no such rule: {name}" for name in sorted(used - known))
        for what, names in (("case", [c.id for c in self.cases]), ("rule", [r.name for r in self.rules])):
            yield from (f"{what} {name} stands there twice" for name, count in Counter(names).items() if count > 1)


def read(path: Path) -> Table:
    """Read a table: lines of cells between pipes; `#` starts a comment, `-` is an empty list."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.strip() and line[0] != "#"]
    return Table(
        world=tuple(statement for row in rows if row[0] == "world" for statement in _items(row[1], ";")),
        rules=tuple(Rule(*row[1:]) for row in rows if row[0] == "rule"),
        cases=tuple(_case(row) for row in rows if row[0] not in {"world", "rule"}),
    )


def _case(row: list[str]) -> Case:
    name, rules, given, asked, expected = row
    return Case(name, _items(rules, ","), _items(given, ";"), _items(asked, ";"), expected)


def _items(cell: str, between: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in cell.split(between) if item.strip() not in {"", "-"})


# ---- statements about records --------------------------------------------------------------------------------------


@attrs.frozen
class Option:
    """What one phrase of a statement says: a field; the next word is read, or else the phrase alone gives the value."""

    field: str
    read: Callable[[str], Any] | None = None
    value: Any = True
    adds: bool = False


@attrs.frozen
class Form:
    """A shape of statement: its head with fields in braces, the phrases that may follow, what it says by itself."""

    head: str
    cls: type[Entity]
    options: Mapping[str, Option]
    id: str = "{id}"
    fixed: Mapping[str, Any] = attrs.field(factory=dict)

    def match(self, words: Sequence[str]) -> dict[str, str] | None:
        """Return the fields that the head names, or None where this is another shape."""
        pattern = self.head.split()
        if len(words) < len(pattern):
            return None
        found = {}
        for part, word in zip(pattern, words, strict=False):
            if part[0] == "{":
                found[part[1:-1]] = word
            elif part != word:
                return None
        return found


def day(word: str) -> date:
    """Read a day."""
    return date.fromisoformat(word)


def noon(word: str) -> datetime:
    """Read a day as a moment: its noon."""
    return datetime.combine(day(word), time(12), UTC)


def several(word: str) -> tuple[str, ...]:
    """Read a list without spaces: `documents,phone`."""
    return tuple(word.split(","))


def maybe(word: str) -> str | None:
    """Read an id, or `nobody`."""
    return None if word == "nobody" else word


def _address(purpose: str) -> Option:
    return Option("addresses", lambda town: ka.Address(purpose, town=town, country="DE"), adds=True)


def _paid(word: str) -> ka.Payment:
    """Read a payment: `2026-11-10:40`, in euros."""
    on, _, amount = word.partition(":")
    return ka.Payment(day(on), euros(amount))


def euros(word: str) -> ka.Money:
    """Read an amount in euros."""
    return ka.Money(Decimal(word), "EUR")


def _ordered(number: str) -> tuple[ka.Line, ...]:
    return tuple(ka.Line(f"product-{n}", unit_price=euros("1")) for n in range(int(number)))


def _months(number: str) -> ka.Term:
    return ka.months(int(number))


AS = {"as": Option("id", str)}
NAME = {"name": Option("name", str)}
SPAN = {
    "from": Option("valid_from", day),
    "until": Option("valid_until", day),
    "without end": Option("valid_until", value=None),
}
COVERING = {"covering": Option("covers_subsidiaries")}
PHONES = {"phones": Option("phones", several)}
CONTEXTS = {"in": Option("contexts", several), "in no contexts": Option("contexts", value=())}
NOTE = {
    "says": Option("text", str),
    **{
        f"about {kind.lower()}": Option("about", lambda word, kind=kind: ka.Reference(kind, word))  # type: ignore[misc]
        for kind in ("Activity", "Contract", "Order", "Invoice", "Link")
    },
    "INFO": Option("severity", value=ka.Severity.INFO),
    "WARNING": Option("severity", value=ka.Severity.WARNING),
    "STOP": Option("severity", value=ka.Severity.STOP),
    "category": Option("category", str),
    **CONTEXTS,
    "for subsidiaries": Option("for_subsidiaries"),
    "audience": Option("audience_unit_ids", several),
    "must acknowledge": Option("must_acknowledge"),
    "dismissible": Option("dismissible"),
    "not dismissible": Option("dismissible", value=False),
    "written by": Option("created_by", str),
    "written": Option("created_at", noon),
    **SPAN,
}
ASSIGNMENT = {**SPAN, **COVERING, **AS}
GRANT = {**SPAN, **COVERING, **AS}
MANAGER = {"role": ka.KEY_ACCOUNT_MANAGER}
FORMS: tuple[Form, ...] = (
    Form("unit {id}", ka.Unit, {"under": Option("parent_id", maybe), "head": Option("head_id", maybe), **NAME}),
    Form(
        "user {id}",
        ka.User,
        {
            "in": Option("unit_ids", several),
            "inactive": Option("active", value=False),
            "active": Option("active"),
            **NAME,
        },
    ),
    Form(
        "organisation {id}",
        ka.Organisation,
        {
            "under": Option("parent_id", maybe),
            "private": Option("private"),
            "open": Option("private", value=False),
            "company in": _address("company"),
            "shipping to": _address("shipping"),
            "billing to": _address("billing"),
            **PHONES,
            **NAME,
        },
    ),
    Form(
        "contact {id}",
        ka.Contact,
        {
            "vip": Option("vip"),
            "entered by": Option("created_by", str),
            "lives in": _address("private"),
            **PHONES,
            **NAME,
        },
    ),
    Form(
        "position {contact_id} at {organisation_id}",
        ka.Position,
        {
            "role": Option("role", str),
            "not employed": Option("employed", value=False),
            "reports to": Option("reports_to_id", maybe),
            "vip": Option("vip"),
            **PHONES,
            **SPAN,
            **AS,
        },
        id="{contact_id}-{organisation_id}",
    ),
    Form("role {id}", ka.ContactRole, {"single": Option("single")}),
    Form("{user_id} manages contact {contact_id}", ka.Assignment, ASSIGNMENT, "{user_id}-{contact_id}", MANAGER),
    Form("{user_id} manages {organisation_id}", ka.Assignment, ASSIGNMENT, "{user_id}-{organisation_id}", MANAGER),
    Form("{user_id} is {role} of contact {contact_id}", ka.Assignment, ASSIGNMENT, id="{user_id}-{contact_id}"),
    Form("{user_id} is {role} of {organisation_id}", ka.Assignment, ASSIGNMENT, id="{user_id}-{organisation_id}"),
    Form("grant {kind} {principal} {right} on {organisation_id}", ka.Grant, GRANT, id="{principal}-{organisation_id}"),
    Form("grant everyone {right} on {organisation_id}", ka.Grant, GRANT, id="everyone-{organisation_id}"),
    Form("note {id} on contact {contact_id} at {organisation_id}", ka.ServiceNote, NOTE),
    Form("note {id} on contact {contact_id}", ka.ServiceNote, NOTE),
    Form("note {id} on {organisation_id}", ka.ServiceNote, NOTE),
    Form("note {id}", ka.ServiceNote, NOTE),
    Form("category {id}", ka.NoteCategory, CONTEXTS),
    Form("context {id}", ka.Context, {}),
    Form(
        "activity {id}",
        ka.Activity,
        {
            "at": Option("organisation_id", str),
            "with": Option("contact_ids", several),
            "call": Option("kind", value="call"),
            "meeting": Option("kind", value="meeting"),
            "by": Option("by_id", str),
            "on": Option("at", noon),
            "subject": Option("subject", str),
            "follow up": Option("follow_up_on", day),
            "done": Option("done_at", noon),
        },
    ),
)
_KEPT: tuple[Form, ...] = (
    Form(
        "contract {id} at {organisation_id}",
        ka.Contract,
        {
            "kind": Option("kind", str),
            "title": Option("title", str),
            "number": Option("number", str),
            "signed": Option("signed_on", day),
            "unsigned": Option("signed_on", value=None),
            "from": Option("starts_on", day),
            "until": Option("ends_on", day),
            "notice": Option("notice", _months),
            "notice days": Option("notice", lambda word: ka.days(int(word))),
            "rolls": Option("renewal_term", _months),
            "terminated": Option("terminated_on", day),
            "to": Option("terminated_to", day),
            "after": Option("predecessor_ids", several),
        },
        fixed={"kind": "maintenance", "signed_on": date(2024, 12, 1), "starts_on": date(2025, 1, 1)},
    ),
    Form(
        "order {id} at {organisation_id}",
        ka.Order,
        {"state": Option("state", str), "number": Option("number", str), "items": Option("lines", _ordered)},
        fixed={"ordered_on": date(2026, 9, 1)},
    ),
    Form(
        "invoice {id} at {organisation_id}",
        ka.Invoice,
        {
            "number": Option("number", str),
            "of": Option("net", euros),
            "of dollars": Option("net", lambda word: ka.Money(Decimal(word), "USD")),
            "due": Option("due_on", day),
            "paid": Option("payments", _paid, adds=True),
            "credit note": Option("kind", value="credit note"),
            "disputed": Option("disputed"),
        },
        fixed={"issued_on": date(2026, 9, 1), "net": euros("100")},
    ),
    Form(
        "link {id} at {organisation_id}",
        ka.Link,
        {
            "project": Option("kind", value="project"),
            "ticket": Option("kind", value="ticket"),
            "title": Option("title", str),
            "closed": Option("state", value="closed"),
        },
        fixed={"kind": "project"},
    ),
)
FORMS += _KEPT
KINDS = {form.cls.__name__.lower(): form.cls for form in FORMS} | {"note": ka.ServiceNote, "category": ka.NoteCategory}


def record(statement: str) -> Record:
    """Read a statement about a record; it fails where no form fits."""
    words = shlex.split(statement)
    for form in FORMS:
        named = form.match(words)
        if named is not None:
            given = _options(form, words[len(form.head.split()) :], statement)
            ident = str(given.pop("id", form.id.format(**named)))
            return form.cls, ident, {**form.fixed, **_named(named), **given}
    raise AssertionError(f"no such statement: {statement}")


def _named(named: Mapping[str, str]) -> dict[str, Any]:
    """Turn what the head of a statement names into fields."""
    fields: dict[str, Any] = {name: word for name, word in named.items() if name not in {"id", "kind"}}
    if "right" in fields:
        fields["right"] = ka.Right[fields["right"]]
        principals = {"unit": ka.unit, "user": ka.user}
        fields["principal"] = principals[named["kind"]](named["principal"]) if "kind" in named else ka.EVERYONE
    return fields


def _options(form: Form, words: Sequence[str], statement: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        phrase = next((p for p in (" ".join(rest[:n]) for n in (3, 2, 1)) if p in form.options), None)
        assert phrase is not None, f"{statement}: nothing begins with {rest[0]!r} here"
        option = form.options[phrase]
        rest = rest[len(phrase.split()) :]
        value = option.value if option.read is None else option.read(rest.pop(0))
        found[option.field] = (*found.get(option.field, ()), value) if option.adds else value
    return found


def made(cls: type[Entity], id: str, fields: Mapping[str, Any]) -> Entity:
    """Make a new record; one that needs a name or a text, and is given none, has its id for it."""
    usual: dict[str, Any] = {}
    if "name" in {field.name for field in attrs.fields(cls)}:
        usual["name"] = id.title()
    if cls is ka.ServiceNote and "about" not in fields:
        usual["text"] = id
    entity: Entity = cls(**{"id": id, **usual, **fields})
    return entity


# ---- statements about the book -------------------------------------------------------------------------------------


@attrs.define
class Settings:
    """How the book is opened."""

    moment: datetime = datetime(2026, 11, 21, 9, tzinfo=UTC)
    zone: str = "UTC"
    region: str | None = None
    policy: dict[str, Any] = attrs.field(factory=dict)
    providers: list[ka.Provider] = attrs.field(factory=list)
    expected: list[str] = attrs.field(factory=list)


def _today(settings: Settings, word: str) -> None:
    settings.moment = datetime.combine(day(word), time(9), UTC)


def _moment(settings: Settings, word: str) -> None:
    settings.moment = datetime.fromisoformat(word)


def _role(settings: Settings, role: str, right: str) -> None:
    settings.policy["roles"] = {**settings.policy.get("roles", {}), role: ka.Right[right]}


def _steward(settings: Settings, user: str) -> None:
    settings.policy["stewards"] = {*settings.policy.get("stewards", ()), user}


def _says(settings: Settings, name: str, text: str, **more: Any) -> None:
    def function(sight: Sight, subject: Subject) -> Iterable[ka.ComputedNote]:
        yield ka.ComputedNote(text, **more)

    _provide(settings, name, function)


def _fails(settings: Settings, name: str, text: str) -> None:
    def function(sight: Sight, subject: Subject) -> Iterable[ka.ComputedNote]:
        raise RuntimeError(text)

    _provide(settings, name, function)


def _counts(settings: Settings, name: str) -> None:
    def function(sight: Sight, subject: Subject) -> Iterable[ka.ComputedNote]:
        yield ka.ComputedNote(f"{sight.count(ka.Organisation)} organisations")

    _provide(settings, name, function)


def _provide(settings: Settings, name: str, function: Function) -> None:
    settings.providers.append(ka.Provider(name, function))


SETTINGS: Mapping[str, Callable[..., None]] = {
    "today {}": _today,
    "moment {}": _moment,
    "zone {}": lambda settings, zone: setattr(settings, "zone", zone),
    "region {}": lambda settings, region: setattr(settings, "region", region),
    "policy shipped": lambda settings: settings.policy.clear(),
    "policy open": lambda settings: settings.policy.update(default=ka.Right.READ),
    "policy closed": lambda settings: settings.policy.update(default=None),
    "policy steward {}": _steward,
    "policy role {} {}": _role,
    "policy no creating": lambda settings: settings.policy.update(may_create=False),
    "provider {} missing": lambda settings, name: settings.expected.append(name),
    "provider {} says {}": _says,
    "provider {} says {} code {}": lambda settings, name, text, code: _says(settings, name, text, code=code),
    "provider {} warns {}": lambda settings, name, text: _says(settings, name, text, severity=ka.Severity.WARNING),
    "provider {} says {} about {}": lambda settings, name, text, on: _says(settings, name, text, organisation_id=on),
    "provider {} fails {}": _fails,
    "provider {} counts organisations": _counts,
}


def setting(settings: Settings, statement: str) -> bool:
    """Apply a statement about the book; False where it is about a record."""
    words = shlex.split(statement)
    for form, apply in SETTINGS.items():
        pattern = form.split()
        if len(pattern) == len(words) and all(p in ("{}", w) for p, w in zip(pattern, words, strict=True)):
            apply(settings, *(w for p, w in zip(pattern, words, strict=True) if p == "{}"))
            return True
    return False


# ---- worlds --------------------------------------------------------------------------------------------------------


@attrs.define
class World:
    """A book with all that was told of it, and the desks of those who ask."""

    book: ka.Book
    settings: Settings
    contacts: frozenset[str]
    desks: dict[str, ka.Desk] = attrs.field(factory=dict)

    def desk(self, name: str) -> ka.Desk:
        """Return the desk of a user, or of the office (a trusted one); the same one each time."""
        if name not in self.desks:
            self.desks[name] = self.book.trusted(name) if name == OFFICE else self.book.desk(name)
        return self.desks[name]

    def write(self, name: str, statements: Iterable[str]) -> None:
        """Put what statements say, in one call: changes to what this desk reads, new records else."""
        desk, entities = self.desk(name), []
        for cls, id, fields in map(record, statements):
            try:
                entities.append(attrs.evolve(desk.get(cls, id), **fields))
            except ka.NotFound:
                entities.append(made(cls, id, fields))
        desk.put(*entities)

    def subject(self, words: str) -> dict[str, str]:
        """Read whom a question is about: `ingo at acme`, `ingo`, `acme`."""
        first, _, organisation = words.partition(" at ")
        if organisation:
            return {"contact": first, "organisation": organisation}
        return {"contact" if first in self.contacts else "organisation": first}


def build(statements: Iterable[str]) -> World:
    """Make a world: a book with a fixed clock, all records written by a trusted desk in one transaction."""
    settings = Settings()
    told: dict[tuple[type[Entity], str], dict[str, Any]] = {}
    for statement in statements:
        if not setting(settings, statement):
            cls, id, fields = record(statement)
            told[cls, id] = {**told.get((cls, id), {}), **fields}
    book = ka.open(
        policy=ka.AccessPolicy(**settings.policy),
        region=settings.region,
        zone=settings.zone,
        clock=lambda: settings.moment,
        providers=settings.providers,
    )
    office = book.trusted("golden")
    with office.transaction():
        office.put(
            *(made(cls, id, fields) for (cls, id), fields in told.items()), *map(ka.ExpectedProvider, settings.expected)
        )
    return World(book, settings, frozenset(id for cls, id in told if cls is ka.Contact))


# ---- asking --------------------------------------------------------------------------------------------------------

Question: TypeAlias = Callable[..., str]
"""A function of the world and the words of a question."""


def _writes(world: World, name: str, statements: str) -> str:
    world.write(name, statements.split(" & "))
    return "done"


def _removes(world: World, name: str, kind: str, id: str) -> str:
    world.desk(name).remove(KINDS[kind], id)
    return "done"


def _is(world: World, word: str) -> str:
    _today(world.settings, word)
    return "done"


def _responsible(world: World, name: str, subject: str, on: str | None) -> str:
    found = world.desk(name).people.responsible(**world.subject(subject), on=on and day(on))  # type: ignore[arg-type]
    return "nobody" if found is None else f"{found.user.id}, {found.why}"


STEPS: Mapping[str, Question] = {
    r"(\w+) writes: (.+)": _writes,
    r"(\w+) removes (\w+) (\S+)": _removes,
    r"it is (\S+)": _is,
    r"(\w+) asks who looks after (.+?)(?: on (\S+))?": _responsible,
}
"""What both tables do and ask."""


def answer(world: World, steps: Sequence[str], questions: Mapping[str, Question]) -> str:
    """Do all steps but the last, which must go well save for those that are only tried; answer the last."""
    *before, last = steps
    for step in before:
        if step.startswith("tries: "):
            said(world, step.removeprefix("tries: "), questions)
        else:
            ask(world, step, questions)
    return said(world, last, questions)


def ask(world: World, question: str, questions: Mapping[str, Question]) -> str:
    """Answer one question; errors of the library are raised."""
    for pattern, function in {**questions, **STEPS}.items():
        if (found := re.fullmatch(pattern, question)) is not None:
            return function(world, *found.groups())
    raise AssertionError(f"no such question: {question}")


def said(world: World, question: str, questions: Mapping[str, Question]) -> str:
    """Answer one question; an error is an answer."""
    try:
        return ask(world, question, questions)
    except ka.UnknownContext as error:
        near = re.search(r"'(.+)'", error.suggestion)
        return f"unknown context, near {near[1]}" if near else "unknown context"
    except ka.NotFound:
        return "not found"
    except ka.AccessDenied:
        return "denied"
    except ka.ValidationError:
        return "refused"
    except ka.ConflictError:
        return "taken"


def shown(value: object) -> str:
    """Write a value for a table; of several the order says nothing."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list, set, frozenset)):
        return ", ".join(sorted(map(str, value))) or NOTHING
    return value.isoformat() if isinstance(value, date) else str(value)
