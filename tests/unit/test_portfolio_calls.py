"""The metrics of a desk: over what may be read, with the book's rates, leads and groups; reckoned by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest

import keyaccount as ka

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOON.date()
Y2025, Y2026 = ka.Period.year(2025), ka.Period.year(2026)
FIRST, LAST = date(2025, 1, 1), date(2025, 12, 31)
RATES: dict[tuple[str, date], Decimal | Fraction] = {
    ("USD", date(2025, 1, 1)): Decimal("0.5"),
    ("USD", TODAY): Fraction(1, 4),
}


def rate(currency: str, day: date) -> Decimal | Fraction:
    """Tell the host's rates to EUR; there are two, others are a KeyError of the host's."""
    return RATES[currency, day]


def contract(id: str, organisation: str, starts_on: date, ends_on: date | None, **more: Any) -> ka.Contract:
    """Make a contract signed on its first day."""
    fields = {"signed_on": starts_on, "value": ka.Money(100, "EUR")} | more
    return ka.Contract(id, organisation, starts_on=starts_on, ends_on=ends_on, **fields)  # type: ignore[arg-type]


@pytest.fixture
def book() -> ka.Book:
    """Make four accounts with contracts of 2025.

    acme (volker's): a1 worth 100, followed by a2 worth 150. sub, below acme: s1 worth 100, followed by s2 worth 60.
    gone: g1, followed by nothing. hush, private: h1 worth 900, followed by nothing. x1 is a supplier's.
    """
    book = ka.open(clock=lambda: NOON, exchange=rate)
    follows: dict[str, Any] = {"starts_on": date(2026, 1, 1), "ends_on": None}
    book.trusted("test").put(
        ka.Unit("dach", name="DACH"),
        *(ka.User(name, name=name.title(), unit_ids=("dach",)) for name in ("volker", "kurt", "dora", "tom", "sue")),
        ka.Organisation("acme", name="ACME", sector="chemicals"),
        ka.Organisation("sub", name="Sub", parent_id="acme"),
        ka.Organisation("gone", name="Gone", sector="pharma"),
        ka.Organisation("hush", name="Hush", private=True),
        ka.Organisation("supplier", name="S", relationships=("supplier",)),
        ka.Assignment("a", "volker", "acme", covers_subsidiaries=True),
        ka.Assignment("g", "dora", "gone", valid_until=date(2025, 6, 30)),
        ka.Assignment("g2", "tom", "gone", valid_from=date(2025, 7, 1)),
        ka.Assignment("k", "kurt", "hush"),
        ka.ClientGroup("gold", name="Gold"),
        ka.GroupMembership("m", "sub", "gold"),
        ka.KeyAccountStatus("s", "gone", valid_until=date(2025, 6, 30)),
        contract("a1", "acme", FIRST, LAST),
        contract("a2", "acme", **follows, value=ka.Money(150, "EUR"), predecessor_ids=("a1",)),
        contract("s1", "sub", FIRST, LAST),
        contract("s2", "sub", **follows, value=ka.Money(60, "EUR"), predecessor_ids=("s1",)),
        contract("g1", "gone", FIRST, LAST),
        contract("h1", "hush", FIRST, LAST, value=ka.Money(900, "EUR")),
        contract("x1", "supplier", FIRST, None, value=ka.Money(900, "EUR")),
    )
    return book


@pytest.fixture
def desk(book: ka.Book) -> ka.Desk:
    """Return volker's desk, which reads everything but what is private."""
    return book.desk("volker")


@pytest.fixture
def office(book: ka.Book) -> ka.Desk:
    """Return a trusted desk."""
    return book.trusted("test")


def parts(figure: ka.Figure) -> dict[str, Any]:
    """Tell the parts of a figure."""
    return {name: part.value for name, part in (figure.parts.items() if figure.parts is not None else ())}


def euros(amount: int | str) -> ka.Money:
    """Return so many euros."""
    return ka.Money(amount, "EUR")


# ---- which accounts --------------------------------------------------------------------------------------------------


def test_the_rate_counts_readable_customers(desk: ka.Desk, office: ka.Desk) -> None:
    """Two of three readable accounts renewed; the private one counts for those who read it, a supplier for nobody."""
    figure = desk.portfolio.renewal_rate(Y2025)
    assert (figure.value, figure.numerator, figure.denominator) == (Fraction(2, 3), 2, 3)
    assert figure.records.numerator == ("a1", "s1")
    assert figure.records.denominator == ("a1", "g1", "s1")
    assert office.portfolio.renewal_rate(Y2025).value == Fraction(2, 4)
    assert "h1" not in figure.explain()
    assert "x1" not in office.portfolio.renewal_rate(Y2025).explain()


def test_levels(desk: ka.Desk) -> None:
    """By parents acme and its subsidiary are one; by contracts each counts."""
    assert desk.portfolio.renewal_rate(Y2025, level="parent").value == Fraction(1, 2)
    assert desk.portfolio.renewal_rate(Y2025, level="contract").value == Fraction(2, 3)
    by_value = desk.portfolio.renewal_rate(Y2025, measure="value")
    # acme 100 of 100 (150 is no more than all), sub 60 of 100, gone 0 of 100
    assert (by_value.numerator, by_value.denominator) == (euros(160), euros(300))


def test_a_parent_that_cannot_be_read_is_none(book: ka.Book, office: ka.Desk) -> None:
    """Where a parent cannot be read its subsidiary is its own ultimate parent, and inherits no manager."""
    office.put(
        attrs.evolve(office.get(ka.Organisation, "acme"), private=True),
        ka.Grant("r", "sub", ka.EVERYONE, ka.Right.READ),
    )
    figure = book.desk("dora").portfolio.renewal_rate(Y2025, level="parent", by="manager")
    assert (figure.value, parts(figure)) == (Fraction(1, 2), {"none": 1, "tom": 0})
    assert parts(book.desk("volker").portfolio.renewal_rate(Y2025, by="manager")) == {"tom": 0, "volker": 1}


def test_retention_and_movements(desk: ka.Desk) -> None:
    """All three were active at the start of 2026's balance; 100 to 150, 100 to 60 and 100 to nothing.

    GRR: (100 + 60 + 0) / 300; NRR: 210 / 300; movements: 300 + 50 - 40 - 100 = 210.
    """
    assert desk.portfolio.account_retention(Y2026).value == Fraction(2, 3)
    assert desk.portfolio.gross_retention(Y2026).value == Fraction(160, 300)
    assert desk.portfolio.net_retention(Y2026).value == Fraction(210, 300)
    found = desk.portfolio.movements(Y2026)
    assert (found.start, found.expansion, found.contraction, found.churn, found.end) == tuple(
        map(euros, (300, 50, 40, 100, 210))
    )
    assert desk.portfolio.recurring().value == euros(210)
    assert desk.portfolio.recurring(per="month").value == euros("17.5")
    assert desk.portfolio.recurring(on=date(2025, 6, 1)).value == euros(300)


def test_in_the_past_less_is_known(desk: ka.Desk) -> None:
    """On a day before the successors were signed nothing was renewed yet, and all is pending."""
    figure = desk.portfolio.renewal_rate(Y2025, on=LAST)
    assert (figure.value, figure.provisional, figure.beside["pending"]) == (0, True, 3)
    assert desk.portfolio.expired_unrenewed(on=date(2026, 1, 1)).records.numerator == ("g1",)
    assert desk.portfolio.expired_unrenewed().value == 1
    assert desk.portfolio.expired_unrenewed(on=LAST).value == 0


# ---- whose -----------------------------------------------------------------------------------------------------------


def test_by_manager_unit_and_sector(desk: ka.Desk, office: ka.Desk) -> None:
    """A split adds up to the whole: the manager of the due day, or now; a covering one of a parent; none."""
    office.people.assign("sue", organisation="gone", from_=TODAY)
    office.put(attrs.evolve(office.get(ka.Assignment, "g2"), valid_until=TODAY - timedelta(1)))
    then = desk.portfolio.renewal_rate(Y2025, by="manager")
    assert parts(then) == {"tom": 0, "volker": 1}
    assert sum(part.denominator for part in then.parts or ()) == then.denominator == 3  # type: ignore[misc]
    assert parts(desk.portfolio.renewal_rate(Y2025, by="manager", attribution="now")) == {"sue": 0, "volker": 1}
    assert parts(desk.portfolio.account_retention(ka.Period(date(2025, 3, 1), TODAY), by="manager")) == {
        "dora": 0,
        "volker": 1,
    }
    assert parts(desk.portfolio.renewal_rate(Y2025, by="unit")) == {"dach": Fraction(2, 3)}
    assert parts(desk.portfolio.renewal_rate(Y2025, by="sector")) == {"chemicals": 1, "none": 1, "pharma": 0}
    assert parts(desk.portfolio.renewal_rate(Y2025, by="country")) == {"none": Fraction(2, 3)}
    assert parts(desk.portfolio.recurring(by="account")) == {"acme": euros(150), "sub": euros(60)}


def test_by_group_overlaps(desk: ka.Desk, office: ka.Desk) -> None:
    """An account in two groups stands in both, and the figure says so."""
    office.put(ka.ClientGroup("silver", name="S"), ka.GroupMembership("m2", "sub", "silver"))
    figure = desk.portfolio.renewal_rate(Y2025, by="group")
    assert parts(figure) == {"gold": 1, "silver": 1, "none": Fraction(1, 2)}
    assert any("overlap" in remark for remark in figure.remarks)


def test_groups(desk: ka.Desk) -> None:
    """A group, or the key accounts, are those of the metric's day: the first of a cohort, the due day, or now."""
    assert desk.portfolio.renewal_rate(Y2025, group="gold").records.denominator == ("s1",)
    assert desk.portfolio.renewal_rate(Y2025, group="key accounts").reason == "no contract was due"
    early = ka.Period(date(2025, 6, 1), TODAY)
    assert desk.portfolio.account_retention(early, group="key accounts").denominator == 1
    assert desk.portfolio.account_retention(early, group="key accounts", attribution="now").denominator == 0


# ---- currencies ------------------------------------------------------------------------------------------------------


@pytest.fixture
def dollars(office: ka.Desk) -> None:
    """Let gone have a contract in dollars, from 2024 on."""
    office.put(contract("g9", "gone", date(2024, 1, 1), None, kind="lease", value=ka.Money(40, "USD")))


@pytest.mark.usefixtures("dollars")
def test_the_books_rates(desk: ka.Desk) -> None:
    """Amounts are converted at the rate of the day that the metric says, and left alone where no currency is asked."""
    assert desk.portfolio.recurring(currency="EUR").value == euros(220)  # 210 and a quarter of 40
    figure = desk.portfolio.net_retention(ka.Period(FIRST, TODAY), currency="EUR")
    assert (figure.numerator, figure.denominator) == (euros(20), euros(20))  # 40 at the half of 1 January 2025
    plain = desk.portfolio.recurring()
    assert (plain.value, parts(plain)) == (None, {"EUR": euros(210), "USD": ka.Money(40, "USD")})
    with pytest.raises(ka.ValidationError, match="EUR, USD"):
        desk.portfolio.movements(Y2026)


@pytest.mark.usefixtures("dollars")
def test_a_missing_rate_is_an_error(book: ka.Book, desk: ka.Desk) -> None:
    """Where the host has no rate, or no rates at all, currency and day are named, and nothing is taken as one."""
    with pytest.raises(ka.ValidationError, match="USD = '2026-11-20': has no rate"):
        desk.portfolio.recurring(currency="EUR", on=TODAY - timedelta(1))
    book.exchange = None
    with pytest.raises(ka.ValidationError, match="USD = '2026-11-21': has no rate"):
        desk.portfolio.recurring(currency="EUR")
    with pytest.raises(ka.ValidationError, match="EUR = '2026-11-21': has no rate"):
        desk.portfolio.recurring(currency="USD", group="gold")


def test_one_currency_needs_no_rates(desk: ka.Desk, book: ka.Book) -> None:
    """Amounts in the currency asked for are not converted; a hidden one in another needs no rate either."""
    book.exchange = None
    office = book.trusted("test")
    office.put(contract("h9", "hush", FIRST, None, value=ka.Money(40, "USD")))
    assert desk.portfolio.recurring(currency="EUR").value == euros(210)
    with pytest.raises(ka.ValidationError, match="has no rate"):
        office.portfolio.recurring(currency="EUR")


# ---- the first action ------------------------------------------------------------------------------------------------

# Their contracts of 2025 end on 31 December: the alert is 60 days before, on 1 November; g1 nobody followed.
WINDOW = ka.Period.month(2025, 11)


def acted(organisation: str, day: date, by: str | None, kind: str = "call") -> ka.Activity:
    """Make an activity at noon of a day."""
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return ka.Activity(organisation_id=organisation, kind=kind, at=moment, by_id=by)


def waited(desk: ka.Desk, *rows: Any, **asked: Any) -> ka.Figure:
    """Put some records and ask for the days to the first action."""
    desk._book.trusted("test").put(*rows)
    return desk.portfolio.days_to_first_action(WINDOW, **asked)


def test_alerts_that_nobody_acted_on_are_open(desk: ka.Desk) -> None:
    """Without an action there is no value, and each alert is listed as open with its age: 385 days since 1 November."""
    figure = waited(desk)
    assert (figure.value, figure.reason, figure.beside["open"]) == (None, "no alert was acted on", 3)
    assert figure.remarks == ("Open, with their age: a1 (385 days), g1 (385 days), s1 (385 days).",)


TEN = date(2025, 11, 11)
LEAVE = ka.Substitution("leave", "tom", "sue", valid_from=TEN, valid_until=TEN)


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ([acted("gone", TEN, "tom")], 10),
        ([acted("gone", TEN, "dora")], None),  # managed it until June
        ([acted("gone", TEN, "volker")], None),  # nothing to do with it
        ([acted("gone", TEN, None, "e-mail")], None),  # a machine
        ([acted("gone", TEN, "tom", "status")], None),
        ([acted("gone", TEN, "tom", "e-mail")], 10),
        ([acted("gone", TEN, "sue"), ka.Assignment("t", "sue", "gone", role=ka.TEAM_MEMBER)], 10),
        ([acted("gone", TEN, "sue"), ka.Assignment("t", "sue", "gone", role=ka.DEPUTY)], 10),
        ([acted("gone", TEN, "sue"), ka.Assignment("t", "sue", "gone", valid_until=date(2025, 11, 10))], None),
        ([acted("gone", TEN, "sue"), LEAVE], 10),
        ([acted("gone", date(2025, 11, 12), "sue"), LEAVE], None),  # back from leave
        ([acted("gone", date(2025, 9, 2), "tom")], 0),  # sixty days before the alert: proactive
        ([acted("gone", date(2025, 9, 1), "tom")], None),
        ([acted("acme", TEN, "tom")], None),
        ([acted("gone", TODAY + timedelta(1), "tom")], None),
    ],
)
def test_who_acts(desk: ka.Desk, rows: list[Any], days: int | None) -> None:
    """An action is by who looked after the account that day: manager, deputy, team, or standing in; not a machine's."""
    figure = waited(desk, *rows)
    assert (figure.value, figure.beside["acted"]) == (days, 0 if days is None else 1)
    assert figure.records.numerator == (() if days is None else ("g1",))


def test_a_parents_manager_acts_for_subsidiaries(desk: ka.Desk, office: ka.Desk) -> None:
    """The manager of a parent acts for a subsidiary where that is covered, and it is not private."""
    assert waited(desk, acted("sub", TEN, "volker")).records.numerator == ("s1",)
    own = ka.Assignment("own", "dora", "sub")
    office.put(own, attrs.evolve(office.get(ka.Organisation, "sub"), private=True))
    assert office.portfolio.days_to_first_action(WINDOW).records.numerator == ()


def test_raised_renewals_count_as_they_were_raised(desk: ka.Desk, office: ka.Desk) -> None:
    """A late raise counts from its day; steps of people are actions, that nobody needs it any more is none.

    g1 is raised nine days late, on 10 November, and worked on on 12 November; a1 is superseded on 13 November.
    """

    def step(day: int, before: str, to: str, by: str | None) -> ka.RenewalStep:
        return ka.RenewalStep(at=datetime(2025, 11, day, 9, tzinfo=UTC), by_id=by, before=before, to=to)

    days: dict[str, Any] = {"raised_on": date(2025, 11, 10), "alert_on": date(2025, 11, 1), "due_on": LAST}
    worked = ka.Renewal("r1", "gone", "g1", state="analysing", steps=(step(12, "alerted", "analysing", "tom"),), **days)
    over = ka.Renewal("r2", "acme", "a1", state="superseded", steps=(step(13, "alerted", "superseded", None),), **days)
    figure = waited(desk, worked, over)
    assert (figure.value, figure.records.numerator) == (2, ("g1",))
    assert figure.remarks == ("Open, with their age: s1 (385 days).",)
    assert figure.excluded == (("a1", "over on 2025-11-13, before anybody acted"),)
    hidden = ka.Renewal("r3", "hush", "h1", **days, steps=(step(12, "alerted", "agreed", "kurt"),))
    assert waited(desk, hidden) == figure
    assert waited(office) != figure


def test_target_and_split(desk: ka.Desk) -> None:
    """Within the target is out of those acted on and those open for longer; a split is by the alert's day."""
    rows = [acted("gone", TEN, "tom"), acted("acme", date(2025, 11, 29), "volker")]
    figure = waited(desk, *rows, by="manager")
    # 10 and 28 days: median and mean 19; within 14 days one of the two and the one that is open
    assert (figure.value, figure.beside["mean"], figure.beside["within target"]) == (19, 19, Fraction(1, 3))
    assert parts(figure) == {"tom": 10, "volker": 28}
    assert waited(desk, target_days=28).beside["within target"] == Fraction(2, 3)
    with pytest.raises(ka.ValidationError, match="target_days"):
        waited(desk, target_days=-1)


def test_the_lead_of_the_book(book: ka.Book) -> None:
    """With a lead of 30 days the alert is on 1 December, and what was done from 1 November on counts before it."""
    book.lead = 30
    desk = book.desk("volker")
    assert waited(desk, acted("gone", TEN, "tom")).reason == "no alert in the period"
    december = ka.Period.month(2025, 12)
    assert desk.portfolio.days_to_first_action(december).value == 0
    assert waited(desk, acted("acme", date(2025, 10, 31), "volker")).value is None
    assert desk.portfolio.days_to_first_action(december).beside["acted"] == 1


# ---- bad questions ---------------------------------------------------------------------------------------------------

METRICS = ("renewal_rate", "account_retention", "gross_retention", "net_retention", "movements", "days_to_first_action")


@pytest.mark.parametrize("metric", [*METRICS, "recurring", "expired_unrenewed"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "secter"}, "did you mean 'sector'?"),
        ({"group": "key account"}, "did you mean 'key accounts'?"),
        ({"gruop": "gold"}, "did you mean 'group'?"),
        ({"level": "acount"}, "did you mean 'account'?"),
        ({"attribution": "know"}, "did you mean 'now'?"),
        ({"currency": "EURO"}, "is no ISO 4217 currency"),
        ({"currency": ["EUR"]}, "is no ISO 4217 currency"),
        ({"on": "today"}, "must be a date"),
        *(({name: None}, "is no option of a metric") for name in ("accounts", "exchange", "matching", "grouped")),
    ],
)
def test_bad_questions(desk: ka.Desk, metric: str, asked: dict[str, Any], said: str) -> None:
    """What cannot be asked is refused, with the nearest right word."""
    with pytest.raises(ka.ValidationError) as caught:
        getattr(desk.portfolio, metric)(*([Y2025] if metric in METRICS else []), **asked)
    assert said in str(caught.value)


@pytest.mark.parametrize("period", [2025, (LAST, FIRST), ("2025", "2026"), None])
@pytest.mark.parametrize("metric", METRICS)
def test_bad_periods(desk: ka.Desk, metric: str, period: Any) -> None:
    """What is no period is refused; a pair of dates is one."""
    with pytest.raises(ka.ValidationError, match="Period"):
        getattr(desk.portfolio, metric)(period)
    assert getattr(desk.portfolio, metric)((FIRST, date(2026, 1, 1))) == getattr(desk.portfolio, metric)(Y2025)


def test_rates_of_a_third_currency() -> None:
    """Rates are in the host's own currency: another one asked for divides by its own rate, and is never mistaken."""
    euros = {"EUR": Fraction(1), "USD": Fraction(1, 2)}
    with ka.open(clock=lambda: NOON, exchange=lambda currency, _: euros[currency]) as book:
        office = book.trusted("test")
        office.put(ka.Organisation("acme", name="ACME"), contract("m", "acme", FIRST, None, value=ka.Money(100, "EUR")))
        assert office.portfolio.recurring(currency="EUR").value == ka.Money(100, "EUR")
        assert office.portfolio.recurring(currency="USD").value == ka.Money(200, "USD")
        office.put(contract("n", "acme", FIRST, None, value=ka.Money(100, "CHF")))
        with pytest.raises(ka.ValidationError, match="has no rate"):
            office.portfolio.recurring(currency="USD")
