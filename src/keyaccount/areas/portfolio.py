"""`desk.portfolio`: how good are we at keeping and growing accounts, with the records behind every figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import attrs

from keyaccount import ledgers, portfolio, turnover
from keyaccount.accounts import Accounts
from keyaccount.calendars import Period
from keyaccount.contracts import LEAD_DAYS, Lead
from keyaccount.decline import ALERT_ABOVE, Month
from keyaccount.figures import Exchange, Figure, Figures, Rates
from keyaccount.model.activities import Activity
from keyaccount.model.renewals import Renewal
from keyaccount.model.sales import Opportunity
from keyaccount.money import Money
from keyaccount.movements import Movements
from keyaccount.queries import at_least, one_of
from keyaccount.questions import Attribution, Level, Question
from keyaccount.rosters import Roster, checked_options, day_of, known_group, roster
from keyaccount.turnover import Basis
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk

F = TypeVar("F", Figure, Figures)


AUTOMATIC = frozenset({"status", "handover"})
"""Kinds of activities that are no action with the customer; an automatic mail is by nobody."""


class Asked(TypedDict, total=False):
    """What every metric takes.

    `on`: the day up to which things are known (today). `by`: manager, unit, group, sector, country, tier or account.
    `group`: a client group, or `"key accounts"`. `level`: account, contract or parent. `attribution`: manager, group
    and status as they were then, or now. `currency`: what to convert to by the book's exchange function; a missing rate
    is a ValidationError naming currency and day. `frames`: whether a contract of the parent's renews too.
    """

    on: date | None
    by: str | None
    group: str | None
    level: Level
    attribution: Attribution
    currency: str | None
    frames: bool


class Portfolio:
    """The metrics over what this desk may read, each a `Figure` that explains itself; reached as `desk.portfolio`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        """Belong to a desk."""
        self._desk = desk

    def renewal_rate(
        self,
        period: Period | tuple[date, date],
        *,
        measure: Literal["count", "value"] = "count",
        tacit: bool = True,
        **asked: Unpack[Asked],
    ) -> Figure:
        """Return the share of the accounts with a contract due in a period of which at least one was renewed.

        `level="contract"` counts contracts; `measure="value"` takes their yearly recurring value. `tacit=False` leaves
        out what renewed itself. None, with a reason, where nothing was due.
        """
        return self._figure(
            lambda found, options: portfolio.renewal_rate(
                found.contracts, period, measure=measure, tacit=tacit, **options
            ),
            asked,
        )

    def account_retention(self, period: Period | tuple[date, date], **asked: Unpack[Asked]) -> Figure:
        """Return the share of the accounts active at the start of a period that are active at its end."""
        return self._figure(
            lambda found, options: portfolio.account_retention(found.contracts, period, **options), asked
        )

    def gross_retention(self, period: Period | tuple[date, date], **asked: Unpack[Asked]) -> Figure:
        """Return how much of the recurring value at the start is still there at the end, growth left out."""
        return self._figure(lambda found, options: portfolio.gross_retention(found.contracts, period, **options), asked)

    def net_retention(self, period: Period | tuple[date, date], **asked: Unpack[Asked]) -> Figure:
        """Return the recurring value at the end of the accounts of the start, divided by theirs at the start."""
        return self._figure(lambda found, options: portfolio.net_retention(found.contracts, period, **options), asked)

    def movements(self, period: Period | tuple[date, date], **asked: Unpack[Asked]) -> Movements:
        """Return what moved the recurring value: start + new + reactivated + expansion - contraction - churn = end."""
        with self._desk._view() as view:
            found = roster(view, asked.get("by"))
            return portfolio.movements(found.contracts, period, **self._options(view, found, asked))

    def recurring(self, *, per: Literal["year", "month"] = "year", **asked: Unpack[Asked]) -> Figure:
        """Return the recurring value of the contracts in force on a day, a year or a month."""
        return self._figure(lambda found, options: portfolio.recurring(found.contracts, per=per, **options), asked)

    def expired_unrenewed(self, **asked: Unpack[Asked]) -> Figure:
        """Return how many contracts ended before a day and were not renewed; how many are in grace, and their value."""
        return self._figure(lambda found, options: portfolio.expired_unrenewed(found.contracts, **options), asked)

    def days_to_first_action(
        self, period: Period | tuple[date, date], *, target_days: int = 14, **asked: Unpack[Asked]
    ) -> Figure:
        """Return how long alerts of a period waited for somebody to act: median and mean, and those still waiting.

        An action is a step of the renewal, or an activity with the account of those who looked after it that day: a
        manager (a parent's too, where that covers subsidiaries), who stands in, a deputy, the team. Alerts are those
        that were raised, and those that contracts give where none was.
        """
        window, lead = Period.of(period), self._desk._book.lead
        lead_days = lead if isinstance(lead, int) else LEAD_DAYS
        with self._desk._view() as view:
            found = roster(view, asked.get("by"))
            options = self._options(view, found, asked)
            raised = view.find(Renewal, order="id")
            return portfolio.days_to_first_action(
                found.contracts,
                window,
                actions=[*_steps(view, raised), *_activities(view, found, window, lead_days)],
                raised=_alerts(found, raised, window, lead, _over(raised, view), **options),
                target_days=target_days,
                lead_days=lead_days,
                **options,
            )

    # -- over invoices, orders, opportunities and activities

    def growth(self, *, basis: Basis = "invoices", **asked: Unpack[Asked]) -> Figures:
        """Return for each account how much more it turned over in twelve months than in the twelve before.

        None with a reason for an account in its first year, or with nothing before to compare with.
        """
        return self._turnover(portfolio.growth_windows, portfolio.growth_of, basis, asked)

    def average_value(self, *, basis: Basis = "invoices", **asked: Unpack[Asked]) -> Figure:
        """Return what was turned over in twelve months divided by the number of accounts, those with nothing too."""
        return self._turnover(portfolio.average_windows, portfolio.average_of, basis, asked)

    def concentration(
        self, *, basis: Basis = "invoices", top: Sequence[int] = (1, 5, 10), **asked: Unpack[Asked]
    ) -> Figure:
        """Return the share of the largest accounts in the turnover of twelve months, and how concentrated it is."""
        return self._turnover(
            portfolio.concentration_windows, partial(portfolio.concentration_of, top=top), basis, asked
        )

    def order_decline(
        self,
        *,
        basis: Basis = "orders",
        month: Month = "closed",
        alert_above: Fraction | Decimal | int = ALERT_ABOVE,
        minimum_base: Money | None = None,
        **asked: Unpack[Asked],
    ) -> Figures:
        """Return for each account how much less it ordered in the last closed month than in the one before.

        Above a fifth is an alert. `month="to date"` compares the running month with as many days of the last.
        """
        rule = partial(portfolio.decline_of, month=month, alert_above=alert_above, minimum_base=minimum_base)
        return self._turnover(partial(portfolio.decline_windows, month=month), rule, basis, asked)

    def contribution_margin(self, *, basis: Basis = "invoices", **asked: Unpack[Asked]) -> Figures:
        """Return for each account the share of twelve months' turnover that is left after cost, where lines say it."""
        return self._documents(portfolio.contribution_margin, basis, asked)

    def discount_depth(self, *, basis: Basis = "invoices", **asked: Unpack[Asked]) -> Figures:
        """Return for each account what share of the list value of twelve months was given away as discount."""
        return self._documents(portfolio.discount_depth, basis, asked)

    def days_since_contact(
        self, *, per: Literal["account", "contact", "group"] = "account", **asked: Unpack[Asked]
    ) -> Figures:
        """Return the days since the last contact in both directions, by account, contact or group."""
        with self._desk._view() as view:
            day = self._desk._day(asked.get("on"), view)
            met, held = ledgers.contacts(view, day, per, asked.get("group"))
            known = ledgers.customers(view, ledgers.met_at(met, held), {**asked, "per": per})
            options = self._given(view, known.accounts, asked)
            met, held = ledgers.with_customers(met, known), ledgers.with_customers(held, known)
            return portfolio.days_since_contact(met, per=per, positions=held, zone=self._desk._book.zone, **options)

    def win_ratio(
        self,
        period: Period | tuple[date, date],
        *,
        measure: Literal["count", "value"] = "count",
        renewals: bool = False,
        **asked: Unpack[Asked],
    ) -> Figure:
        """Return the share of the opportunities decided in a period that were won; renewals apart from new ones."""
        with self._desk._view() as view:
            rows, options = self._opportunities(view, asked)
            return portfolio.win_ratio(rows, period, measure=measure, renewals=renewals, **options)

    def pipeline(self, **asked: Unpack[Asked]) -> Figure:
        """Return the value of the open opportunities, and their value weighted by probability."""
        with self._desk._view() as view:
            rows, options = self._opportunities(view, asked)
            return portfolio.pipeline(rows, **options)

    def call_to_meeting(
        self, period: Period | tuple[date, date], *, within_days: int = 14, **asked: Unpack[Asked]
    ) -> Figure:
        """Return the share of answered calls of a period that led to a meeting with the same contact."""
        with self._desk._view() as view:
            rows = view.find(Activity, kind=one_of(("call", "meeting", "visit")), order="at")
            known = ledgers.customers(view, (row.organisation_id for row in rows if row.organisation_id), asked)
            options = self._given(view, known.accounts, asked)
            rows = ledgers.with_customers(rows, known)
            return portfolio.call_to_meeting(
                rows, period, within_days=within_days, zone=self._desk._book.zone, **options
            )

    # -- the ways they are asked

    def _figure(self, metric: Callable[[Roster, dict[str, Any]], Figure], asked: Asked) -> Figure:
        with self._desk._view() as view:
            found = roster(view, asked.get("by"))
            return metric(found, self._options(view, found, asked))

    def _turnover(
        self,
        windows: Callable[[date], Mapping[str, Period]],
        rule: Callable[[turnover.Turnover, Question], F],
        basis: Basis,
        asked: Asked,
    ) -> F:
        """Ask a rule over sums: the windows it needs are added up by the storage."""
        with self._desk._view() as view:
            day = self._desk._day(asked.get("on"), view)
            rates = Rates(asked.get("currency"), self._exchange(asked))
            spans = windows(day)
            found = ledgers.turnover(view, spans, basis, rates, self._desk._view)
            known = ledgers.customers(view, ledgers.accounts_in(found), asked)
            given = self._given(view, known.accounts, asked)
            question = turnover.asked(next(iter(spans.values())), given.pop("on"), given)
            return rule(ledgers.with_records(view, ledgers.of_customers(found, known), basis), question)

    def _documents(self, metric: Any, basis: Basis, asked: Asked) -> Figures:
        """Ask a rule over the documents of twelve months, which are read page by page."""
        with self._desk._view() as view:
            day = self._desk._day(asked.get("on"), view)
            window = Period.months_to(day, 12)
            known = ledgers.customers(view, ledgers.accounts_of(view, basis, window), asked)
            rows = (row for row in ledgers.documents(view, basis, window) if known.has(row.organisation_id))
            found: Figures = metric(rows, basis=basis, **self._given(view, known.accounts, asked))
            remarks = ledgers.remarks_on_rows(view, basis)
            if not remarks or found.whole is None:
                return found
            return attrs.evolve(found, whole=attrs.evolve(found.whole, remarks=(*found.whole.remarks, *remarks)))

    def _opportunities(self, view: View, asked: Asked) -> tuple[list[Opportunity], dict[str, Any]]:
        rows = view.find(Opportunity, order="id")
        known = ledgers.customers(view, (row.organisation_id for row in rows), asked)
        return ledgers.with_customers(rows, known), self._given(view, known.accounts, asked)

    def _options(self, view: View, found: Roster, asked: Asked) -> dict[str, Any]:
        return {
            **self._given(view, found.accounts, {name: v for name, v in asked.items() if name != "frames"}),
            "matching": found.matching(frames=asked.get("frames", False)),
        }

    def _given(self, view: View, accounts: Accounts, asked: Mapping[str, Any]) -> dict[str, Any]:
        checked_options(asked, Asked.__annotations__.keys() - {"frames"})  # which concerns contracts alone
        given = {name: value for name, value in asked.items() if name != "on"}
        return {
            **given,
            "on": self._desk._day(asked.get("on"), view),
            "group": known_group(view, asked.get("group")),
            "accounts": accounts,
            "exchange": self._exchange(asked),
        }

    def _exchange(self, asked: Mapping[str, Any]) -> Exchange | None:
        return self._desk._book._rates_to(asked.get("currency"))


def _alerts(
    found: Roster, raised: Sequence[Renewal], period: Period, lead: Lead, over: Mapping[str, date], **options: Any
) -> list[portfolio.Alert]:
    """Return the alerts of a period: as they were raised, and as the contracts say where none was raised."""
    counted = {row.id for row in found.contracts}
    known = {(row.contract_id, row.alert_on) for row in raised}
    said = portfolio.alerts(found.contracts, period, lead=lead, **options)
    return [
        *(
            portfolio.Alert(row.contract_id, row.organisation_id, row.raised_on, over.get(row.id))
            for row in raised
            if row.raised_on is not None and row.contract_id in counted
        ),
        *(alert for alert in said if (alert.contract_id, alert.raised_on) not in known),
    ]


def _over(raised: Sequence[Renewal], view: View) -> dict[str, date]:
    """Return the days on which renewals were superseded."""
    ends = ((row.id, step) for row in raised for step in row.steps if step.to == "superseded")
    return {id: day for id, step in ends if (day := day_of(step.at, view)) is not None}


def _steps(view: View, raised: Sequence[Renewal]) -> Iterator[portfolio.Action]:
    """Yield what somebody did in renewals: neither the raise itself, nor that nobody needs one any more."""
    for row in raised:
        for step in row.steps:
            day = day_of(step.at, view)
            if day is not None and step.before is not None and step.to != "superseded":
                yield portfolio.Action(row.organisation_id, day, row.contract_id)


def _activities(view: View, found: Roster, period: Period, lead_days: int) -> Iterator[portfolio.Action]:
    """Yield what those who look after the accounts did with them, from the lead before a period on."""
    accounts = one_of(sorted({row.organisation_id for row in found.contracts}))
    day = date.fromordinal(max(period.start.toordinal() - lead_days, date.min.toordinal() + 1))
    since = at_least(datetime.combine(day, time(), view.now.tzinfo))
    for row in view.find(Activity, organisation_id=accounts, at=since, order=("at", "id")):
        acted, account, by = day_of(row.at, view), row.organisation_id, row.by_id
        if acted is None or account is None or by is None or row.kind in AUTOMATIC:
            continue
        if found.team.includes(by, account, acted):
            yield portfolio.Action(account, acted)
