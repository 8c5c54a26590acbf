"""Monday where two answers tell the same fact: they agree, also about an earlier day and about what is odd."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import keyaccount as ka
from keyaccount import actions, ledgers

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ACME = ka.Organisation("acme", name="ACME", relationships=("customer",))


@pytest.fixture(params=["memory", "file"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> ka.Desk:
    """Return a trusted desk on the morning of 21 November 2026, with one customer."""
    path = tmp_path / "book.sqlite" if request.param == "file" else None
    desk = ka.open(path, clock=lambda: NOW, lead={"supply": 10}).trusted("test")
    desk.put(ACME)
    return desk


def contract(id: str = "m", **more: Any) -> ka.Contract:
    """Make a contract that ends with the year."""
    year: dict[str, Any] = {"starts_on": date(2026, 1, 1), "ends_on": date(2026, 12, 31)}
    return ka.Contract(id, "acme", signed_on=date(2026, 1, 1), **{**year, **more})


def share(text: str) -> Decimal | None:
    """Read a share; nothing is None."""
    return Decimal(text) if text else None


def invoice(id: str, amount: str, **more: Any) -> ka.Invoice:
    """Make an invoice of the summer."""
    given: dict[str, Any] = {"issued_on": date(2026, 8, 1), "due_on": date(2026, 9, 1), **more}
    return ka.Invoice(id, "acme", net=ka.Money(amount, "EUR"), **given)


def test_a_lost_renewal_is_no_work_any_more(office: ka.Desk) -> None:
    """What contracts.due says was done, the health check says too; a lost one is not to be started."""
    office.put(contract())
    (renewal,) = office.renewals.raise_alerts().raised
    assert office.health_check()[0].to_do[0].text == "start renewal of m: 40 days left, no action"
    office.renewals.advance(renewal.id, to="negotiating")
    assert office.health_check()[0].to_do[0].text.endswith("40 days left, negotiating")
    office.renewals.lose(renewal.id, reason="price")
    row = office.health_check()[0]
    assert row.due[0].done == office.contracts.due()[0].done == "lost"
    assert [step.kind for step in row.to_do] == ["contact"]


def test_the_lead_is_the_books(office: ka.Desk) -> None:
    """The state and the alert day of a contract are the same wherever it is listed."""
    office.put(contract(kind="supply"))
    listed, row = office.contracts.due()[0], office.health_check()[0].due[0]
    assert (row.state, row.alert_on) == (listed.state, listed.alert_on) == ("running", date(2026, 12, 21))


def test_an_earlier_day_is_answered_as_it_was(office: ka.Desk) -> None:
    """What was decided, kept or done since that day was still open then."""
    office.put(
        ka.Opportunity("o", "acme", state="lost", closed_on=date(2026, 11, 10), value=ka.Money(100, "EUR")),
        ka.Activity("p", "acme", follow_up_on=date(2026, 10, 5), done_at=datetime(2026, 11, 10, 9, tzinfo=UTC)),
        contract(),
    )
    (renewal,) = office.renewals.raise_alerts().raised
    office.renewals.advance(renewal.id, to="negotiating")
    then = office.health_check(on=date(2026, 11, 1))[0]
    assert (then.opportunities, str(then.pipeline[0]), len(then.promises)) == (1, "100.00 EUR", 1)
    assert office.portfolio.pipeline(on=date(2026, 11, 1)).value == ka.Money(100, "EUR")
    assert [row.activity_id for row in office.daily(on=date(2026, 11, 1)).promises] == ["p"]
    assert office.health_check(on=date(2026, 11, 20))[0].due[0].done is None
    now = office.health_check()[0]
    assert (now.opportunities, now.pipeline, now.promises) == (0, (), ())


def test_what_was_paid_too_much_is_not_settled(office: ka.Desk) -> None:
    """It stands in its own column, and an invoice below zero with the credits; paid even, it is gone."""
    paid = (ka.Payment(paid_on=date(2026, 9, 1), amount=ka.Money(120, "EUR")),)
    office.put(invoice("over", "100", payments=paid), invoice("below", "-30"), invoice("even", "120", payments=paid))
    (row,) = office.billing.ageing()
    assert (str(row.overpaid), str(row.credits), str(row.overdue)) == ("20.00 EUR", "30.00 EUR", "0.00 EUR")
    assert row.invoice_ids == ("below", "over")
    assert not office.billing.overdue()
    assert [one.id for one in office.find(ka.Invoice, open=True)] == ["below", "over"]


def test_an_open_invoice_without_a_due_day_is_listed_apart(office: ka.Desk) -> None:
    """It is overdue nowhere, and named everywhere."""
    office.put(invoice("undated", "100", due_on=None), invoice("late", "50"))
    for found in (office.billing.overdue(), office.daily().overdue, office.billing.ageing()):
        assert [one.id for one in found.without_due_day] == ["undated"]
    assert [row.invoice_id for row in office.billing.overdue()] == ["late"]


def test_who_is_no_customer_counts_nowhere(office: ka.Desk) -> None:
    """A supplier has meetings and offers; no figure about customers has them."""
    at = datetime(2026, 11, 2, 9, tzinfo=UTC)
    office.put(
        ka.Organisation("sup", name="Supplier", relationships=("supplier",)),
        ka.Contact("c", name="Cleo"),
        ka.Activity("call", "sup", contact_ids=("c",), kind="call", connected=True, at=at),
        ka.Activity("met", "sup", contact_ids=("c",), kind="meeting", at=at + dt.timedelta(days=1)),
        ka.Opportunity("o", "sup", value=ka.Money(100, "EUR")),
        ka.Opportunity("w", "sup", state="won", closed_on=date(2026, 11, 3), value=ka.Money(100, "EUR")),
    )
    year = ka.Period.year(2026)
    assert [row.organisation_id for row in office.health_check()] == ["acme"]
    assert office.portfolio.pipeline().records.numerator == ()
    assert office.portfolio.win_ratio(year).value is None
    assert office.portfolio.call_to_meeting(year).value is None
    assert [row.part for row in office.portfolio.days_since_contact()] == ["acme"]


def test_what_is_put_in_for_later_is_no_contact_yet(office: ka.Desk) -> None:
    """A meeting this afternoon did not happen this morning, and the first moment of a day is not the day before."""
    office.put(
        ka.Activity("plan", "acme", kind="meeting", at=datetime(2026, 11, 21, 15, tzinfo=UTC)),
        ka.Activity("midnight", "acme", kind="meeting", at=datetime(2026, 11, 11, tzinfo=UTC)),
    )
    last = office.activities.last_contact("acme")
    assert last is not None
    assert last.activity_id == "midnight"
    assert office.portfolio.days_since_contact()["acme"].value == 10
    assert office.health_check()[0].last_contact.days == 10  # type: ignore[union-attr]
    before = date(2026, 11, 10)
    assert office.card(organisation="acme", context="crm", on=before).last_contact is None
    assert office.portfolio.days_since_contact(on=before)["acme"].value is None


def test_rows_add_up_to_the_foot_and_the_foot_is_the_metrics() -> None:
    """Three thirds of a cent more are rounded together: rows, foot and metric tell one sum."""
    desk = ka.open(clock=lambda: NOW, exchange=lambda currency, _: Fraction(1, 3) if currency == "USD" else 1)
    office = desk.trusted("test")
    for name in "abc":
        office.put(
            ka.Organisation(name, name=name, relationships=("customer",)),
            ka.Invoice(f"i{name}", name, issued_on=date(2026, 8, 1), net=ka.Money(1, "USD")),
        )
    check = office.health_check(currency="EUR")
    assert [str(row.invoiced[0]) for row in check] == ["0.34 EUR", "0.33 EUR", "0.33 EUR"]
    assert str(check.totals.invoiced[0]) == str(office.portfolio.average_value(currency="EUR").numerator) == "1.00 EUR"


def test_currencies_are_not_ordered_by_their_numbers(office: ka.Desk) -> None:
    """2,000 yen are not more than 1,000 euros: each currency is ordered apart, and the answer says so."""
    office.put(
        ka.Organisation("tokyo", name="Tokyo", relationships=("customer",)),
        ka.Invoice("y", "tokyo", issued_on=date(2026, 8, 1), net=ka.Money(2000, "JPY")),
        invoice("e", "1000"),
    )
    check = office.health_check(by="group")
    assert [row.organisation_id for row in check] == ["acme", "tokyo"]
    assert check.remarks == (
        "The parts overlap: an account may be in several groups.",
        "Ordered in EUR, JPY apart: amounts are in EUR, JPY: give currency= and exchange=.",
    )


def test_records_are_those_of_the_sum(office: ka.Desk) -> None:
    """What is written later, or a book that is closed, changes no evidence of a figure."""
    office.put(invoice("i1", "100"))
    figure = office.portfolio.average_value()
    office.put(invoice("i2", "900"))
    office._book.close()
    assert (str(figure.value), list(figure.records.numerator)) == ("100.00 EUR", ["i1"])
    assert "i1" in repr(figure)


def test_a_share_is_ordered_by_its_value(office: ka.Desk) -> None:
    """Opportunities page through their probabilities, nothing last."""
    for number, probability in enumerate(map(share, ["0.5", "1", "0.05", "0.25", "", "0"])):
        office.put(ka.Opportunity(f"o{number}", "acme", probability=probability))
    found, cursor = [], None
    for _ in range(3):
        page = office.find(ka.Opportunity, order="probability", limit=2, after=cursor)
        found += [row.id for row in page]
        cursor = page.cursor
    assert (found, cursor) == (["o5", "o2", "o3", "o0", "o1", "o4"], None)
    assert [row.id for row in office.find(ka.Opportunity, order="-probability")] == found[::-1]


def test_a_decline_above_the_limit_never_reads_as_the_limit() -> None:
    """20.3 percent is an alert; it is not told as 20."""
    assert actions.fallen(Fraction(203, 1000)) == "-20.3 %"
    assert actions.fallen(Fraction(1, 3)) == "-33 %"


# ---- what another reading found --------------------------------------------------------------------------------------

ODD_RATES: tuple[Any, ...] = (1.1, "1.1", True, Decimal("NaN"), Decimal("Infinity"), 0, -1, "x", [])


@pytest.mark.parametrize("wrong", ODD_RATES, ids=repr)
@pytest.mark.parametrize("of", ["GBP", "USD", "EUR"])
def test_a_rate_that_is_none_is_refused_whatever_is_asked_for(of: str, wrong: Any) -> None:
    """Neither side of a rate of another currency than the host's own is taken unseen, and no foreign error crosses."""
    rates: dict[str, Any] = {"EUR": 1, "GBP": Decimal("1.1"), "USD": Decimal("0.9"), of: wrong}
    with ka.open(clock=lambda: NOW, exchange=lambda currency, _: rates[currency]) as book:
        desk = book.trusted("test")
        desk.put(ka.Organisation("o", name="O"))
        desk.put(ka.Invoice("i", "o", issued_on=date(2026, 5, 1), due_on=date(2026, 6, 1), net=ka.Money(100, "GBP")))
        asked = "EUR" if of == "EUR" else "USD"
        for ask in (desk.portfolio.average_value, desk.portfolio.growth, desk.billing.ageing, desk.health_check):
            with pytest.raises(ka.ValidationError, match="exchange"):
                ask(currency=asked)


def test_margins_know_who_says_nothing() -> None:
    """An organisation that does not say what it is counts in margins and discounts as it does in turnover."""
    line = ka.Line("p", unit_price=ka.Money(100, "EUR"), cost=ka.Money(60, "EUR"))
    with ka.open(clock=lambda: NOW) as book:
        desk = book.trusted("test")
        desk.put(*(ka.Organisation(id, name=id, relationships=told) for id, told in _TOLD.items()))
        desk.put_many(ka.Invoice(f"i{id}", id, issued_on=date(2026, 5, 1), lines=(line,)) for id in _TOLD)
        assert desk.portfolio.growth().keys() == ("customer", "silent")
        assert desk.portfolio.contribution_margin().keys() == ("customer", "silent")
        assert desk.portfolio.discount_depth().keys() == ("customer", "silent")


_TOLD: dict[str, tuple[str, ...]] = {"customer": ("customer",), "silent": (), "supplier": ("supplier",)}


def test_overdue_is_rounded_once() -> None:
    """A thousand small invoices come to the same in the health check as in the ageing: 100,000 yen at 0.00614."""
    rates: dict[str, Any] = {"EUR": 1, "JPY": Decimal("0.00614")}
    with ka.open(clock=lambda: NOW, exchange=lambda currency, _: rates[currency]) as book:
        desk = book.trusted("test")
        desk.put(ka.Organisation("o", name="O"))
        day, due = date(2026, 5, 1), date(2026, 6, 1)
        desk.put_many(
            ka.Invoice(f"i{n}", "o", issued_on=day, due_on=due, net=ka.Money(100, "JPY")) for n in range(1000)
        )
        found = desk.health_check(currency="EUR")
        assert found.totals.overdue == found[0].overdue == (ka.Money(614, "EUR"),)
        assert desk.billing.ageing(currency="EUR").totals[0].overdue == ka.Money(614, "EUR")


@pytest.mark.parametrize("most", [10_000, -1], ids=["read with the sums", "looked up when asked"])
def test_orders_without_lines_prove_nothing(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that counts nothing is no evidence, also where amounts are converted, or documents are very many."""
    monkeypatch.setattr(ledgers, "EAGER", most)
    line = ka.Line("p", unit_price=ka.Money(100, "EUR"))
    with ka.open(clock=lambda: NOW, exchange=lambda *_: 1) as book:
        desk = book.trusted("test")
        desk.put(ka.Organisation("o", name="O"))
        for id, lines in (("empty", ()), ("full", (line,))):
            desk.put(ka.Order(id, "o", ordered_on=date(2026, 5, 1), state="confirmed", lines=lines))
        for currency in (None, "EUR"):
            found = desk.portfolio.growth(basis="orders", currency=currency)
            assert found["o"].records.numerator == ("full",)


def test_contacts_at_who_says_nothing_and_at_suppliers() -> None:
    """A meeting that names no account counts for the employer, with sector and groups; suppliers are none of it."""
    with ka.open(clock=lambda: NOW) as book:
        desk = book.trusted("test")
        desk.put(ka.ClientGroup("g", name="G"))
        for id, told in _TOLD.items():
            desk.put(ka.Organisation(id, name=id, relationships=told, sector="steel"), ka.Contact(f"c{id}", name=id))
            desk.put(ka.GroupMembership(f"m{id}", organisation_id=id, group_id="g"))
            desk.put(ka.Position(f"p{id}", contact_id=f"c{id}", organisation_id=id))
            met = datetime(2026, 10, 1, 9, tzinfo=UTC)
            desk.put(ka.Activity(f"y{id}", contact_ids=(f"c{id}",), kind="meeting", at=met))
        found = desk.portfolio.days_since_contact(by="sector")
        assert found.keys() == ("customer", "silent")
        assert found.whole is not None
        assert found.whole.parts is not None
        assert found.whole.parts.keys() == ("steel",)
        assert desk.portfolio.days_since_contact(group="g").keys() == ("customer", "silent")
        assert {row.organisation_id for row in desk.health_check()} == {"customer", "silent"}


def test_somebody_met_with_a_member_of_a_group() -> None:
    """Who took part beside somebody of a group's account was met in that group, however long ago."""
    with ka.open(clock=lambda: NOW) as book:
        desk = book.trusted("test")
        desk.put(ka.ClientGroup("g", name="G"), ka.Organisation("x", name="X"), ka.Organisation("k", name="K"))
        desk.put(ka.GroupMembership("m", organisation_id="k", group_id="g"))
        for who, where in (("anna", "x"), ("ben", "k")):
            desk.put(ka.Contact(who, name=who), ka.Position(f"p{who}", contact_id=who, organisation_id=where))
        for id, people, days in (
            ("both", ("anna", "ben"), 90),
            ("anna alone", ("anna",), 10),
            ("ben alone", ("ben",), 5),
        ):
            desk.put(ka.Activity(id, contact_ids=people, kind="meeting", at=NOW - timedelta(days=days)))
        found = desk.portfolio.days_since_contact(per="contact", group="g")
        assert {row.part: row.value for row in found} == {"anna": 90, "ben": 5}
