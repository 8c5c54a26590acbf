"""Cards, notes and progress as text: at most 100 columns, escaped, no colour."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from keyaccount.cards import BusinessCard, Held
from keyaccount.model.organisations import Address
from keyaccount.responsible import Responsible
from keyaccount.visibility import Notes

if TYPE_CHECKING:
    from keyaccount.exchange import Progress

WIDTH = 100
_LABEL = 24
_BAR = 40


def card_text(card: BusinessCard) -> str:
    """Return a business card as text: the same facts as `card.to_dict()`."""
    return "\n".join(_card_lines(card)) + "\n"


def notes_text(notes: Notes) -> str:
    """Return notes as text, one paragraph each; "no notes" where there are none."""
    return "\n".join(_note_lines(notes)) + "\n"


def printable(text: str) -> str:
    r"""Escape what a terminal would act on: control and bidirectional characters; line breaks become " / ".

    >>> printable("red\x1b[31m")
    'red\\x1b[31m'
    """
    flat = " / ".join(text.splitlines()) if not text.isprintable() else text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in flat)


def bar(stream: TextIO) -> Callable[[Progress], None]:
    """Return what shows the progress of a long work as one line of a terminal, which is wiped at the end."""

    def show(progress: Progress) -> None:
        share = 0 if not progress.total else min(progress.done * _BAR // progress.total, _BAR)
        done = progress.done >= progress.total
        told = f"{'#' * share:.<{_BAR}} {progress.rows:>11,} {printable(progress.what)[:_LABEL]:{_LABEL}}"
        stream.write("\r" + (" " * len(told) + "\r" if done else told))
        stream.flush()

    return show


def _card_lines(card: BusinessCard) -> Iterator[str]:
    yield from _title(card)
    if card.organisation is not None and card.contact is not None:
        yield from _fact("for", card.organisation.name)
    for held in card.positions:
        yield from _fact("position", _position(held))
    yield from _fact("phones", ", ".join(card.phones))
    yield from _fact("e-mails", ", ".join(card.emails))
    yield from _fact("address", _address(card.address))
    yield from _fact("status", f"{card.status} account" if card.status else "")
    yield from _fact("looked after by", _responsible(card.key_account_manager))
    yield from _fact("deputy", _responsible(card.deputy))
    for held in card.special_contacts:
        yield from _fact(held.role or "", f"{held.contact_name} ({', '.join(held.phones) or 'no phone'})")
    if (last := card.last_contact) is not None:
        by = f" by {last.by.name}" if last.by else ""
        whom = f" with {last.contact.name}" if last.contact else ""
        yield from _fact("last contact", f"{last.at:%d %b %Y}: {last.kind}{by}{whom}")
    if (promised := card.next_follow_up) is not None:
        yield from _fact("follow up", f"{promised.follow_up_on}: {promised.subject or promised.kind}")
    yield from _note_lines(card.notes)
    for match in card.others:
        yield from _fact("or else", match.name)


def _title(card: BusinessCard) -> Iterator[str]:
    number = f"  ({card.number})" if card.number else ""
    yield from wrapped(f"{printable(card.name)}{'  [VIP]' if card.vip else ''}{printable(number)}", "")
    yield "=" * min(WIDTH, len(card.name) + (7 if card.vip else 0))


def _note_lines(notes: Notes) -> Iterator[str]:
    yield f"notes in {printable(notes.context)}:" if notes else f"no notes in {printable(notes.context)}"
    for note in notes:
        yield from wrapped(f"{note.severity.name:8}{printable(note.text)}", " " * 10, "  ")
        yield from wrapped(f"({printable(note.why)})", " " * 10, " " * 10)


def _fact(label: str, value: str) -> Iterator[str]:
    if value:
        yield from wrapped(f"{printable(label):{_LABEL}} {printable(value)}", " " * (_LABEL + 1))


def wrapped(text: str, hanging: str, first: str = "") -> list[str]:
    """Break a paragraph at the terminal's width, with an indent for the first and for the following lines."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=hanging, break_on_hyphens=False) or [""]


def _position(held: Held) -> str:
    return f"{held.title or held.role or 'contact'} at {held.organisation_name}"


def _address(address: Address | None) -> str:
    if address is None:
        return ""
    town = " ".join(part for part in (address.postcode, address.town) if part)
    return ", ".join(part for part in (*address.lines, town, address.country) if part)


def _responsible(found: Responsible | None) -> str:
    return "" if found is None else f"{found.user.name} ({found.why})"
