"""`desk.portfolio`: how good are we at keeping and growing accounts, with the records behind every figure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from keyaccount import portfolio
from keyaccount.calendars import Period
from keyaccount.figures import Figure
from keyaccount.model.activities import Activity
from keyaccount.model.renewals import Renewal
from keyaccount.movements import Movements
from keyaccount.queries import one_of
from keyaccount.questions import Attribution, Level
from keyaccount.rosters import Roster, day_of, roster
from keyaccount.view import View

if TYPE_CHECKING:
    from keyaccount.desk import Desk


class Asked(TypedDict, total=False):
    """What every metric takes.

    `on`: the day up to which things are known (today). `by`: manager, unit, group, sector, country, tier or account.
    `group`: a client group, or `"key accounts"`. `level`: account, contract or parent. `attribution`: manager, group
    and status as they were then, or now. `currency`: what to convert to by the book's exchange function.
    """

    on: date | None
    by: str | None
    group: str | None
    level: Level
    attribution: Attribution
    currency: str | None


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
            found = roster(view)
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

        An action is a step of the renewal, or an activity of the manager, a deputy or the team with the account.
        """
        with self._desk._view() as view:
            found = roster(view)
            options = self._options(view, found, asked)
            return portfolio.days_to_first_action(
                found.contracts,
                period,
                actions=_actions(view, found),
                raised=_alerts(view, found, period, options, self._desk._book.lead),
                target_days=target_days,
                **options,
            )

    def _figure(self, metric: Callable[[Roster, dict[str, Any]], Figure], asked: Asked) -> Figure:
        with self._desk._view() as view:
            found = roster(view)
            return metric(found, self._options(view, found, asked))

    def _options(self, view: View, found: Roster, asked: Asked) -> dict[str, Any]:
        given: dict[str, Any] = {name: value for name, value in asked.items() if name != "on"}
        exchange = self._desk._book.exchange if given.get("currency") is not None else None
        return {**given, "on": self._desk._day(asked.get("on"), view), "accounts": found.accounts, "exchange": exchange}


def _alerts(view: View, found: Roster, period: Any, options: dict[str, Any], lead: Any) -> list[portfolio.Alert]:
    """Return the alerts of a period: as they were raised, else as the contracts say."""
    raised = view.find(Renewal, contract_id=one_of([row.id for row in found.contracts]))
    known = {row.contract_id for row in raised}
    said = portfolio.alerts(found.contracts, period, lead=lead, **options)
    return [
        *(portfolio.Alert(row.contract_id, row.organisation_id, row.raised_on) for row in raised if row.raised_on),
        *(alert for alert in said if alert.contract_id not in known),
    ]


def _actions(view: View, found: Roster) -> list[portfolio.Action]:
    """Return what counts as an action: steps by people, and activities of those who look after the account."""
    ids = one_of(sorted({row.organisation_id for row in found.contracts}))
    renewals, happened = view.gather(
        view.query(Renewal, organisation_id=ids), view.query(Activity, organisation_id=ids, order="at")
    )
    steps = [
        portfolio.Action(row.organisation_id, day, row.contract_id)
        for row in renewals
        if isinstance(row, Renewal)
        for step in row.steps
        if step.before is not None and (day := day_of(step.at, view)) is not None
    ]
    return [*steps, *(_acted(view, row) for row in happened if isinstance(row, Activity) and _counts(found, row))]


def _acted(view: View, row: Activity) -> portfolio.Action:
    return portfolio.Action(row.organisation_id or "", day_of(row.at, view) or view.today)


def _counts(found: Roster, row: Activity) -> bool:
    """Say whether an activity is by somebody who looks after the account, and no note or mail of a machine's."""
    team = {one.user_id for one in found.team.get(row.organisation_id or "", ())}
    return row.by_id in team and row.kind != "status"
