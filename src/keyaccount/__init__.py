"""keyaccount: who looks after a customer, what to know right now, and who may see it.

`open()` a book, take a `desk` for a user, and ask. See the README for the first steps.

Importing the package loads next to nothing; each public name is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING

from keyaccount._version import __version__

if TYPE_CHECKING:
    from keyaccount.access import (
        AccessPolicy as AccessPolicy,
    )
    from keyaccount.access import (
        Decision as Decision,
    )
    from keyaccount.book import (
        Book as Book,
    )
    from keyaccount.book import (
        open as open,
    )
    from keyaccount.calendars import Period as Period
    from keyaccount.cards import BusinessCard as BusinessCard
    from keyaccount.columns import (
        column as column,
    )
    from keyaccount.demonstration import demo as demo
    from keyaccount.desk import Desk as Desk
    from keyaccount.details import (
        lines_from as lines_from,
    )
    from keyaccount.dumps import (
        Dump as Dump,
    )
    from keyaccount.errors import (
        AccessDenied as AccessDenied,
    )
    from keyaccount.errors import (
        ConflictError as ConflictError,
    )
    from keyaccount.errors import (
        KeyAccountError as KeyAccountError,
    )
    from keyaccount.errors import (
        MissingExtra as MissingExtra,
    )
    from keyaccount.errors import (
        NoPrice as NoPrice,
    )
    from keyaccount.errors import (
        NotFound as NotFound,
    )
    from keyaccount.errors import (
        Problem as Problem,
    )
    from keyaccount.errors import (
        ReadOnly as ReadOnly,
    )
    from keyaccount.errors import (
        StorageDamaged as StorageDamaged,
    )
    from keyaccount.errors import (
        StorageUnavailable as StorageUnavailable,
    )
    from keyaccount.errors import (
        UnknownContext as UnknownContext,
    )
    from keyaccount.errors import (
        ValidationError as ValidationError,
    )
    from keyaccount.exchange import (
        Import as Import,
    )
    from keyaccount.exchange import (
        Progress as Progress,
    )
    from keyaccount.figures import Figure as Figure
    from keyaccount.model.activities import Activity as Activity
    from keyaccount.model.commerce import (
        Invoice as Invoice,
    )
    from keyaccount.model.commerce import (
        Line as Line,
    )
    from keyaccount.model.commerce import (
        Order as Order,
    )
    from keyaccount.model.commerce import (
        Payment as Payment,
    )
    from keyaccount.model.commerce import (
        Product as Product,
    )
    from keyaccount.model.contacts import (
        Contact as Contact,
    )
    from keyaccount.model.contacts import (
        ContactRole as ContactRole,
    )
    from keyaccount.model.contacts import (
        Position as Position,
    )
    from keyaccount.model.contracts import (
        Contract as Contract,
    )
    from keyaccount.model.groups import (
        ClientGroup as ClientGroup,
    )
    from keyaccount.model.groups import (
        GroupMembership as GroupMembership,
    )
    from keyaccount.model.groups import (
        KeyAccountStatus as KeyAccountStatus,
    )
    from keyaccount.model.links import (
        Link as Link,
    )
    from keyaccount.model.notes import (
        Acknowledgement as Acknowledgement,
    )
    from keyaccount.model.notes import (
        Context as Context,
    )
    from keyaccount.model.notes import (
        ExpectedProvider as ExpectedProvider,
    )
    from keyaccount.model.notes import (
        NoteCategory as NoteCategory,
    )
    from keyaccount.model.notes import (
        Reference as Reference,
    )
    from keyaccount.model.notes import (
        ServiceNote as ServiceNote,
    )
    from keyaccount.model.notes import (
        Severity as Severity,
    )
    from keyaccount.model.organisations import (
        Address as Address,
    )
    from keyaccount.model.organisations import (
        Location as Location,
    )
    from keyaccount.model.organisations import (
        Organisation as Organisation,
    )
    from keyaccount.model.organogram import (
        Unit as Unit,
    )
    from keyaccount.model.organogram import (
        User as User,
    )
    from keyaccount.model.renewals import (
        Renewal as Renewal,
    )
    from keyaccount.model.renewals import (
        RenewalStep as RenewalStep,
    )
    from keyaccount.model.rights import (
        DEPUTY as DEPUTY,
    )
    from keyaccount.model.rights import (
        EVERYONE as EVERYONE,
    )
    from keyaccount.model.rights import (
        KEY_ACCOUNT_MANAGER as KEY_ACCOUNT_MANAGER,
    )
    from keyaccount.model.rights import (
        TEAM_MEMBER as TEAM_MEMBER,
    )
    from keyaccount.model.rights import (
        Assignment as Assignment,
    )
    from keyaccount.model.rights import (
        BreakGlass as BreakGlass,
    )
    from keyaccount.model.rights import (
        Grant as Grant,
    )
    from keyaccount.model.rights import (
        Principal as Principal,
    )
    from keyaccount.model.rights import (
        Right as Right,
    )
    from keyaccount.model.rights import (
        Substitution as Substitution,
    )
    from keyaccount.model.rights import (
        unit as unit,
    )
    from keyaccount.model.rights import (
        user as user,
    )
    from keyaccount.model.sales import (
        Opportunity as Opportunity,
    )
    from keyaccount.model.terms import (
        Term as Term,
    )
    from keyaccount.model.terms import (
        days as days,
    )
    from keyaccount.model.terms import (
        months as months,
    )
    from keyaccount.money import Money as Money
    from keyaccount.panel import Panel as Panel
    from keyaccount.providers import Provider as Provider
    from keyaccount.queries import (
        at_least as at_least,
    )
    from keyaccount.queries import (
        at_most as at_most,
    )
    from keyaccount.queries import (
        between as between,
    )
    from keyaccount.queries import (
        is_none as is_none,
    )
    from keyaccount.queries import (
        one_of as one_of,
    )
    from keyaccount.responsible import Responsible as Responsible
    from keyaccount.visibility import (
        ComputedNote as ComputedNote,
    )
    from keyaccount.visibility import (
        Notes as Notes,
    )
    from keyaccount.visibility import (
        VisibleNote as VisibleNote,
    )

# Where each public name lives.
_PLACES = {
    "access": ("AccessPolicy", "Decision"),
    "book": ("Book", "open"),
    "calendars": ("Period",),
    "cards": ("BusinessCard",),
    "demonstration": ("demo",),
    "desk": ("Desk",),
    "errors": (
        "AccessDenied",
        "ConflictError",
        "KeyAccountError",
        "MissingExtra",
        "NoPrice",
        "NotFound",
        "Problem",
        "ReadOnly",
        "StorageDamaged",
        "StorageUnavailable",
        "UnknownContext",
        "ValidationError",
    ),
    "figures": ("Figure",),
    "model.activities": ("Activity",),
    "model.contacts": ("Contact", "ContactRole", "Position"),
    "model.commerce": ("Invoice", "Line", "Order", "Payment", "Product"),
    "model.contracts": ("Contract",),
    "model.groups": ("ClientGroup", "GroupMembership", "KeyAccountStatus"),
    "model.links": ("Link",),
    "model.sales": ("Opportunity",),
    "model.terms": ("Term", "days", "months"),
    "columns": ("column",),
    "details": ("lines_from",),
    "exchange": ("Import", "Progress"),
    "dumps": ("Dump",),
    "model.renewals": ("Renewal", "RenewalStep"),
    "model.notes": (
        "Acknowledgement",
        "Context",
        "ExpectedProvider",
        "NoteCategory",
        "Reference",
        "ServiceNote",
        "Severity",
    ),
    "model.organisations": ("Address", "Location", "Organisation"),
    "model.organogram": ("Unit", "User"),
    "model.rights": (
        "Assignment",
        "BreakGlass",
        "DEPUTY",
        "EVERYONE",
        "Grant",
        "KEY_ACCOUNT_MANAGER",
        "Principal",
        "Right",
        "Substitution",
        "TEAM_MEMBER",
        "unit",
        "user",
    ),
    "money": ("Money",),
    "panel": ("Panel",),
    "providers": ("Provider",),
    "queries": ("at_least", "at_most", "between", "is_none", "one_of"),
    "responsible": ("Responsible",),
    "visibility": ("ComputedNote", "Notes", "VisibleNote"),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 - all of them are text


def __getattr__(name: str) -> object:
    """Load a public name where it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'keyaccount' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"keyaccount.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
