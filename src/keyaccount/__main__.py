"""The command line: `python -m keyaccount demo`, `load`, `dump`, `check`, `card`, `caller`, `health-check`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from keyaccount.book import Book, open
from keyaccount.cards import BusinessCard
from keyaccount.demonstration import demo
from keyaccount.desk import Desk
from keyaccount.dumps import Dump
from keyaccount.errors import KeyAccountError, ValidationError
from keyaccount.exchange import Progress
from keyaccount.model.organisations import Organisation
from keyaccount.model.rights import Right
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
        if given.command == "demo":
            sys.stdout.write(_tour())
            return OK
        if given.command == "check":
            return _check(given.file, as_json=given.json)
        if given.command in ("load", "dump"):
            return _exchanged(given)
        with _book(given.file) as book:
            desk = book.desk(given.user) if given.user else book.trusted("command line")
            if given.command == "health-check":
                return _health_check(desk, given.on, as_json=given.json)
            card = _card(desk, given)
    except KeyAccountError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return BAD_INPUT
    if given.json:
        sys.stdout.write(json.dumps(card.to_dict() if card else None, ensure_ascii=True, indent=2) + "\n")
    else:
        sys.stdout.write(card_text(card) if card else "nobody is known under this number\n")
    return OK


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
        command.add_argument("--json", action="store_true", help="the same facts as JSON")
    return parser


def _book(file: str) -> Book:
    if file == "demo":
        return demo()
    if not Path(file).is_file():
        raise ValidationError.of("command line", "FILE", file, 'is no file; "demo" is the demo company')
    return open(file)


def _check(file: str, *, as_json: bool) -> int:
    with _book(file) as book:
        findings = book.check()
    if as_json:
        sys.stdout.write(json.dumps(findings.to_dict(), ensure_ascii=True, indent=2) + "\n")
    for found in () if as_json else findings:
        sys.stdout.write(printable(f"{found.kind} {found.id}: {found.what}") + "\n")
    return FINDINGS if findings else OK


def _exchanged(given: argparse.Namespace) -> int:
    """Load or dump, with a bar on a terminal, and say how many records there were of each kind."""
    told = bar(sys.stderr) if sys.stderr.isatty() else None
    if given.command == "load":
        found = _loaded(given.folder, given.file, told)
    else:
        with _book(given.file) as book:
            office = book.trusted("command line")
            found = office.dump(given.folder, format=given.format, overwrite=given.overwrite, progress=told)
    if given.json:
        sys.stdout.write(json.dumps(found.to_dict(), ensure_ascii=True, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{kind:{_KIND}} {count:>9,}\n" for kind, count in found.counts.items() if count)
        sys.stdout.write(f"{'in all':{_KIND}} {found.records:>9,}\n")
    return OK


def _loaded(folder: str, file: str, progress: Callable[[Progress], None] | None) -> Dump:
    """Load a folder into a file; one that was made for it does not stay where the folder is refused."""
    made = not Path(file).exists()
    try:
        with open(file) as book:
            return book.trusted("command line").load(folder, progress=progress)
    except KeyAccountError:
        if made:
            Path(file).unlink(missing_ok=True)
        raise


def _health_check(desk: Desk, on: str | None, *, as_json: bool) -> int:
    from keyaccount.health_text import health_text

    try:
        day = None if on is None else date.fromisoformat(on)
    except ValueError:
        raise ValidationError.of("command line", "--on", on, "is no day such as 2026-11-21") from None
    found = desk.health_check(on=day)
    told = json.dumps(found.to_dict(), ensure_ascii=True, indent=2) + "\n" if as_json else health_text(found)
    sys.stdout.write(told)
    return OK


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
