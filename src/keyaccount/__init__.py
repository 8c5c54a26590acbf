"""keyaccount: who looks after a customer, what to know right now, and who may see it.

`open()` a book, take a `desk` for a user, and ask. See the README for the first steps.
"""

from keyaccount._version import __version__
from keyaccount.access import AccessPolicy, Decision
from keyaccount.book import Book, open
from keyaccount.calendars import Period
from keyaccount.cards import BusinessCard
from keyaccount.demo import demo
from keyaccount.desk import Desk
from keyaccount.errors import (
    AccessDenied,
    ConflictError,
    KeyAccountError,
    MissingExtra,
    NoPrice,
    NotFound,
    Problem,
    ReadOnly,
    StorageDamaged,
    StorageUnavailable,
    UnknownContext,
    ValidationError,
)
from keyaccount.model.activities import Activity
from keyaccount.model.contacts import Contact, ContactRole, Position
from keyaccount.model.notes import (
    Acknowledgement,
    Context,
    ExpectedProvider,
    NoteCategory,
    Reference,
    ServiceNote,
    Severity,
)
from keyaccount.model.organisations import Address, Location, Organisation
from keyaccount.model.organogram import Unit, User
from keyaccount.model.rights import (
    DEPUTY,
    EVERYONE,
    KEY_ACCOUNT_MANAGER,
    TEAM_MEMBER,
    Assignment,
    Grant,
    Principal,
    Right,
    unit,
    user,
)
from keyaccount.money import Money
from keyaccount.providers import Provider
from keyaccount.queries import at_least, at_most, between, is_none, one_of
from keyaccount.responsible import Responsible
from keyaccount.visibility import ComputedNote, Notes, VisibleNote

__all__ = [
    "DEPUTY",
    "EVERYONE",
    "KEY_ACCOUNT_MANAGER",
    "TEAM_MEMBER",
    "AccessDenied",
    "AccessPolicy",
    "Acknowledgement",
    "Activity",
    "Address",
    "Assignment",
    "Book",
    "BusinessCard",
    "ComputedNote",
    "ConflictError",
    "Contact",
    "ContactRole",
    "Context",
    "Decision",
    "Desk",
    "ExpectedProvider",
    "Grant",
    "KeyAccountError",
    "Location",
    "MissingExtra",
    "Money",
    "NoPrice",
    "NotFound",
    "NoteCategory",
    "Notes",
    "Organisation",
    "Period",
    "Position",
    "Principal",
    "Problem",
    "Provider",
    "ReadOnly",
    "Reference",
    "Responsible",
    "Right",
    "ServiceNote",
    "Severity",
    "StorageDamaged",
    "StorageUnavailable",
    "Unit",
    "UnknownContext",
    "User",
    "ValidationError",
    "VisibleNote",
    "__version__",
    "at_least",
    "at_most",
    "between",
    "demo",
    "is_none",
    "one_of",
    "open",
    "unit",
    "user",
]
