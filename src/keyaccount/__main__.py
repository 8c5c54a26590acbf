"""The command line: `python -m keyaccount demo`, `load`, `dump`, `check`, `card`, `caller`, `health-check`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from keyaccount.access import AccessPolicy
from keyaccount.book import Book, open
from keyaccount.cards import BusinessCard
from keyaccount.demonstration import demo
from keyaccount.desk import Desk
from keyaccount.dumps import Dump
from keyaccount.errors import KeyAccountError, ValidationError
from keyaccount.exchange import Progress
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Right
from keyaccount.storage import Finding
from keyaccount.terminal import bar, card_text, printable, wrapped

OK, FINDINGS, BAD_INPUT = 0, 1, 2
_KIND = 18

TOUR = """\
keyaccount: the demo company, Monday 23 November 2026, half past nine.

1. The phone rings: +49 89 1234-567. What Volker sees, who manages the account:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 1 where a check found something, or 2 for bad input, said on standard error."""
    given = _parser().parse_args(arguments)
    try:
        status, told = _answer(given)
    except KeyAccountError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return BAD_INPUT
    return status if _say(told) else BAD_INPUT


def _answer(given: argparse.Namespace) -> tuple[int, str]:
    """Return the exit status of a command and what it prints."""
    if given.command == "demo":
        return OK, _tour()
    if given.command == "check":
        return _check(given.file, as_json=given.json)
    if given.command in ("load", "dump"):
        return OK, _exchanged(given)
    with _book(given.file, _settings(given)) as book:
        # a user that is the empty text is one that nobody is, and no trusted desk: a shell variable may be unset
        desk = book.trusted("command line") if given.user is None else book.desk(given.user)
        if given.command == "health-check":
            return OK, _health_check(desk, given.on, as_json=given.json)
        card = _card(desk, given)
    if given.json:
        return OK, _json(card.to_dict() if card else None)
    return OK, card_text(card) if card else "nobody is known under this number\n"


def _say(text: str) -> bool:
    """Print, in what the terminal or file can hold; say whether that went well.

    A reader that has seen enough (`| head`) is no failure.
    """
    stream = sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _let_go()
    except OSError as error:
        _let_go()
        sys.stderr.write(f"the answer cannot be written: {error.strerror or type(error).__name__}\n")
        return False
    return True


def _let_go() -> None:
    """Send what is still to be written to nowhere, so that the interpreter does not fail over it as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _json(told: object) -> str:
    return json.dumps(told, ensure_ascii=True, indent=2) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m keyaccount", description="Who is this, and what must I know?")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="show the main jobs on the demo company")
    load = commands.add_parser("load", help="read a folder that was dumped into a file, which is made if missing")
    load.add_argument("folder", metavar="FOLDER")
    load.add_argument("file", metavar="FILE")
    dump = commands.add_parser("dump", help="write a file's records to a folder of text files")
    dump.add_argument("file", metavar="FILE", help='"demo" for the demo company')
    dump.add_argument("folder", metavar="FOLDER")
    dump.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    dump.add_argument("--overwrite", action="store_true", help="replace an earlier dump in the folder")
    for command in (load, dump):
        command.add_argument("--json", action="store_true", help="the counts as JSON")
    caller = commands.add_parser("caller", help="say who is calling")
    caller.add_argument("file", metavar="FILE", help='"demo" for the demo company')
    caller.add_argument("number", metavar="NUMBER")
    card = commands.add_parser("card", help="show a business card")
    card.add_argument("file", metavar="FILE", help='"demo" for the demo company')
    card.add_argument("--contact", metavar="ID")
    card.add_argument("--organisation", metavar="ID")
    card.add_argument("--context", metavar="CONTEXT", default="crm")
    check = commands.add_parser("check", help="look for damage, edits and lost history")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--json", action="store_true", help="the same facts as JSON")
    health = commands.add_parser("health-check", help="say how each account does, and what is to be done")
    health.add_argument("file", metavar="FILE", help='"demo" for the demo company')
    health.add_argument("--on", metavar="DAY", help="the day, as 2026-11-21; today without it")
    for command in (caller, card, health):
        command.add_argument("--user", metavar="ID", help="as this user sees it; without it, everything")
        command.add_argument("--closed", action="store_true", help="nobody reads by default; else everybody does")
        command.add_argument("--region", metavar="CC", help="the country of national phone numbers, as DE")
        command.add_argument("--zone", metavar="ZONE", help="the time zone of its days, as Europe/Berlin; else UTC")
        command.add_argument("--json", action="store_true", help="the same facts as JSON")
    return parser


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    """Return what a file does not keep: how its host opens it."""
    told = {"region": given.region, "zone": given.zone, "policy": AccessPolicy(default=None) if given.closed else None}
    return {name: value for name, value in told.items() if value is not None}


def _book(file: str, settings: Mapping[str, Any] | None = None) -> Book:
    if file == "demo":
        if settings:
            raise ValidationError.of("command line", "FILE", file, "is the demo company, which has settings of its own")
        return demo()
    if not os.path.isfile(file):  # noqa: PTH113 - a name that is too long is no file, and no error
        raise ValidationError.of("command line", "FILE", file, 'is no file; "demo" is the demo company')
    return open(file, **settings or {})


def _check(file: str, *, as_json: bool) -> tuple[int, str]:
    with _book(file) as book:
        findings = book.check()
    told = _json(findings.to_dict()) if as_json else "".join(map(_finding, findings))
    return FINDINGS if findings else OK, told


def _finding(found: Finding) -> str:
    return "\n".join(wrapped(printable(f"{found.kind} {found.id}: {found.what}"), "  ")) + "\n"


def _exchanged(given: argparse.Namespace) -> str:
    """Load or dump, with a bar on a terminal, and say how many records there were of each kind."""
    told = bar(sys.stderr) if sys.stderr.isatty() else None
    if given.command == "load":
        found = _loaded(given.folder, given.file, told)
    else:
        with _book(given.file) as book:
            office = book.trusted("command line")
            found = office.dump(given.folder, format=given.format, overwrite=given.overwrite, progress=told)
    if given.json:
        return _json(found.to_dict())
    counts = {**{kind: count for kind, count in found.counts.items() if count}, "in all": found.records}
    return "".join(f"{kind:{_KIND}} {count:>9,}\n" for kind, count in counts.items())


def _loaded(folder: str, file: str, progress: Callable[[Progress], None] | None) -> Dump:
    """Load a folder into a file; one that was made for it does not stay where the folder is refused."""
    made = not os.path.lexists(file)
    try:
        with open(file) as book:
            return book.trusted("command line").load(folder, progress=progress)
    except KeyAccountError:
        if made:
            Path(file).unlink(missing_ok=True)
        raise


def _health_check(desk: Desk, on: str | None, *, as_json: bool) -> str:
    from keyaccount.health_text import health_text

    try:
        day = None if on is None else date.fromisoformat(on)
    except ValueError:
        raise ValidationError.of("command line", "--on", on, "is no day such as 2026-11-21") from None
    found = desk.health_check(on=day)
    return _json(found.to_dict()) if as_json else health_text(found)


def _card(desk: Desk, given: argparse.Namespace) -> BusinessCard | None:
    if given.command == "caller":
        return desk.caller(given.number)
    return desk.card(contact=given.contact, organisation=given.organisation, context=given.context)


def _tour() -> str:
    with demo() as book:
        volker, carla = book.desk("volker"), book.desk("carla")
        called = volker.caller("+49 89 1234-567")
        nimbus = "+49 40 555 0101"
        seen = {desk: desk.caller(nimbus) for desk in (volker, carla)}
        notes = carla.notes(organisation="acme-at", context="delivery")
        parts = [
            TOUR,
            card_text(called) if called else "",
            f"\n2. Nimbus Biotech is shielded. {nimbus} calls:\n",
            *(f"   {desk.user_id}: {card.name if card else 'nobody is known'}\n" for desk, card in seen.items()),
            f"   carla counts {carla.count(Organisation)} accounts, volker {volker.count(Organisation)}.\n",
            "\n3. Carla is about to ship to ACME Austria:\n",
            f"   must stop: {notes.must_stop}; {notes[0].text}\n   ({notes[0].why})\n",
            "\n4. Why may Volker, and may Carla, change ACME AG?\n",
            *(
                f"{line}\n"
                for desk in (volker, carla)
                for line in wrapped(str(desk.may("acme", Right.CHANGE)), " " * 5, " " * 3)
            ),
        ]
        return "".join(parts)


if __name__ == "__main__":
    sys.exit(main())
