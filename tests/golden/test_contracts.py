"""Contracts, successions and metrics, case by case: the contracts of `contracts.txt`, decided by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from golden import world as given
from golden.world import Case, Rule
from keyaccount import contracts, portfolio
from keyaccount.succession import Matching

TABLE = given.read(Path(__file__).with_name("contracts.txt"))
FEWEST_CASES, FEWEST_FIGURES = 150, 25
PERIODS = r"in (\S+) on (\S+)"


# ---- what is given -------------------------------------------------------------------------------------------------


@attrs.define
class Given:
    """Contracts and what is known of their accounts, as a case tells them."""

    contracts: dict[str, ka.Contract] = attrs.field(factory=dict)
    organisations: dict[str, ka.Organisation] = attrs.field(factory=dict)
    assignments: list[ka.Assignment] = attrs.field(factory=list)
    memberships: list[ka.GroupMembership] = attrs.field(factory=list)
    statuses: list[ka.KeyAccountStatus] = attrs.field(factory=list)
    rates: dict[tuple[str, date], Decimal] = attrs.field(factory=dict)
    raised: list[portfolio.Alert] = attrs.field(factory=list)
    actions: list[portfolio.Action] = attrs.field(factory=list)

    @property
    def rows(self) -> list[ka.Contract]:
        """All contracts."""
        return list(self.contracts.values())

    @property
    def accounts(self) -> portfolio.Accounts:
        """What is known of the accounts."""
        return portfolio.Accounts.of(
            self.organisations.values(),
            assignments=self.assignments,
            memberships=self.memberships,
            statuses=self.statuses,
        )


def day(word: str) -> date:
    """Read a day."""
    return date.fromisoformat(word)


def money(word: str) -> ka.Money:
    """Read an amount: 1200EUR."""
    return ka.Money(word[:-3], word[-3:])


FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    r"of (\S+)": ("organisation_id", str),
    r"from (\S+)": ("starts_on", day),
    r"to (\d\S+)": ("ends_on", day),
    r"worth (\S+)": ("value", money),
    r"a (month|quarter|year|term)": ("value_per", str),
    r"(once)": ("value_per", str),
    r"notice (\d+ (?:months?|days?)(?: to the end of a \w+)?)": ("notice", str),
    r"initial (\d+ \w+)": ("initial_term", str),
    r"rolls (\d+ \w+)": ("renewal_term", str),
    r"signed (\S+)": ("signed_on", day),
    r"(unsigned)": ("signed_on", lambda _: None),
    r"terminated (\S+)": ("terminated_on", day),
    r"until (\S+)": ("terminated_to", day),
    r"after (\S+)": ("predecessor_ids", lambda word: tuple(word.split(","))),
    r"kind (\S+)": ("kind", str),
    r"(add-on)": ("add_on", lambda _: True),
}


def contract(world: Given, id: str, words: str) -> None:
    """Add a contract; it is signed on its first day unless it says otherwise."""
    fields: dict[str, Any] = {"organisation_id": "acme", "kind": "supply"}
    while words:
        for pattern, (field, read) in FIELDS.items():
            if found := re.match(pattern + r"(?:\s+|$)", words):
                fields[field] = read(found[1])
                words = words[found.end() :]
                break
        else:
            raise AssertionError(f"cannot read {words!r}")
    world.contracts[id] = ka.Contract(id, **{"signed_on": fields["starts_on"], **fields})


def _span(words: str | None) -> dict[str, Any]:
    found = re.findall(r"(from|until) (\S+)", words or "")
    return {f"valid_{side}": day(word) for side, word in found}


def _manages(world: Given, user: str, account: str, span: str | None) -> None:
    id = f"a{len(world.assignments)}"
    world.assignments.append(ka.Assignment(id, user_id=user, organisation_id=account, **_span(span)))


def _under(world: Given, account: str, parent: str) -> None:
    for id, above in ((account, parent), (parent, None)):
        if id not in world.organisations or above:
            world.organisations[id] = ka.Organisation(id, name=id, parent_id=above)


def _sector(world: Given, account: str, sector: str) -> None:
    world.organisations[account] = ka.Organisation(account, name=account, sector=sector)


def _key(world: Given, account: str, span: str | None) -> None:
    id = f"k{len(world.statuses)}"
    world.statuses.append(ka.KeyAccountStatus(id, organisation_id=account, status="key", **_span(span)))


def _group(world: Given, account: str, group: str, span: str | None) -> None:
    id = f"g{len(world.memberships)}"
    world.memberships.append(ka.GroupMembership(id, organisation_id=account, group_id=group, **_span(span)))


def _rate(world: Given, currency: str, rate: str, on: str) -> None:
    world.rates[currency, day(on)] = Decimal(rate)


def _alert(world: Given, id: str, on: str) -> None:
    world.raised.append(portfolio.Alert(id, world.contracts[id].organisation_id, day(on)))


def _action(world: Given, subject: str, on: str) -> None:
    row = world.contracts.get(subject)
    world.actions.append(
        portfolio.Action(subject, day(on)) if row is None else portfolio.Action(row.organisation_id, day(on), row.id)
    )


STATEMENTS: Mapping[str, Callable[..., None]] = {
    r"contract (\S+) (.+)": contract,
    r"(\S+) manages (\S+)( .+)?": _manages,
    r"(\S+) under (\S+)": _under,
    r"(\S+) in sector (\S+)": _sector,
    r"(\S+) is key( .+)?": _key,
    r"(\S+) in group (\S+)( .+)?": _group,
    r"rate (\S+) (\S+) on (\S+)": _rate,
    r"alert (\S+) on (\S+)": _alert,
    r"action on (\S+) on (\S+)": _action,
}


def build(statements: tuple[str, ...]) -> Given:
    """Make what the statements tell."""
    world = Given()
    for statement in statements:
        for pattern, make in STATEMENTS.items():
            if found := re.fullmatch(pattern, statement):
                make(world, *found.groups())
                break
        else:
            raise AssertionError(f"cannot read {statement!r}")
    return world


# ---- what is asked -------------------------------------------------------------------------------------------------


def _period(words: str) -> ka.Period:
    if words.isdigit():
        return ka.Period.year(int(words))
    start, end = words.split("..")
    return ka.Period(day(start), day(end))


OPTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    r"by value": lambda: {"measure": "value"},
    r"of (contract|parent)s": lambda level: {"level": level},
    r"without tacit": lambda: {"tacit": False},
    r"by (\w+)": lambda by: {"by": by},
    r"now": lambda: {"attribution": "now"},
    r"group (.+)": lambda group: {"group": group},
    r"monthly": lambda: {"per": "month"},
    r"in ([A-Z]{3})": lambda currency: {"currency": currency},
    r"frames": lambda: {"frames": True},
    r"target (\d+)": lambda target: {"target_days": int(target)},
}


def _options(world: Given, words: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"accounts": world.accounts}
    for one in filter(None, (part.strip() for part in (words or "").split(","))):
        found = next((m, read) for pattern, read in OPTIONS.items() if (m := re.fullmatch(pattern, one)))
        options |= found[1](*found[0].groups())
    if "currency" in options:
        options["exchange"] = lambda currency, on: world.rates.get((currency, on))
    if options.pop("frames", False):
        parents = {id: row.parent_id for id, row in world.organisations.items() if row.parent_id}
        options["matching"] = Matching(frame_parents=parents)
    return options


METRICS: Mapping[str, Callable[..., ka.Figure]] = {
    "renewal rate": portfolio.renewal_rate,
    "account retention": portfolio.account_retention,
    "gross retention": portfolio.gross_retention,
    "net retention": portfolio.net_retention,
}


def _figure(world: Given, metric: str, period: str | None, on: str, options: str | None) -> ka.Figure:
    chosen = _options(world, options)
    if metric == "recurring":
        return portfolio.recurring(world.rows, on=day(on), **chosen)
    if metric == "expired unrenewed":
        return portfolio.expired_unrenewed(world.rows, on=day(on), **chosen)
    assert period is not None
    if metric == "first action":
        more: dict[str, Any] = {"actions": world.actions, "raised": world.raised or None}
        return portfolio.days_to_first_action(world.rows, _period(period), on=day(on), **more, **chosen)
    return METRICS[metric](world.rows, _period(period), on=day(on), **chosen)


def told(figure: ka.Figure) -> str:
    """Write a figure: its value, both sides where they are money, and the records on both sides."""
    if figure.value is None:
        return f"none ({figure.reason})"
    sides = f" = {figure.numerator} of {figure.denominator}" if isinstance(figure.numerator, ka.Money) else ""
    top, bottom = (",".join(sorted(ids)) or "nothing" for ids in (figure.records.numerator, figure.records.denominator))
    records = f"{top} of {bottom}" if figure.records.denominator else top
    return f"{figure.value}{sides} ({records}){' provisional' if figure.provisional else ''}"


def _asked_figure(world: Given, metric: str, period: str | None, on: str, options: str | None) -> str:
    return told(_figure(world, metric, period, on, options))


def _part_of(world: Given, part: str, *question: Any) -> str:
    return told(_figure(world, *question).parts[part])  # type: ignore[index]


def _parts(world: Given, *question: Any) -> str:
    parts = _figure(world, *question).parts
    assert parts is not None
    return ", ".join(f"{part.part} {part.value}" for part in parts) or "nothing"


def _beside(world: Given, name: str, *question: Any) -> str:
    found = _figure(world, *question).beside
    return ", ".join(f"{one} {found[one]}" for one in name.split("+"))


def _accounts(world: Given, *question: Any) -> str:
    found = _figure(world, *question).accounts
    return f"{','.join(sorted(found.numerator)) or 'nothing'} of {','.join(sorted(found.denominator)) or 'nothing'}"


def _excluded(world: Given, *question: Any) -> str:
    return ", ".join(f"{one.id}: {one.reason}" for one in sorted(_figure(world, *question).excluded)) or "nothing"


def _refused(world: Given, word: str, *question: Any) -> str:
    with pytest.raises(ka.ValidationError) as caught:
        _figure(world, *question)
    return "named" if word in str(caught.value) else str(caught.value)


def _remarks(world: Given, *question: Any) -> str:
    return " ".join(_figure(world, *question).remarks) or "nothing"


def _moved(world: Given, period: str, on: str, options: str | None) -> portfolio.Movements:
    return portfolio.movements(world.rows, _period(period), on=day(on), **_options(world, options))


def _summed(found: portfolio.Movements) -> str:
    if found.start is None or found.end is None:
        return f"none ({found.reason})"
    names = ("new", "reactivated", "expansion", "contraction", "churn", "exchange")
    moves = [f"{name} {found_units(found, name)}" for name in names if found_units(found, name) != "0"]
    return " ".join([f"{found.start.amount:f}", *moves, f"= {found.end.amount:f} {found.end.currency}"])


def found_units(found: portfolio.Movements, name: str) -> str:
    """Return one line of the movements without its currency."""
    return f"{getattr(found, name).amount:f}"


def _movements(world: Given, period: str, on: str, options: str | None) -> str:
    return _summed(_moved(world, period, on, options))


def _rows(world: Given, period: str, on: str, options: str | None) -> str:
    rows = _moved(world, period, on, options).rows
    return (
        ", ".join(f"{row.day} {row.account} {row.kind} {row.amount.amount:f}{' gap' * row.gap}" for row in rows)
        or "nothing"
    )


def _movement_parts(world: Given, period: str, on: str, options: str | None) -> str:
    parts = _moved(world, period, on, options).parts
    assert parts is not None
    return ", ".join(f"{part.part}: {_summed(part)}" for part in parts)


def _shown(found: date | None) -> str:
    return given.shown(found)


def _deadline(world: Given, id: str, on: str) -> str:
    return _shown(contracts.notice_deadline(world.contracts[id], on=day(on)))


def _end(world: Given, id: str, on: str) -> str:
    return _shown(contracts.effective_end(world.contracts[id], world.rows, on=day(on)))


def _last_day(world: Given, id: str) -> str:
    return _shown(world.contracts[id].last_day)


def _notice(world: Given, id: str, on: str) -> str:
    return _shown(contracts.end_reached(world.contracts[id], notice_on=day(on)))


def _state(world: Given, id: str, on: str) -> str:
    return contracts.state(world.contracts[id], world.rows, on=day(on))


def _alert_day(world: Given, id: str, on: str, lead: str | None) -> str:
    chosen = {"lead": {word.split("=")[0]: int(word.split("=")[1]) for word in lead.split(",")}} if lead else {}
    return _shown(contracts.alert_day(world.contracts[id], on=day(on), **chosen))


def _terms(world: Given, id: str, on: str) -> str:
    rows = contracts.terms(world.contracts[id], on=day(on))
    return ", ".join(f"{row.starts_on}..{_shown(row.ends_on)}{' tacit' * row.tacit}" for row in rows)


def _value(world: Given, per: str, id: str) -> str:
    ask = contracts.monthly_value if per == "monthly" else contracts.yearly_value
    return given.shown(ask(world.contracts[id]))


def _outcomes(world: Given, period: str, on: str, options: str | None) -> str:
    matching = _options(world, options).get("matching", Matching())
    rows = contracts.outcomes(world.rows, _period(period), on=day(on), matching=matching)
    return ", ".join(_outcome(row) for row in rows) or "nothing"


def _outcome(row: contracts.Outcome) -> str:
    marks = " tacitly" * row.tacit + " late" * row.late + " inferred" * row.inferred
    by = f" by {'+'.join(row.successor_ids)}" if row.successor_ids else ""
    return f"{row.contract_id} {row.due_on} {row.outcome}{by}{marks}"


def _cover(world: Given, part: str, account: str, kind: str, on: str) -> str:
    rows = contracts.cover(world.rows, on=day(on))
    found = next(row for row in rows if (row.organisation_id, row.kind) == (account, kind))
    return (
        ", ".join(f"{one.starts_on}..{_shown(one.ends_on)}{_whose(one)}" for one in getattr(found, part)) or "nothing"
    )


def _whose(one: contracts.Stretch) -> str:
    return f" {'+'.join(one.contract_ids)}" if one.contract_ids else ""


def _due(world: Given, within: str, on: str) -> str:
    rows = portfolio.due(world.rows, on=day(on), within_days=int(within), accounts=world.accounts)
    return ", ".join(f"{row.contract_id} {row.days_left}{' terminated' * row.terminated}" for row in rows) or "nothing"


def _deadlines(world: Given, within: str, on: str) -> str:
    rows = portfolio.notice_deadlines(world.rows, on=day(on), within_days=int(within))
    return ", ".join(f"{row.contract_id} {row.deadline}" for row in rows) or "nothing"


def _expired(world: Given, on: str) -> str:
    rows = portfolio.expired(world.rows, on=day(on))
    return ", ".join(f"{row.contract_id} {row.days}{' in grace' * row.in_grace}" for row in rows) or "nothing"


def _alerts(world: Given, period: str, on: str) -> str:
    rows = portfolio.alerts(world.rows, _period(period), on=day(on))
    return ", ".join(f"{row.contract_id} {row.raised_on}" for row in rows) or "nothing"


FIGURE = (
    r"(renewal rate|account retention|gross retention|net retention|first action|recurring|expired unrenewed)"
    r"(?: in (\S+))? on ([\d-]+)(?:, (.+))?"
)
QUESTIONS: Mapping[str, Callable[..., str]] = {
    r"deadline of (\S+) on (\S+)": _deadline,
    r"end of (\S+) on (\S+)": _end,
    r"last day of (\S+)": _last_day,
    r"notice for (\S+) on (\S+)": _notice,
    r"state of (\S+) on (\S+)": _state,
    r"alert day of (\S+) on (\S+)(?: lead (\S+))?": _alert_day,
    r"terms of (\S+) on (\S+)": _terms,
    r"(monthly|yearly) value of (\S+)": _value,
    rf"outcomes {PERIODS}(?:, (.+))?": _outcomes,
    r"(covered|gaps|overlaps) of (\S+) (\S+) on (\S+)": _cover,
    r"due within (\d+) on (\S+)": _due,
    r"deadlines within (\d+) on (\S+)": _deadlines,
    r"expired on (\S+)": _expired,
    rf"alerts {PERIODS}": _alerts,
    r"movements in (\S+) on ([\d-]+)(?:, (.+))?": _movements,
    r"rows of movements in (\S+) on ([\d-]+)(?:, (.+))?": _rows,
    r"parts of movements in (\S+) on ([\d-]+)(?:, (.+))?": _movement_parts,
    FIGURE: _asked_figure,
    rf"part (\S+) of {FIGURE}": _part_of,
    rf"parts of {FIGURE}": _parts,
    rf"accounts of {FIGURE}": _accounts,
    rf"excluded of {FIGURE}": _excluded,
    rf"remarks of {FIGURE}": _remarks,
    rf"(\S+) refused for {FIGURE}": _refused,
    rf"beside (.+?) of {FIGURE}": _beside,
}


def _answer(world: Given, question: str) -> str:
    for pattern, ask in QUESTIONS.items():
        if found := re.fullmatch(pattern, question):
            return ask(world, *found.groups())
    raise AssertionError(f"cannot read {question!r}")


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    """A contract, a succession or a figure is what the specification says, with the records on both sides."""
    assert _answer(build(case.given), case.asked[0]) == case.expected


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
    assert len(FIGURES) >= FEWEST_FIGURES


FIGURES = [case for case in TABLE.cases if re.fullmatch(FIGURE, case.asked[0])]


@pytest.mark.parametrize("case", FIGURES, ids=lambda case: case.id)
def test_figures_explain_themselves(case: Case) -> None:
    """Each figure's text says the value or why there is none, and names the records on both sides."""
    found = re.fullmatch(FIGURE, case.asked[0])
    assert found is not None
    figure = _figure(build(case.given), *found.groups())
    text = figure.explain()
    assert figure.definition in text
    assert all(id in text for id in (*figure.records.numerator, *figure.records.denominator))
    assert figure.value is not None or (figure.reason or "?") in text
    if isinstance(figure.value, Fraction) and isinstance(figure.denominator, int):
        assert figure.value == Fraction(figure.numerator, figure.denominator)  # type: ignore[arg-type]
