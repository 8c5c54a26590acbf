"""A health check in a notebook: one table, readable in light and in dark, escaped, nothing loaded from anywhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from keyaccount.actions import percent, sums

if TYPE_CHECKING:
    from keyaccount.health_rows import HealthCheck, HealthRow, HealthTotals

# Colours are mixed from the page's own, so that they fit a light and a dark one.
_STYLE = (
    ".keyaccount-health{border-collapse:collapse;color:inherit;background:transparent}"
    ".keyaccount-health th,.keyaccount-health td{border-bottom:1px solid rgba(128,128,128,.4);padding:.2em .6em;"
    "text-align:left;vertical-align:top}"
    ".keyaccount-health caption{text-align:left;font-weight:bold;padding:.2em .6em}"
    ".keyaccount-health th{font-weight:normal;opacity:.75}"
    ".keyaccount-health td:first-child,.keyaccount-health td:last-child{min-width:9em}"
    ".keyaccount-health td:last-child{min-width:18em}"
    ".keyaccount-health td.number{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}"
    ".keyaccount-health .alert{font-weight:bold;border-left:.3em solid rgba(220,60,40,.8)}"
    ".keyaccount-health tfoot td{font-weight:bold}"
    "@media (prefers-color-scheme:dark){.keyaccount-health .alert{border-left-color:rgba(255,120,100,.9)}}"
)
_HEADS = {
    "invoiced": ("invoiced, 12 months", "on the year"),
    "decline": ("last month",),
    "contracts": ("due", "expired"),
    "overdue": ("overdue",),
    "opportunities": ("opportunities",),
    "contact": ("last contact",),
    "promises": ("broken promises",),
}


def page(check: HealthCheck) -> str:
    """Return a health check as HTML."""
    if not check.rows:
        return f"<em>no accounts on {check.on}</em>"
    names = ("account", *(head for signal in check.signals for head in _HEADS[signal]), "to do")
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in check.rows)
    foot = "".join(_foot(check.totals, check.signals))
    caption = "<br>".join(map(html.escape, (f"Health check on {check.on}", *check.remarks)))
    return (
        f"<style>{_STYLE}</style><table class='keyaccount-health'><caption>{caption}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody><tfoot><tr>{foot}</tr></tfoot></table>"
    )


def _cells(row: HealthRow) -> Iterator[str]:
    yield f"<td title='{html.escape(row.organisation_id, quote=True)}'>{html.escape(row.name)}</td>"
    told = {
        "invoiced": (_number(sums(row.invoiced)), _change(row)),
        "decline": (_decline(row),),
        "contracts": (_number(str(len(row.due))), _number(str(len(row.expired)))),
        "overdue": (_number(_overdue(row)),),
        "opportunities": (_number(_deals(row)),),
        "contact": (_number("never" if row.last_contact is None else f"{row.last_contact.days} days ago"),),
        "promises": (_number(str(len(row.promises))),),
    }
    for signal in row.signals:
        yield from told[signal]
    yield f"<td>{'<br>'.join(html.escape(step.text) for step in row.to_do)}</td>"


def _change(row: HealthRow) -> str:
    return f"<td>{html.escape(row.growth_reason or '')}</td>" if row.growth is None else _number(percent(row.growth))


def _deals(row: HealthRow | HealthTotals) -> str:
    return f"{row.opportunities}: {sums(row.pipeline)}, weighted {sums(row.weighted)}" if row.opportunities else "none"


def _decline(row: HealthRow) -> str:
    if row.decline is None:
        reason = row.decline_reason or ""
        return f"<td title='{html.escape(reason, quote=True)}'>{html.escape(reason.partition(':')[0])}</td>"
    said = percent(-row.decline)
    return f"<td class='number{' alert' if row.alert else ''}'>{html.escape(said)}</td>"


def _overdue(row: HealthRow) -> str:
    return f"{sums(row.overdue)}, {row.oldest_overdue} days" if row.overdue else "nothing"


def _foot(totals: HealthTotals, signals: Iterable[str]) -> Iterator[str]:
    yield f"<td>{totals.accounts} accounts</td>"
    told = {
        "invoiced": (sums(totals.invoiced), ""),
        "decline": (f"{totals.alerts} alerts",),
        "contracts": (str(totals.due), str(totals.expired)),
        "overdue": (sums(totals.overdue),),
        "opportunities": (_deals(totals),),
        "contact": ("",),
        "promises": (str(totals.promises),),
    }
    for signal in signals:
        yield from (_number(text) for text in told[signal])
    yield f"<td>{totals.to_do} to do</td>"


def _number(text: str) -> str:
    return f"<td class='number'>{html.escape(text)}</td>"
