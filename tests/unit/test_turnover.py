"""Laws of turnover and of what is made of it: halves add up, order and strangers do not matter, nothing is lost."""

from __future__ import annotations

import decimal
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keyaccount as ka
from keyaccount import billing, health, portfolio
from keyaccount.calendars import plus_months
from keyaccount.evidence import Later
from keyaccount.figures import Records
from keyaccount.questions import Question
from keyaccount.turnover import Flow, Turnover, turnover

ON = date(2026, 11, 21)
NAMES = ("acme", "globex", "initech")
DAYS = st.dates(date(2024, 6, 1), date(2026, 12, 31))
ALWAYS = dict.fromkeys((*NAMES, "stranger"), date(2000, 1, 1))


@st.composite
def bills(draw: st.DrawFn) -> list[ka.Invoice]:
    """Draw invoices and credit notes of a few accounts over two and a half years."""
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(NAMES), DAYS, st.integers(0, 10**9), st.booleans(), st.booleans()), max_size=20
        )
    )
    return [
        ka.Invoice(
            f"i-{n}",
            organisation_id=account,
            issued_on=day,
            due_on=day + timedelta(14),
            kind="credit note" if credit else "invoice",
            net=ka.Money.of_units(units * 100, "EUR"),
            payments=(ka.Payment(day, ka.Money.of_units(units * 100, "EUR")),) if paid else (),
        )
        for n, (account, day, units, credit, paid) in enumerate(rows)
    ]


def sums(rows: Any, start: date, end: date) -> dict[str, int]:
    """Return the sums of one window by account."""
    flows = turnover(rows, {"w": ka.Period(start, end)}).flows
    return {flow.account: flow.units[0] for flow in flows if flow.units[0]}


@settings(max_examples=60, deadline=None)
@given(bills(), st.lists(DAYS, min_size=3, max_size=3))
def test_halves_add_up(rows: list[ka.Invoice], days: list[date]) -> None:
    """Two halves of a window add up to the whole, wherever it is cut."""
    start, cut, end = sorted(days)
    halves = [sums(rows, start, cut), sums(rows, cut, end)]
    both = {one: sum(half.get(one, 0) for half in halves) for one in NAMES}
    assert {one: units for one, units in both.items() if units} == sums(rows, start, end)


ASKED: dict[str, Callable[[list[ka.Invoice]], Any]] = {
    "growth": lambda rows: portfolio.growth(rows, on=ON, customer_since=ALWAYS),
    "average": lambda rows: portfolio.average_value(rows, on=ON, by="account"),
    "decline": lambda rows: portfolio.order_decline(rows, on=ON, basis="invoices"),
    "concentration": lambda rows: portfolio.concentration(rows, on=ON),
    "overdue": lambda rows: billing.overdue(rows, on=ON),
    "ageing": lambda rows: billing.ageing(rows, on=ON),
    "health": lambda rows: health.health_check(on=ON, invoices=rows),
}


@pytest.mark.parametrize("name", ASKED)
@settings(max_examples=25, deadline=None)
@given(rows=bills(), data=st.data())
def test_order_does_not_matter(name: str, rows: list[ka.Invoice], data: st.DataObject) -> None:
    """The same documents in another order give the same answer, records included."""
    shuffled = data.draw(st.permutations(rows))
    assert ASKED[name](shuffled).to_dict() == ASKED[name](rows).to_dict()


@settings(max_examples=40, deadline=None)
@given(bills(), bills())
def test_a_stranger_changes_nothing(rows: list[ka.Invoice], more: list[ka.Invoice]) -> None:
    """Documents of another account change no row of these accounts."""
    others = [attrs.evolve(row, id=f"x-{row.id}", organisation_id="stranger") for row in more]
    for name in ("growth", "decline"):
        alone, together = ASKED[name](rows), ASKED[name](rows + others)
        assert [row.to_dict() for row in alone] == [row.to_dict() for row in together if row.part != "stranger"]
    rows_alone, rows_together = ASKED["health"](rows), ASKED["health"](rows + others)
    kept = {row.organisation_id: row for row in rows_together if row.organisation_id != "stranger"}
    assert {row.organisation_id: row for row in rows_alone} == kept


@settings(max_examples=40, deadline=None)
@given(bills(), st.integers(0, 10**9), DAYS)
def test_a_credit_of_the_whole_invoice_nets_to_nothing(rows: list[ka.Invoice], units: int, day: date) -> None:
    """An invoice and a credit note of all of it on the same day change no sum."""
    bill = ka.Invoice("n", organisation_id="acme", issued_on=day, net=ka.Money.of_units(units * 100, "EUR"))
    both = [bill, attrs.evolve(bill, id="m", kind="credit note")]
    assert sums(rows + both, date.min, date.max) == sums(rows, date.min, date.max)
    before, after = ASKED["decline"](rows), ASKED["decline"](rows + both)
    assert all(after[row.part or ""].value == row.value for row in before)


def first_of_parts(figure: ka.Figure) -> Fraction:
    """Add up the numerators of a figure's parts, as shown."""
    amounts = (part.numerator for part in figure.parts or ())
    return sum((Fraction(amount.amount) for amount in amounts if isinstance(amount, ka.Money)), Fraction(0))


@settings(max_examples=40, deadline=None)
@given(bills())
def test_parts_add_up(rows: list[ka.Invoice]) -> None:
    """What managers show adds up to the whole to the cent, also where rates leave fractions of a cent."""
    known = portfolio.Accounts.of(assignments=[ka.Assignment("a", user_id="volker", organisation_id="acme")])
    options: Any = {"accounts": known, "currency": "USD", "exchange": lambda _, day: Fraction(day.day, 7)}
    for figure in (
        portfolio.average_value(rows, on=ON, by="manager", **options),
        portfolio.growth(rows, on=ON, by="manager", customer_since=ALWAYS, **options).whole,
        portfolio.concentration(rows, on=ON, by="manager", **options),
    ):
        assert figure is not None
        whole = figure.numerator if isinstance(figure.numerator, ka.Money) else figure.beside.get("turnover")
        if isinstance(whole, ka.Money):
            assert first_of_parts(figure) == Fraction(whole.amount)


@settings(max_examples=40, deadline=None)
@given(bills())
def test_records_add_up(rows: list[ka.Invoice]) -> None:
    """The records of a figure are exactly the documents that its amounts are made of."""
    units = {row.id: row.net_units for row in rows}
    for figure in portfolio.growth(rows, on=ON, customer_since=ALWAYS):
        for side, name in ((figure.records.numerator, "12 months"), (figure.records.denominator, "12 months before")):
            amount = figure.beside[name]
            assert isinstance(amount, ka.Money)
            assert sum(units[id] for id in side) == amount.units
            assert len(set(side)) == len(side)


@settings(max_examples=25, deadline=None)
@given(bills())
def test_no_context_of_the_host_matters(rows: list[ka.Invoice]) -> None:
    """With five digits of precision in the host's decimal context every answer is the same."""
    expected = {name: ask(rows).to_dict() for name, ask in ASKED.items()}
    with decimal.localcontext(decimal.Context(prec=5)):
        assert {name: ask(rows).to_dict() for name, ask in ASKED.items()} == expected


# ---- calendars -----------------------------------------------------------------------------------------------------


def days_of_years() -> Iterator[date]:
    """Yield each day of two years, one of them a leap year."""
    yield from (date(2023, 1, 1) + timedelta(n) for n in range(731))


def test_windows_of_growth() -> None:
    """The two windows meet, the second ends with the day before, and each is a year: 365 or 366 days."""
    for on in days_of_years():
        now, before = portfolio.growth_windows(on).values()
        assert (now.end, before.end) == (on, now.start)
        assert {now.days, before.days} <= {365, 366}
        assert on not in now


def test_windows_of_decline() -> None:
    """Closed months are whole calendar months that ended by the day; months to date have equal day counts."""
    for on in days_of_years():
        last, before, year_ago = portfolio.decline_windows(on).values()
        assert last.end <= on < plus_months(last.end, 1)
        assert (last.start.day, last.end.day, before.end) == (1, 1, last.start)
        assert (year_ago.start, year_ago.end) == (plus_months(last.start, -12), plus_months(last.end, -12))
        last, before, year_ago = portfolio.decline_windows(on, month="to date").values()
        assert last.days == before.days == year_ago.days <= (on - last.start).days
        assert (last.start.day, before.start.day) == (1, 1)
        assert before.end <= last.start


@pytest.mark.parametrize("on", [date(2024, 2, 29), date(2025, 2, 28), date(2026, 1, 31), date(2026, 12, 31)])
def test_nothing_gives_a_reason(on: date) -> None:
    """Of nothing every metric says why it has no value, and every list is empty."""
    figures = [
        portfolio.growth([], on=on).whole,
        portfolio.average_value([], on=on),
        portfolio.order_decline([], on=on).whole,
        portfolio.concentration([], on=on),
        portfolio.contribution_margin([], on=on).whole,
        portfolio.discount_depth([], on=on).whole,
        portfolio.pipeline([], on=on),
        portfolio.win_ratio([], (on, on), on=on),
        portfolio.call_to_meeting([], (on, on), on=on),
        portfolio.days_since_contact([], on=on).whole,
    ]
    for figure in figures:
        assert figure is not None
        assert figure.value is None
        assert figure.reason
        assert figure.reason in figure.explain()
    check = health.health_check(on=on, invoices=[], orders=[], contracts=[], opportunities=[], activities=[])
    lists: list[Any] = [
        portfolio.growth([], on=on),
        portfolio.order_decline([], on=on),
        billing.overdue([], on=on),
        billing.ageing([], on=on),
        check,
    ]
    assert not any(len(rows) for rows in lists)
    assert check.totals.accounts == 0


# ---- sums from elsewhere -------------------------------------------------------------------------------------------


def test_sums_from_elsewhere_give_the_same_figures() -> None:
    """Figures of sums that an engine added up equal those of the documents; ids are looked up only when asked for."""
    rows = [
        ka.Invoice("a", organisation_id="acme", issued_on=date(2025, 3, 1), net=ka.Money(100, "EUR")),
        ka.Invoice("b", organisation_id="acme", issued_on=date(2026, 3, 1), net=ka.Money(150, "EUR")),
    ]
    windows, asked = portfolio.growth_windows(ON), []

    def find(accounts: Any, window: ka.Period, currency: str | None) -> list[str]:
        asked.append((tuple(accounts), currency))
        return [row.id for row in rows if row.issued_on is not None and row.issued_on in window]

    flows = [Flow("acme", "EUR", (1_500_000, 1_000_000), date(2020, 1, 1))]
    question = Question(ka.Period.months_to(ON, 12), ON)
    found = portfolio.growth_of(Turnover(windows, flows, find), question)
    assert asked == []
    plain = portfolio.growth(rows, on=ON, customer_since={"acme": date(2020, 1, 1)})
    assert found["acme"].value == plain["acme"].value == Fraction(1, 2)
    assert asked == []
    assert found["acme"].records.numerator == ("b",)
    assert found["acme"].records.denominator == ("a",)
    assert asked == [(("acme",), "EUR"), (("acme",), "EUR")]
    assert found.to_dict() == plain.to_dict()


def test_sums_of_days_are_needed_to_convert() -> None:
    """A foreign sum that is not by day is refused: it has no day to convert it at."""
    question = Question(ka.Period.months_to(ON, 12), ON, currency="EUR", exchange=lambda *_: Decimal(2))
    flows = [Flow("acme", "USD", (1, 1), date(2020, 1, 1))]
    with pytest.raises(ka.ValidationError, match="not by day"):
        portfolio.growth_of(Turnover(portfolio.growth_windows(ON), flows, lambda *_: ()), question)
    by_day = [
        Flow("acme", "USD", (30_000, 0), date(2020, 1, 1), date(2026, 1, 1)),
        Flow("acme", "USD", (0, 20_000), date(2020, 1, 1), date(2025, 1, 1)),
    ]
    found = portfolio.growth_of(Turnover(portfolio.growth_windows(ON), by_day, lambda *_: ()), question)
    assert found["acme"].numerator == ka.Money(2, "EUR")


def test_a_stream_is_read_once() -> None:
    """An iterator serves as well as a list, and no document is kept."""
    rows = [ka.Invoice("a", organisation_id="acme", issued_on=date(2026, 3, 1), net=ka.Money(100, "EUR"))]
    assert portfolio.average_value(iter(rows), on=ON).to_dict() == portfolio.average_value(rows, on=ON).to_dict()
    check = health.health_check(on=ON, invoices=iter(rows), orders=iter(()))
    assert check.to_dict() == health.health_check(on=ON, invoices=rows, orders=()).to_dict()


def test_the_basis_must_fit() -> None:
    """Orders given as invoices, and invoices as orders, are refused; so is a misspelt basis, with the right one."""
    bill: Any = ka.Invoice("a", organisation_id="acme", issued_on=ON, net=ka.Money(100, "EUR"))
    order: Any = ka.Order("a", organisation_id="acme", ordered_on=ON)
    for ask in (portfolio.growth, portfolio.average_value, portfolio.concentration, portfolio.discount_depth):
        call: Any = ask
        with pytest.raises(ka.ValidationError, match="Order"):
            call([order], on=ON)
        with pytest.raises(ka.ValidationError, match="Invoice"):
            call([bill], on=ON, basis="orders")
        with pytest.raises(ka.ValidationError, match="did you mean"):
            call([bill], on=ON, basis="invoice")
    with pytest.raises(ka.ValidationError, match="Invoice"):
        portfolio.order_decline([bill], on=ON)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: portfolio.order_decline([], on=ON, month="open"), "month"),  # type: ignore[arg-type]
        (lambda: portfolio.order_decline([], on=ON, alert_above=0.2), "alert_above"),  # type: ignore[arg-type]
        (lambda: portfolio.order_decline([], on=ON, alert_above=Decimal("NaN")), "alert_above"),
        (lambda: portfolio.order_decline([], on=ON, alert_above=2), "alert_above"),
        (lambda: portfolio.concentration([], on=ON, top=(0,)), "top"),
        (lambda: portfolio.growth([], on=ON, levle="account"), "level"),  # type: ignore[call-arg]
        (lambda: portfolio.growth([], on=datetime(2026, 1, 1, tzinfo=UTC)), "on"),
        (lambda: portfolio.growth([], on=ON, level="contract"), "level"),
        (lambda: portfolio.win_ratio([], (ON, ON), on=ON, measure="sum"), "measure"),  # type: ignore[arg-type]
        (lambda: portfolio.days_since_contact([], on=ON, per="user"), "per"),  # type: ignore[arg-type]
        (lambda: health.health_check(on=ON, level="parent"), "level"),
        (lambda: portfolio.growth([], on=ON, exchange=lambda *_: Decimal(1)), "currency"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], Any], word: str) -> None:
    """A wrong argument is refused by its name."""
    with pytest.raises(ka.ValidationError, match=word):
        call()


def test_later_is_as_good_as_its_tuple() -> None:
    """Ids looked up later are a sequence that equals, hashes, slices, copies and tells like its tuple; found once."""
    asked = []

    def find() -> list[str]:
        asked.append(1)
        return ["a", "b"]

    later = Later(find)
    assert asked == []
    assert later == ("a", "b")
    assert Records(later) == Records(("a", "b"))
    assert (len(later), later[0], later[:1], list(later), hash(later)) == (2, "a", ("a",), ["a", "b"], hash(("a", "b")))
    assert later == Later(lambda: ("a", "b"))
    assert later != ("a",)
    assert repr(later) == "('a', 'b')"
    assert pickle.loads(pickle.dumps(Records(later))) == Records(("a", "b"))  # noqa: S301 - our own bytes
    assert Records(later).to_dict() == {"numerator": ["a", "b"], "denominator": []}
    assert asked == [1]
