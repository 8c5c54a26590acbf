"""Whom to write to: the VIPs, and the list a mail merge reads (the Christmas card)."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from keyaccount import cards
from keyaccount.cells import safe
from keyaccount.files import written
from keyaccount.model.contacts import Contact, Position
from keyaccount.model.organisations import Address, Organisation
from keyaccount.results import Result, Rows
from keyaccount.spans import by_start
from keyaccount.values import fold
from keyaccount.view import by_id

COLUMNS = (
    *("name", "salutation", "title", "organisation", "address_purpose", "line_1", "line_2", "line_3"),
    *("postcode", "town", "region", "country", "email"),
)
_LINES = 3


@attrs.frozen(repr=False)
class Vip(Result):
    """An important person of a customer's, where they are important, and where to write to them.

    `address_of` is the employer whose address it is; None for the person's own, and where there is none.
    """

    contact: Contact
    position: Position
    organisation: Organisation
    address: Address | None
    address_of: Organisation | None = None

    also = ("can_be_written_to",)

    @property
    def can_be_written_to(self) -> bool:
        """Whether there is an address with a street, a town or a postcode."""
        return self.address is not None and any((self.address.lines, self.address.town, self.address.postcode))


@attrs.frozen(repr=False)
class MailingList(Result):
    """What came of writing a mailing list: how many people are in it, and who is not, and why."""

    path: str
    written: int
    refused: tuple[Contact, ...]
    without_address: tuple[Contact, ...]


@attrs.frozen(repr=False)
class Vips(Rows[Vip]):
    """The VIPs, by name; one who is a VIP at two organisations stands there twice."""

    rows: tuple[Vip, ...]

    @property
    def letters(self) -> tuple[Vip, ...]:
        """Those who get a letter, each person once: of several places the employer where they began first."""
        return tuple(vip for vip in self._people() if vip.contact.accepts_letters and vip.can_be_written_to)

    @property
    def without_address(self) -> tuple[Contact, ...]:
        """The people who would take a letter, but whose address nobody knows."""
        return tuple(v.contact for v in self._people() if v.contact.accepts_letters and not v.can_be_written_to)

    @property
    def refused(self) -> tuple[Contact, ...]:
        """The people who take no letters."""
        return tuple(vip.contact for vip in self._people() if not vip.contact.accepts_letters)

    def to_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> MailingList:
        """Write the mailing list: one line a person, without those who refused letters or have no address.

        Columns: name, salutation, title, organisation, address_purpose, line_1 to line_3 (further lines are in the
        third), postcode, town, region, country, email (none of those who refused e-mail). Commas; UTF-8 with a byte
        order mark, so that a spreadsheet shows umlauts when the file is opened by a double click; text it would run as
        a formula stands behind an apostrophe, which `keyaccount.cells.plain` takes away.

        Returns who is in it and who is not. Raises ValidationError for a path that is taken (unless told to
        `overwrite`), a symbolic link or a folder that is not there; StorageUnavailable.
        """
        letters = self.letters
        with written(path, overwrite=overwrite, encoding="utf-8-sig") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows([cell and safe(cell) for cell in _line(vip)] for vip in letters)
        return MailingList(str(path), len(letters), self.refused, self.without_address)

    def _people(self) -> Iterator[Vip]:
        """Yield each person once, in order of the rows."""
        found: defaultdict[str, list[Vip]] = defaultdict(list)
        for vip in self.rows:
            found[vip.contact.id].append(vip)
        yield from (min(rows, key=_preference) for rows in found.values())


def vips_of(people: Iterable[Contact], positions: Iterable[Position], places: Iterable[Organisation]) -> Vips:
    """Pick the VIPs from people, all their positions in force (first begun in front) and the organisations of these."""
    contacts, organisations = by_id(people), by_id(places)
    held: defaultdict[str, list[Position]] = defaultdict(list)
    for position in positions:
        held[position.contact_id].append(position)
    rows = [
        _vip(contact, position, place, held[contact.id], organisations)
        for some in held.values()
        for position in some
        if (contact := contacts.get(position.contact_id))
        and (place := organisations.get(position.organisation_id))
        and (contact.vip or position.vip)
    ]
    rows.sort(key=lambda vip: (fold(vip.contact.name), vip.contact.id, fold(vip.organisation.name), vip.position.id))
    return Vips(tuple(rows))


def _vip(
    contact: Contact,
    position: Position,
    place: Organisation,
    held: Sequence[Position],
    organisations: Mapping[str, Organisation],
) -> Vip:
    address = cards.address_of(contact, held, organisations, asked=place.id)
    employer = None if contact.addresses else organisations.get(cards.employer_of(held, asked=place.id) or "")
    return Vip(contact, position, place, address, employer if address is not None else None)


def _preference(vip: Vip) -> tuple[bool, tuple[int, int], str]:
    return not vip.position.employed, by_start(vip.position), vip.position.id


def _line(vip: Vip) -> Iterator[str]:
    """Yield the cells of one person; the title is left out where the address is of another employer than its own."""
    there = vip.address_of or vip.organisation
    yield vip.contact.name
    yield vip.contact.salutation or ""
    yield (vip.position.title or "") if there == vip.organisation else ""
    yield there.address_name or there.name
    address = vip.address or Address()
    yield address.purpose
    lines = (*address.lines[: _LINES - 1], ", ".join(address.lines[_LINES - 1 :]))
    yield from (*lines, *[""] * (_LINES - len(lines)))
    yield from (text or "" for text in (address.postcode, address.town, address.region, address.country))
    emails = (*vip.position.emails, *vip.contact.emails) if vip.contact.accepts_email else ()
    yield next(iter(emails), "")
