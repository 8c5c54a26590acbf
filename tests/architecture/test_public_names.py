"""The public names are a promise: they change on purpose only."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import attrs
import pytest

import keyaccount as ka
from keyaccount.areas.activities import Activities
from keyaccount.areas.billing import Billing
from keyaccount.areas.contracts import Contracts
from keyaccount.areas.merging import Merging
from keyaccount.areas.notes import ServiceNotes
from keyaccount.areas.people import People
from keyaccount.areas.portfolio import Portfolio
from keyaccount.areas.renewals import RenewalWork
from keyaccount.results import Result

NAMES = set(
    """
    DEPUTY EVERYONE KEY_ACCOUNT_MANAGER TEAM_MEMBER AccessDenied AccessPolicy Acknowledgement Activity Address
    Assignment Book BreakGlass BusinessCard ClientGroup ComputedNote ConflictError Contact ContactRole Context
    Contract Decision Desk Dump ExpectedProvider Figure Grant GroupMembership Import Invoice KeyAccountError
    KeyAccountStatus Line Link Location MissingExtra Money NoPrice NotFound NoteCategory Notes Opportunity Order
    Organisation Panel Payment Period Position Principal Problem Product Progress Provider ReadOnly Reference
    Renewal RenewalStep Responsible Right ServiceNote Severity StorageDamaged StorageUnavailable Substitution Term
    Unit UnknownContext User ValidationError VisibleNote __version__ at_least at_most between column days demo
    is_none lines_from months one_of open unit user
    """.split()
)
CALLS = {
    ka.Desk: "activities billing caller card contracts count daily data_quality dump find from_frame get "
    "health_check history load may merging mine notes notes_for panel people portfolio put put_many "
    "read_csv readable_ids remove renewals search service_notes transaction user_id",
    Billing: "ageing overdue",
    Contracts: "cover due expired_unrenewed notice_deadlines state",
    RenewalWork: "advance analysis lose open_renewals raise_alerts sign",
    Portfolio: "account_retention average_value call_to_meeting concentration contribution_margin days_since_contact "
    "days_to_first_action discount_depth expired_unrenewed gross_retention growth movements net_retention "
    "order_decline pipeline recurring renewal_rate win_ratio",
    People: "assign break_glass deputise end_assignment grant hand_over make_private open_up org_chart orphaned "
    "responsible revoke special_contact special_contacts vacant_roles vips who_may_read",
    Activities: "done follow_ups history last_contact log",
    Merging: "merge undo",
    ServiceNotes: "acknowledge add_context dismiss set_category",
    ka.Book: "backup check close desk now seal trusted",
}
FRAMES = set(
    "account_retention average_value concentration contracts_in due expired_unrenewed gross_retention growth movements "
    "net_retention order_decline recurring renewal_rate turnover FrameFacts".split()
)


def test_names() -> None:
    """Every public name is there, and no other."""
    assert set(ka.__all__) == NAMES == set(dir(ka))
    assert all(getattr(ka, name) is not None for name in NAMES)


@pytest.mark.parametrize("cls", CALLS, ids=lambda cls: cls.__name__)
def test_calls(cls: type) -> None:
    """Every public call of a desk, an area and a book is there, and no other."""
    assert {name for name in dir(cls) if not name.startswith("_")} == set(CALLS[cls].split())


def test_frames() -> None:
    """Every public name over data frames is there and explained, and no other."""
    frames = pytest.importorskip("keyaccount.frames", exc_type=ImportError)
    assert set(frames.__all__) == FRAMES
    assert all(getattr(frames, name).__doc__ for name in FRAMES)


def test_sql() -> None:
    """Every public name over SQLAlchemy is there and explained, and no other."""
    sql = pytest.importorskip("keyaccount.sql", exc_type=ImportError)
    assert set(sql.__all__) == {"IntKey", "Overlay", "SQLStorage", "Scaled", "Source", "TextKey", "readable"}
    assert all(getattr(sql, name).__doc__ for name in sql.__all__)
    calls = {name for name in dir(sql.SQLStorage) if not name.startswith("_")}
    assert calls == {"backup", "check", "close", "seal", "unit"}
    assert {name for name in dir(sql.Overlay) if not name.startswith("_")} == calls


def test_a_misspelt_name_raises() -> None:
    """A name that does not exist is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="Organization"):
        ka.Organization  # noqa: B018


def test_names_do_not_depend_on_what_was_imported_before() -> None:
    """Importing a submodule first takes no public name away."""
    code = "import keyaccount.demonstration, keyaccount.book, keyaccount as ka; ka.demo().close(); ka.open().close()"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_everything_public_is_explained() -> None:
    """Every public class and call has a docstring, and results are frozen and slotted."""
    metrics = (
        *("figures", "contracts", "succession", "questions", "renewal_rate", "retention", "movements", "expiring"),
        *("turnover", "revenue", "decline", "concentration", "margins", "opportunities", "attention", "billing"),
        *("promises", "actions", "health", "health_page", "health_rows", "health_text"),
    )
    for module in (
        "desk",
        "book",
        "cards",
        "visibility",
        "access",
        "responsible",
        "providers",
        "areas.people",
        "panel",
        "data_quality",
        "mailing",
        "exchange",
        "dumps",
        *metrics,
    ):
        for name, value in vars(importlib.import_module(f"keyaccount.{module}")).items():
            if name.startswith("_") or not inspect.isclass(value) or not value.__module__.startswith("keyaccount"):
                continue
            assert value.__doc__, name
            assert not [
                m for m, f in vars(value).items() if inspect.isfunction(f) and not m.startswith("_") and not f.__doc__
            ]
            if issubclass(value, Result) and attrs.has(value):
                assert not hasattr(value, "__dict__") or "__slots__" in vars(value), name
