"""A health check in a terminal: at most 100 columns, escaped, no colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keyaccount.actions import counted, fallen, percent, sums
from keyaccount.terminal import WIDTH, printable, wrapped

if TYPE_CHECKING:
    from keyaccount.health_rows import Daily, HealthCheck, HealthRow, HealthTotals

_LABEL = 15


def health_text(check: HealthCheck) -> str:
    """Return a health check as text: the same facts as `check.to_dict()`, the largest account first, the foot last."""
    return "\n".join(_lines(check)) + "\n"


def daily_text(daily: Daily) -> str:
    """Return the short form for a day as text."""
    return "\n".join(_daily(daily)) + "\n"


def _lines(check: HealthCheck) -> Iterator[str]:
    yield f"Health check on {check.on}: {counted(check.totals.accounts, 'account')}"
    yield "=" * WIDTH
    for row in check.rows:
        yield from wrapped(f"{printable(row.name)} ({printable(row.organisation_id)})", "  ")
        for label, said in _facts(row):
            yield from _fact(label, said)
        for number, step in enumerate(row.to_do, 1):
            yield from _fact("to do" if number == 1 else "", f"{number}. {step.text}")
        yield ""
    for totals in (*(check.parts or ()), check.totals):
        yield from wrapped(
            f"{printable(totals.part) if totals.part else 'All'}: {counted(totals.accounts, 'account')}", "  "
        )
        for label, said in _totals(totals, check.signals):
            yield from _fact(label, said)
    for remark in check.remarks:
        yield from wrapped(printable(remark), "  ")


def _fact(label: str, said: str) -> list[str]:
    return wrapped(f"{label:{_LABEL}} {printable(said)}", " " * (_LABEL + 3), "  ")


def _facts(row: HealthRow) -> Iterator[tuple[str, str]]:
    if "invoiced" in row.signals:
        change = row.growth_reason if row.growth is None else f"{percent(row.growth)} on the year"
        yield "invoiced", f"{sums(row.invoiced)} in 12 months ({sums(row.invoiced_before)} before): {change}"
    if "decline" in row.signals:
        yield "last month", _decline(row)
    if "contracts" in row.signals and (row.due or row.expired):
        yield "contracts", "; ".join((*_due(row), *_expired(row)))
    if "overdue" in row.signals and row.overdue:
        disputed = ", all of it disputed" if row.all_disputed else ""
        ids = ", ".join(row.overdue_ids)
        yield "overdue", f"{sums(row.overdue)}, the oldest for {counted(row.oldest_overdue, 'day')}{disputed} ({ids})"
    if "opportunities" in row.signals and row.opportunities:
        yield "opportunities", f"{row.opportunities} open: {sums(row.pipeline)}, weighted {sums(row.weighted)}"
    if "contact" in row.signals:
        last = row.last_contact
        by = f" by {last.by_id}" if last is not None and last.by_id else ""
        yield "contact", "never" if last is None else f"{counted(last.days, 'day')} ago ({last.day}): {last.kind}{by}"
    if "promises" in row.signals and row.promises:
        said = (f"{one.due_on} {one.subject or one.activity_id}" for one in row.promises)
        yield "broken promises", "; ".join(said)


def _decline(row: HealthRow) -> str:
    if row.decline is None:
        return row.decline_reason or ""
    mark = " (alert)" if row.alert else ""
    season = "" if row.seasonal is None else "; the season's" if row.seasonal else "; not the season's"
    change = fallen(row.decline) if row.alert else percent(-row.decline)
    return f"orders {change} against the month before{mark}{season if row.alert else ''}"


def _due(row: HealthRow) -> Iterator[str]:
    for one in row.due:
        yield f"{one.contract_id} ends {one.ends_on}, {counted(one.days_left, 'day')} left, {one.done or 'no action'}"


def _expired(row: HealthRow) -> Iterator[str]:
    for one in row.expired:
        yield f"{one.contract_id} ended {one.ended_on}, not renewed{' (in grace)' if one.in_grace else ''}"


def _totals(totals: HealthTotals, signals: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    told = {
        "invoiced": f"{sums(totals.invoiced)} in 12 months ({sums(totals.invoiced_before)} before)",
        "decline": counted(totals.alerts, "alert"),
        "contracts": f"{totals.due} due, {totals.expired} expired and not renewed",
        "overdue": sums(totals.overdue),
        "opportunities": f"{totals.opportunities} open: {sums(totals.pipeline)}, weighted {sums(totals.weighted)}",
        "promises": f"{totals.promises} broken",
    }
    yield from ((signal, told[signal]) for signal in signals if signal in told)
    yield "to do", str(totals.to_do)


def _daily(daily: Daily) -> Iterator[str]:
    yield f"Today, {daily.on}"
    yield "=" * WIDTH
    for row in daily.overdue:
        disputed, days = ", disputed" if row.disputed else "", counted(row.days, "day")
        said = f"{row.organisation_id}: {sums([row.open_amount])} of {row.invoice_id}, {days}{disputed}"
        yield from _fact("overdue", said)
    for deal in daily.opportunities:
        since = "no expected day" if deal.days is None else f"expected {counted(deal.days, 'day')} ago"
        yield from _fact("opportunity", f"{deal.organisation_id}: {deal.title or deal.opportunity_id}, {since}")
    for promise in daily.promises:
        said = (
            f"{promise.organisation_id}: {promise.subject or promise.activity_id}, {counted(promise.days, 'day')} late"
        )
        yield from _fact("broken promise", said)
    for one in daily.overdue.without_due_day:
        yield from _fact("no due day", f"{one.id}: {one.reason}")
    for glass in daily.opened:
        said = f"{glass.organisation_id} by {glass.user_id} until {glass.closes_at}: {glass.reason}"
        yield from _fact("opened", said)
    if not (daily.overdue or daily.opportunities or daily.promises or daily.opened or daily.overdue.without_due_day):
        yield "  nothing"
