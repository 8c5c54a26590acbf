"""The accounts: organisations, their addresses and where they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import attrs

from keyaccount.model.entity import Entity, identity, name_field
from keyaccount.money import CURRENCIES
from keyaccount.shapes import (
    Checked,
    Choice,
    Degrees,
    Email,
    Flag,
    Many,
    One,
    Pairs,
    PhoneNumber,
    Refer,
    Rule,
    Text,
    field,
)
from keyaccount.values import FrozenMap

PURPOSES = ("company", "shipping", "billing", "private")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d)")
RELATIONSHIPS = ("prospect", "customer", "supplier")


def _country(value: str) -> str | None:
    known = len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()  # noqa: PLR2004
    return None if known else "is no ISO 3166 alpha-2 code such as 'DE'"


def _currency(value: str) -> str | None:
    return None if value in CURRENCIES else "is no ISO 4217 currency such as 'EUR'"


def _website(value: str) -> str | None:
    """Say why a text is no website; one without a scheme is, and what looks like a scheme may be a host and a port."""
    found = _SCHEME.match(value.strip())
    known = found is None or found[1].lower() in ("http", "https")
    return None if known else "must begin with http or https, or with the name of the host"


def line(limit: int = 1_000, *, folded: bool = False) -> Text:
    """One line of text."""
    return Text(limit=limit, line=True, folded=folded)


@attrs.frozen(repr=False)
class Address(Checked):
    """A postal address, by what it is for: company, shipping, billing or private.

    >>> Address(lines=("Obere Str. 57",), postcode="12209", town="Berlin", country="DE").country
    'DE'
    """

    purpose: str = field(Choice(PURPOSES), "company")
    lines: tuple[str, ...] = field(Many(Text(required=True)), ())
    postcode: str | None = field(line())
    town: str | None = field(line(folded=True))
    region: str | None = field(line())
    country: str | None = field(Text(limit=2, line=True, pattern=_country))


@attrs.frozen(repr=False)
class Location(Checked):
    """A place on the map, in degrees (WGS 84), exact."""

    latitude: Decimal = field(Degrees(90))
    longitude: Decimal = field(Degrees(180))


@attrs.frozen(repr=False)
class Organisation(Entity):
    """An account: a company we look after, want to look after, or buy from.

    `private` shields it: only the key account managers assigned to this very organisation see that it exists.

    >>> Organisation("acme", name="ACME AG", phones=("+49 89 1234-0",))
    Organisation(id='acme', name='ACME AG', phones=('+49 89 1234-0',), relationships=('customer',))
    """

    id: str = identity()
    name: str = name_field()
    address_name: str | None = name_field(required=False)
    parent_id: str | None = field(Refer("Organisation"))
    private: bool = field(Flag(), False)
    sector: str | None = field(line())
    category: str | None = field(line())
    website: str | None = field(Text(limit=2_000, line=True, pattern=_website))
    phones: tuple[str, ...] = field(Many(PhoneNumber()), ())
    emails: tuple[str, ...] = field(Many(Email()), ())
    social: Mapping[str, str] = field(Pairs(texts=True), FrozenMap())
    addresses: tuple[Address, ...] = field(Many(One(Address)), ())
    relationships: tuple[str, ...] = field(Many(Choice(RELATIONSHIPS)), ("customer",))
    tax_id: str | None = field(line())
    currency: str | None = field(Text(limit=3, line=True, pattern=_currency))
    logo: str | None = field(line(2_000))
    location: Location | None = field(One(Location))

    rules = (Rule(("parent_id", "id"), lambda parent, own: parent != own, "is the organisation itself"),)

    @property
    def country(self) -> str | None:
        """The country of its address: company before billing, shipping and private; None where no address says."""
        ranked = sorted(self.addresses, key=lambda address: ADDRESS_RANK[address.purpose])
        return next((address.country for address in ranked if address.country), None)


ADDRESS_RANK = {"company": 0, "shipping": 1, "billing": 2, "private": 3}
