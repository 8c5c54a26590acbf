"""Their side: people, the positions they hold, and the roles that matter to us."""

from __future__ import annotations

from datetime import date

import attrs

from keyaccount.model.entity import SPAN, Entity, first_day, identity, last_day, name_field
from keyaccount.model.organisations import Address, line
from keyaccount.shapes import Day, Email, Flag, Many, One, PhoneNumber, Refer, Rule, Text, field


@attrs.frozen(repr=False)
class Contact(Entity):
    """A person, stored once, whatever they do at how many organisations.

    Phones, e-mails and addresses here are the person's own; those of a job belong to the `Position`. `created_by` is
    the user who entered them: until the person holds a position, nobody else sees them. `formerly_held` says that the
    last position was removed: then only trusted desks do.
    """

    id: str = identity()
    name: str = name_field()
    salutation: str | None = field(line())
    phones: tuple[str, ...] = field(Many(PhoneNumber()), ())
    emails: tuple[str, ...] = field(Many(Email()), ())
    addresses: tuple[Address, ...] = field(Many(One(Address)), ())
    birthday: date | None = field(Day())
    language: str | None = field(line(35))
    vip: bool = field(Flag(), False)
    accepts_letters: bool = field(Flag(), True)
    accepts_email: bool = field(Flag(), True)
    accepts_calls: bool = field(Flag(), True)
    created_by: str | None = field(Refer("User"))
    formerly_held: bool = field(Flag(), False)

    @property
    def country(self) -> str | None:
        """The country of the person's own address; None where no address says."""
        return next((address.country for address in self.addresses if address.country), None)


@attrs.frozen(repr=False)
class Position(Entity):
    """What a contact does at an organisation, with the phones and e-mails there.

    `role` makes it a special contact ("invoices", "data protection officer"); `employed` says whether the person works
    there. `vip` marks the person there only. `reports_to_id` is another position at the same organisation.
    """

    id: str = identity()
    contact_id: str = field(Refer("Contact", gone="remove", required=True))
    organisation_id: str = field(Refer("Organisation", gone="remove", required=True))
    title: str | None = field(line())
    department: str | None = field(line())
    role: str | None = field(line(200))
    employed: bool = field(Flag(), True)
    main: bool = field(Flag(), False)
    reports_to_id: str | None = field(Refer("Position"))
    phones: tuple[str, ...] = field(Many(PhoneNumber()), ())
    emails: tuple[str, ...] = field(Many(Email()), ())
    vip: bool = field(Flag(), False)
    valid_from: date | None = first_day()
    valid_until: date | None = last_day()

    rules = (SPAN, Rule(("reports_to_id", "id"), lambda to, own: to != own, "is the position itself"))


@attrs.frozen(repr=False)
class ContactRole(Entity):
    """A role a special contact can hold, by its code (the id).

    `single`: one holder at a time. `required`: reported when nobody holds it.
    """

    id: str = identity()
    name: str | None = field(Text(limit=1_000, line=True))
    single: bool = field(Flag(), False)
    required: bool = field(Flag(), False)


SHIPPED_ROLES = (
    ContactRole("managing director", name="Managing director"),
    ContactRole("sales manager", name="Sales manager"),
    ContactRole("data protection officer", name="Data protection officer", single=True),
    ContactRole("invoices", name="Main contact for invoices", single=True),
)
