"""How good are we at keeping accounts? The metrics, as plain functions over plain contracts.

They trust what they are given: any iterable of `Contract`, and beside it what is known of the accounts, the host's
rates, and how successors are matched (see `questions.Options`). Every metric takes `on`, the day up to which things are
known, and gives a `Figure` with the records on both sides.

>>> from datetime import date
>>> from keyaccount.calendars import Period
>>> renewal_rate([], Period.year(2026), on=date(2026, 11, 21)).reason
'no contract was due'
"""

from keyaccount.accounts import Accounts
from keyaccount.expiring import (
    Action,
    Alert,
    alerts,
    days_to_first_action,
    due,
    expired,
    expired_unrenewed,
    first_actions,
    notice_deadlines,
)
from keyaccount.movements import Movement, Movements, movements, recurring
from keyaccount.renewal_rate import renewal_rate
from keyaccount.retention import account_retention, gross_retention, net_retention
from keyaccount.succession import Matching

__all__ = [
    "Accounts",
    "Action",
    "Alert",
    "Matching",
    "Movement",
    "Movements",
    "account_retention",
    "alerts",
    "days_to_first_action",
    "due",
    "expired",
    "expired_unrenewed",
    "first_actions",
    "gross_retention",
    "movements",
    "net_retention",
    "notice_deadlines",
    "recurring",
    "renewal_rate",
]
