"""How good are we at keeping accounts, and how do they do? The metrics, as plain functions over plain records.

They trust what they are given: any iterable of `Contract`, `Invoice`, `Order`, `Activity` or `Opportunity`, and beside
it what is known of the accounts, the host's rates, and how successors are matched (see `questions.Options`). Every
metric takes `on`, the day up to which things are known, and gives a `Figure` with the records on both sides, or one for
each account.

>>> from datetime import date
>>> from keyaccount.calendars import Period
>>> renewal_rate([], Period.year(2026), on=date(2026, 11, 21)).reason
'no contract was due'
"""

from keyaccount.accounts import Accounts
from keyaccount.attention import Contacted, Coverage, call_to_meeting, coverage, days_since_contact, last_contacts
from keyaccount.concentration import concentration, concentration_of, concentration_windows
from keyaccount.decline import decline_of, decline_windows, order_decline
from keyaccount.expiring import due, expired, expired_unrenewed, notice_deadlines
from keyaccount.first_actions import Action, Alert, alerts, days_to_first_action, first_actions
from keyaccount.margins import contribution_margin, discount_depth
from keyaccount.movements import Movement, Movements, movements, recurring
from keyaccount.opportunities import StaleOpportunities, pipeline, to_update, win_ratio
from keyaccount.renewal_rate import renewal_rate
from keyaccount.retention import account_retention, gross_retention, net_retention
from keyaccount.revenue import average_of, average_value, average_windows, growth, growth_of, growth_windows
from keyaccount.succession import Matching
from keyaccount.turnover import Flow, Turnover, turnover

__all__ = [
    "Accounts",
    "Action",
    "Alert",
    "Contacted",
    "Coverage",
    "Flow",
    "Matching",
    "Movement",
    "Movements",
    "StaleOpportunities",
    "Turnover",
    "account_retention",
    "alerts",
    "average_of",
    "average_value",
    "average_windows",
    "call_to_meeting",
    "concentration",
    "concentration_of",
    "concentration_windows",
    "contribution_margin",
    "coverage",
    "days_since_contact",
    "days_to_first_action",
    "decline_of",
    "decline_windows",
    "discount_depth",
    "due",
    "expired",
    "expired_unrenewed",
    "first_actions",
    "gross_retention",
    "growth",
    "growth_of",
    "growth_windows",
    "last_contacts",
    "movements",
    "net_retention",
    "notice_deadlines",
    "order_decline",
    "pipeline",
    "recurring",
    "renewal_rate",
    "to_update",
    "turnover",
    "win_ratio",
]
