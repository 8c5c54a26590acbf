"""Revenue, orders, receivables, contact and the health check, case by case: `monday.txt`, decided by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from golden import world as given
from golden.world import Case, Rule
from keyaccount import billing, health, portfolio
from keyaccount.billing import Aged
from keyaccount.health_text import daily_text, health_text

TABLE = given.read(Path(__file__).with_name("monday.txt"))
FEWEST_CASES, FEWEST_FIGURES = 150, 60


# ---- what is given -------------------------------------------------------------------------------------------------


@attrs.define
class Given:
    """Records of every sort, as a case tells them."""

    rows: dict[str, list[Any]] = attrs.field(factory=dict)
    organisations: dict[str, ka.Organisation] = attrs.field(factory=dict)
    since: dict[str, date] = attrs.field(factory=dict)
    tiers: dict[str, str] = attrs.field(factory=dict)
    progress: dict[str, str] = attrs.field(factory=dict)
    rates: dict[tuple[str, date], Decimal] = attrs.field(factory=dict)
    numbers: count[int] = attrs.field(factory=count)

    def of(self, kind: str) -> list[Any]:
        """Return the records of a sort."""
        return self.rows.get(kind, [])

    def add(self, kind: str, row: Any) -> None:
        """Add a record."""
        self.rows.setdefault(kind, []).append(row)

    @property
    def accounts(self) -> portfolio.Accounts:
        """What is known of the accounts."""
        return portfolio.Accounts.of(
            self.organisations.values(),
            assignments=self.of("assignment"),
            memberships=self.of("membership"),
            statuses=self.of("status"),
            tiers=self.tiers,
        )


def day(word: str) -> date:
    """Read a day."""
    return date.fromisoformat(word)


def moment(word: str) -> datetime:
    """Read a moment; a day alone is its noon."""
    found = datetime.fromisoformat(word if "T" in word else f"{word}T12")
    return found.replace(tzinfo=UTC)


def money(word: str) -> ka.Money:
    """Read an amount: 1200EUR."""
    return ka.Money(word[:-3], word[-3:])


def lines(words: str) -> tuple[ka.Line, ...]:
    """Read lines: `10x5EUR` is ten at five, `-0.1` a discount, `@3EUR` what one costs."""
    found = []
    for one in words.split(","):
        parts = re.fullmatch(r"([\d.]+)x([\d.]+[A-Z]{3})(?:-([\d.]+))?(?:@([\d.]+[A-Z]{3}))?", one)
        assert parts is not None, one
        quantity, price, discount, cost = parts.groups()
        found.append(
            ka.Line(
                "p",
                quantity=Decimal(quantity),
                unit_price=money(price),
                discount=Decimal(discount or 0),
                cost=None if cost is None else money(cost),
            )
        )
    return tuple(found)


def _payments(word: str) -> tuple[ka.Payment, ...]:
    amount, on = word.split("/")
    return (ka.Payment(day(on), money(amount)),)


Fields = Mapping[str, tuple[str, Callable[[str], Any]]]
OF = {r"of (\S+)": ("organisation_id", str)}
INVOICE: Fields = {
    **OF,
    r"on (\S+)": ("issued_on", day),
    r"due (\S+)": ("due_on", day),
    r"gross (\S+)": ("gross", money),
    r"paid (\S+/\S+)": ("payments", _payments),
    r"(disputed)": ("disputed", lambda _: True),
    r"lines (\S+)": ("lines", lines),
    r"([\d.]+[A-Z]{3})": ("net", money),
}
ORDER: Fields = {
    **OF,
    r"on (\S+)": ("ordered_on", day),
    r"state (\S+)": ("state", str),
    r"lines (\S+)": ("lines", lines),
    r"([\d.]+[A-Z]{3})": ("lines", lambda word: (ka.Line("p", unit_price=money(word)),)),
}
ACTIVITY: Fields = {
    **OF,
    r"at (\S+)": ("at", moment),
    r"by (\S+)": ("by_id", str),
    r"with (\S+)": ("contact_ids", lambda word: tuple(word.split(","))),
    r"(unanswered)": ("connected", lambda _: False),
    r"(in|out)": ("direction", str),
    r"promising (\S+)": ("follow_up_on", day),
    r"kept (\S+)": ("done_at", moment),
    r"about (\S+)": ("subject", str),
}
OPPORTUNITY: Fields = {
    **OF,
    r"(new|upsell|cross-sell|renewal)": ("kind", str),
    r"likely (\S+)": ("probability", str),
    r"stage (\S+)": ("stage", str),
    r"expected (\S+)": ("expected_on", day),
    r"(won|lost|no decision) on \S+": ("state", str),
    r"closed (\S+)": ("closed_on", day),
    r"titled (\S+)": ("title", str),
    r"([\d.]+[A-Z]{3})": ("value", money),
}
CONTRACT: Fields = {
    **OF,
    r"from (\S+)": ("starts_on", day),
    r"to (\S+)": ("ends_on", day),
    r"number (\S+)": ("number", str),
    r"signed (\S+)": ("signed_on", day),
    r"after (\S+)": ("predecessor_ids", lambda word: (word,)),
    r"worth (\S+)": ("value", money),
    r"terminated (\S+)": ("terminated_on", day),
    r"rolls (\d+ \w+)": ("renewal_term", str),
    r"notice (\d+ \w+)": ("notice", str),
}
RECORDS: Mapping[str, tuple[str, type[Any], Fields, dict[str, Any]]] = {
    "invoice": ("invoice", ka.Invoice, INVOICE, {}),
    "credit": ("invoice", ka.Invoice, INVOICE, {"kind": "credit note"}),
    "order": ("order", ka.Order, ORDER, {}),
    "opportunity": ("opportunity", ka.Opportunity, OPPORTUNITY, {}),
    "contract": ("contract", ka.Contract, CONTRACT, {"kind": "supply"}),
    **{
        one: ("activity", ka.Activity, ACTIVITY, {"kind": one})
        for one in ("call", "meeting", "visit", "e-mail", "note")
    },
}


def record(kind: str, id: str, words: str) -> tuple[str, Any]:
    """Make a record of what a statement says; a contract is signed on its first day."""
    sort, cls, patterns, fixed = RECORDS[kind]
    fields: dict[str, Any] = {"organisation_id": "acme", **fixed}
    words = re.sub(r"(won|lost|no decision) on (\S+)", r"\1 on \2 closed \2", words)
    while words:
        for pattern, (field, read) in patterns.items():
            if found := re.match(pattern + r"(?:\s+|$)", words):
                value = read(found[1])
                fields[field] = fields.get(field, ()) + value if field == "payments" else value
                words = words[found.end() :]
                break
        else:
            raise AssertionError(f"cannot read {words!r}")
    if fields["organisation_id"] == "nobody":
        fields["organisation_id"] = None
    if sort == "contract":
        fields.setdefault("signed_on", fields["starts_on"])
    return sort, cls(id, **fields)


def _organisation(world: Given, id: str, **fields: Any) -> None:
    known = world.organisations.get(id, ka.Organisation(id, name=id))
    world.organisations[id] = attrs.evolve(known, **fields)


def _span(words: str | None) -> dict[str, date]:
    return {f"valid_{side}": day(word) for side, word in re.findall(r"(from|until) (\S+)", words or "")}


def _dated(world: Given, kind: str, cls: type[Any], span: str | None, **fields: Any) -> None:
    world.add(kind, cls(f"{kind}-{next(world.numbers)}", **fields, **_span(span)))


def _customers(world: Given, ids: str) -> None:
    for account in ids.split(","):
        _organisation(world, account)


def _under(world: Given, account: str, parent: str) -> None:
    _organisation(world, parent)
    _organisation(world, account, parent_id=parent)


def _manages(world: Given, user: str, account: str, span: str | None) -> None:
    _dated(world, "assignment", ka.Assignment, span, user_id=user, organisation_id=account)


def _grouped(world: Given, account: str, group: str, span: str | None) -> None:
    _dated(world, "membership", ka.GroupMembership, span, organisation_id=account, group_id=group)


def _key(world: Given, account: str, span: str | None) -> None:
    _dated(world, "status", ka.KeyAccountStatus, span, organisation_id=account)


def _works(world: Given, contact: str, account: str, span: str | None) -> None:
    _dated(world, "position", ka.Position, span, contact_id=contact, organisation_id=account)


def _record(world: Given, kind: str, ident: str, words: str) -> None:
    world.add(*record(kind, ident, words))


STATEMENTS: Mapping[str, Callable[..., None]] = {
    r"(invoice|credit|order|opportunity|contract|call|meeting|visit|e-mail|note) (\S+) (.+)": _record,
    r"customers (\S+)": _customers,
    r"prospect (\S+)": lambda world, account: _organisation(world, account, relationships=("prospect",)),
    r"(\S+) under (\S+)": _under,
    r"(\S+) in sector (\S+)": lambda world, account, sector: _organisation(world, account, sector=sector),
    r"(\S+) in tier (\S+)": lambda world, account, tier: world.tiers.update({account: tier}),
    r"(\S+) manages (\S+)( .+)?": _manages,
    r"(\S+) in group (\S+)( .+)?": _grouped,
    r"(\S+) is key( .+)?": _key,
    r"(\S+) at (\S+)( .+)?": _works,
    r"since (\S+) (\S+)": lambda world, account, word: world.since.update({account: day(word)}),
    r"rate (\S+) (\S+) on (\S+)": lambda world, currency, rate, on: world.rates.update(
        {(currency, day(on)): Decimal(rate)}
    ),
    r"progress (\S+) (\S+)": lambda world, contract, state: world.progress.update({contract: state}),
}


def build(statements: Iterable[str]) -> Given:
    """Make what the statements tell."""
    world = Given()
    for statement in statements:
        for pattern, make in STATEMENTS.items():  # records first: their own words may look like another statement
            if found := re.fullmatch(pattern, statement):
                make(world, *found.groups())
                break
        else:
            raise AssertionError(f"cannot read {statement!r}")
    return world


# ---- what is asked -------------------------------------------------------------------------------------------------

OPTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    r"of (parent|contract)s": lambda level: {"level": level},
    r"by (\w+)": lambda by: {"by": by},
    r"group (.+)": lambda group: {"group": group},
    r"now": lambda: {"attribution": "now"},
    r"in ([A-Z]{3})": lambda currency: {"currency": currency},
    r"from orders": lambda: {"basis": "orders"},
    r"from invoices": lambda: {"basis": "invoices"},
    r"to date": lambda: {"month": "to date"},
    r"above (\S+)": lambda share: {"alert_above": Decimal(share)},
    r"base (\S+)": lambda base: {"minimum_base": money(base)},
    r"by value": lambda: {"measure": "value"},
    r"of renewals": lambda: {"renewals": True},
    r"within (\d+)": lambda days: {"within_days": int(days)},
    r"per (\w+)": lambda per: {"per": per},
    r"top (\d+)": lambda top: {"top": (int(top),)},
}


def _options(world: Given, words: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"accounts": world.accounts}
    for one in filter(None, (part.strip() for part in (words or "").split(","))):
        # "by value" is a measure, whatever else one can split by
        found = [(m, read) for pattern, read in OPTIONS.items() if (m := re.fullmatch(pattern, one))]
        match, read = found[-1]
        options |= read(*match.groups())
    if "currency" in options:
        options["exchange"] = lambda currency, on: world.rates.get((currency, on))
    return options


def _documents(world: Given, options: Mapping[str, Any], usual: str) -> list[Any]:
    return world.of(options.get("basis", usual).removesuffix("s"))


def _period(words: str) -> ka.Period:
    if words.isdigit():
        return ka.Period.year(int(words))
    start, end = words.split("..")
    return ka.Period(day(start), day(end))


def _figures(world: Given, metric: str, period: str | None, on: str, words: str | None) -> Any:
    options = _options(world, words)
    if metric in ("growth", "average"):
        ask: Any = portfolio.growth if metric == "growth" else portfolio.average_value
        return ask(_documents(world, options, "invoices"), on=day(on), customer_since=world.since, **options)
    if metric in ("concentration", "margin", "discount depth"):
        asks = {"margin": portfolio.contribution_margin, "discount depth": portfolio.discount_depth}
        ask = asks.get(metric, portfolio.concentration)
        return ask(_documents(world, options, "invoices"), on=day(on), **options)
    if metric == "decline":
        return portfolio.order_decline(_documents(world, options, "orders"), on=day(on), **options)
    if metric == "pipeline":
        return portfolio.pipeline(world.of("opportunity"), on=day(on), **options)
    if metric == "contact":
        return portfolio.days_since_contact(world.of("activity"), on=day(on), positions=world.of("position"), **options)
    assert period is not None
    if metric == "win ratio":
        return portfolio.win_ratio(world.of("opportunity"), _period(period), on=day(on), **options)
    return portfolio.call_to_meeting(world.of("activity"), _period(period), on=day(on), **options)


def told(figure: ka.Figure) -> str:
    """Write a figure: its value, both sides where they are money, and the records on both sides."""
    if figure.value is None:
        return f"none ({figure.reason})"
    sides = f" = {figure.numerator} of {figure.denominator}" if isinstance(figure.numerator, ka.Money) else ""
    top, bottom = (",".join(sorted(ids)) or "nothing" for ids in (figure.records.numerator, figure.records.denominator))
    records = f"{top} of {bottom}" if figure.records.denominator else top
    return f"{figure.value}{sides} ({records}){' provisional' if figure.provisional else ''}"


def _whole(found: Any) -> ka.Figure:
    whole = found.whole if hasattr(found, "whole") else found
    assert isinstance(whole, ka.Figure)
    return whole


def _row(world: Given, account: str, *question: Any) -> str:
    found = _figures(world, *question)
    return told((found if hasattr(found, "whole") else found.parts)[account])


def _part(world: Given, part: str, *question: Any) -> str:
    return told(_whole(_figures(world, *question)).parts[part])  # type: ignore[index]


def _names(world: Given, *question: Any) -> str:
    found = _figures(world, *question)
    return ", ".join((found if hasattr(found, "whole") else found.parts).keys())


def _parts(world: Given, *question: Any) -> str:
    return (
        ", ".join(f"{part.part} {part.value}" for part in _whole(_figures(world, *question)).parts or ()) or "nothing"
    )


def _beside(world: Given, names: str, account: str | None, *question: Any) -> str:
    found = _figures(world, *question)
    rows = found if hasattr(found, "whole") else found.parts
    figure = _whole(found) if account is None else rows[account]
    return ", ".join(f"{name} {figure.beside[name]}" for name in names.split("+"))


def _excluded(world: Given, *question: Any) -> str:
    return ", ".join(f"{one.id}: {one.reason}" for one in _whole(_figures(world, *question)).excluded) or "nothing"


def _remarks(world: Given, account: str | None, *question: Any) -> str:
    found = _figures(world, *question)
    return " ".join((found[account] if account else _whole(found)).remarks) or "nothing"


def _refused(world: Given, word: str, *question: Any) -> str:
    with pytest.raises(ka.ValidationError) as caught:
        _figures(world, *question)
    return "named" if word in str(caught.value) else str(caught.value)


def _asked(world: Given, *question: Any) -> str:
    return told(_whole(_figures(world, *question)))


def _windows(world: Given, metric: str, on: str, words: str | None) -> str:
    if metric == "growth":
        spans = portfolio.growth_windows(day(on))
    else:
        spans = portfolio.decline_windows(day(on), **{k: v for k, v in _options(world, words).items() if k == "month"})
    return ", ".join(f"{span.start}..{span.end}" for span in spans.values())


def _overdue(world: Given, on: str, words: str | None) -> str:
    rows = billing.overdue(world.of("invoice"), on=day(on), **_options(world, words))
    marks = (f"{row.invoice_id} {row.open_amount} {row.days} {row.bucket}{' disputed' * row.disputed}" for row in rows)
    return ", ".join(marks) or "nothing"


def _aged(row: Aged) -> str:
    names = {**row.buckets, "disputed": row.disputed, "not due": row.not_due}
    names |= {"credits": row.credits, "overpaid": row.overpaid}
    shown = ", ".join(f"{name} {amount}" for name, amount in names.items() if amount.units)
    return f"{shown or 'nothing'}; overdue {row.overdue}, oldest {row.oldest}"


def _ageing(world: Given, whose: str, on: str, words: str | None) -> str:
    found = billing.ageing(world.of("invoice"), on=day(on), **_options(world, words))
    if whose == "all":
        return " / ".join(_aged(row) for row in found.totals) or "nothing"
    rows = found.parts if found.parts is not None else found.rows
    return " / ".join(_aged(row) for row in rows if row.name == whose) or "nothing"


def _undated(world: Given, on: str) -> str:
    found = billing.ageing(world.of("invoice"), on=day(on)).without_due_day
    assert billing.overdue(world.of("invoice"), on=day(on)).without_due_day == found
    return ", ".join(one.id for one in found) or "nothing"


def _cover(world: Given, user: str, on: str, words: str | None) -> str:
    options = _options(world, words)
    rows = portfolio.coverage(world.of("activity"), world.of("invoice"), on=day(on), **options)
    row = next(one for one in rows if one.manager == user)
    value = " and ".join(map(str, row.value)) or "nothing"
    kinds = " ".join(f"{kind} {number}" for kind, number in row.kinds.items())
    quiet = ",".join(row.not_contacted) or "nobody"
    return (
        f"{row.accounts} accounts, {value}; {row.contacts} contacts, {row.contacts_per_account} each, not {quiet}; "
        f"{row.promises} promises: {row.kept} kept, {row.late} late, {row.broken} broken; {kinds}"
    )


def _health(world: Given, on: str, words: str | None = None) -> health.HealthCheck:
    kinds = {"invoices": "invoice", "orders": "order", "contracts": "contract", "opportunities": "opportunity"}
    kinds |= {"activities": "activity"}
    facts: dict[str, Any] = {name: world.of(kind) for name, kind in kinds.items() if kind in world.rows}
    found = health.health_check(
        on=day(on), **facts, positions=world.of("position"), progress=world.progress, **_options(world, words)
    )
    assert max(map(len, health_text(found).splitlines())) <= 100
    return found


def _field(world: Given, field: str, account: str, on: str, words: str | None) -> str:
    facts = _health(world, on, words).row(account).to_dict()
    value = facts.get(field, "absent")
    if isinstance(value, list):
        return ", ".join(_short(one) for one in value) or "nothing"
    return _short(value)


def _short(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, dict):
        names = ("contract_id", "opportunity_id", "activity_id", "text")
        return str(next(value[name] for name in names if name in value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _to_do(world: Given, account: str, on: str, words: str | None) -> str:
    return "; ".join(step.text for step in _health(world, on, words).row(account).to_do) or "nothing"


def _evidence(world: Given, account: str, on: str, words: str | None) -> str:
    return "; ".join(f"{s.kind} {','.join(s.evidence)}" for s in _health(world, on, words).row(account).to_do)


def _health_rows(world: Given, on: str, words: str | None) -> str:
    return ", ".join(row.organisation_id for row in _health(world, on, words)) or "nothing"


def _foot(world: Given, part: str | None, on: str, words: str | None) -> str:
    found = _health(world, on, words)
    foot = found.totals if part is None else next(one for one in found.parts or () if one.part == part)
    sums = (foot.invoiced, foot.overdue, foot.pipeline, foot.weighted)
    shown = ", ".join(" and ".join(map(str, one)) or "nothing" for one in sums)
    counts = (foot.alerts, foot.due, foot.expired, foot.opportunities, foot.promises)
    return f"{foot.accounts} accounts: {shown}; {' '.join(map(str, counts))}"


def _daily(world: Given, on: str) -> str:
    facts: dict[str, Any] = {"invoices": world.of("invoice"), "opportunities": world.of("opportunity")}
    found = health.daily(on=day(on), **facts, activities=world.of("activity"))
    assert max(map(len, daily_text(found).splitlines())) <= 100
    ids = ([row.invoice_id for row in found.overdue], [row.opportunity_id for row in found.opportunities])
    return "; ".join(",".join(one) or "nothing" for one in (*ids, [row.activity_id for row in found.promises]))


METRIC = r"(growth|average|decline|concentration|margin|discount depth|pipeline|contact|win ratio|calls to meetings)"
ON = r"on ([\d-]+)(?:, (.+))?"
FIGURE = rf"{METRIC}(?: in (\S+))? {ON}"
QUESTIONS: Mapping[str, Callable[..., str]] = {
    rf"windows of (growth|decline) {ON}": _windows,
    rf"overdue {ON}": _overdue,
    rf"ageing of (\S+) {ON}": _ageing,
    r"without due day on (\S+)": _undated,
    rf"cover of (\S+) {ON}": _cover,
    rf"health rows {ON}": _health_rows,
    rf"to do for (\S+) {ON}": _to_do,
    rf"evidence for (\S+) {ON}": _evidence,
    rf"foot(?: of (\S+))? {ON}": _foot,
    r"daily on (\S+)": _daily,
    rf"(\w+) of (\S+) in health {ON}": _field,
    rf"whole {FIGURE}": _asked,
    FIGURE: _asked,
    rf"account (\S+) of {FIGURE}": _row,
    rf"accounts of {FIGURE}": _names,
    rf"part (\S+) of {FIGURE}": _part,
    rf"parts of {FIGURE}": _parts,
    rf"excluded of {FIGURE}": _excluded,
    rf"remarks of {FIGURE}": lambda world, *question: _remarks(world, None, *question),
    rf"remarks for (\S+) of {FIGURE}": _remarks,
    rf"(\S+) refused for {FIGURE}": _refused,
    rf"beside (.+?)(?: for (\S+))? of {FIGURE}": _beside,
}


def _answer(world: Given, question: str) -> str:
    for pattern, ask in QUESTIONS.items():
        if found := re.fullmatch(pattern, question):
            return ask(world, *found.groups())
    raise AssertionError(f"cannot read {question!r}")


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    """A figure, a list or a step to take is what the specification says, with the records on both sides."""
    assert _answer(build(case.given), case.asked[0]) == case.expected


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_order_does_not_matter(case: Case) -> None:
    """The order in which records come changes no answer."""
    world = build(case.given)
    for rows in world.rows.values():
        rows.reverse()
    assert _answer(world, case.asked[0]) == case.expected


@pytest.mark.parametrize("rule", TABLE.rules, ids=lambda rule: rule.name)
def test_rule_stands_in_the_specification(rule: Rule) -> None:
    """The words quoted are the specification's own."""
    if not given.SPECIFICATION.is_dir():
        pytest.skip(f"the specification is not at {given.SPECIFICATION}")
    assert rule.missing is None


def test_every_rule_has_a_case() -> None:
    """Rules and cases name each other, each name stands there once, and every case asks one question."""
    assert list(TABLE.problems()) == []
    assert all(len(case.asked) == 1 for case in TABLE.cases)
    assert len(TABLE.cases) >= FEWEST_CASES
    figures = [case for case in TABLE.cases if re.fullmatch(rf"(account \S+ of )?{FIGURE}", case.asked[0])]
    assert len(figures) >= FEWEST_FIGURES


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_figures_explain_themselves(case: Case) -> None:
    """A figure's text says the value or why there is none, and a share is its numerator over its denominator."""
    found = re.fullmatch(FIGURE, case.asked[0])
    figure = _whole(_figures(build(case.given), *found.groups())) if found else None
    if figure is None:
        return
    text = figure.explain()
    assert figure.definition in text
    assert figure.value is not None or (figure.reason or "?") in text
    top, bottom = figure.numerator, figure.denominator
    if isinstance(figure.value, Fraction) and isinstance(bottom, int) and isinstance(top, int):
        assert figure.value == Fraction(top, bottom)
