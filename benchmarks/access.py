"""One decision, and a list of what may be read: the rule beside a set intersection, casbin and Cedar, in one run."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from baselines import access_sets

import keyaccount as ka
from keyaccount import access
from keyaccount.storage.memory import MemoryStorage

ACCOUNTS, USERS, UNITS, ROUNDS = 1_000, 50, 20, 7


def company(seed: int = 1) -> tuple[ka.Book, dict[str, set[str]], dict[str, set[str]]]:
    """Make a closed company in a book, and the same rights as plain sets: who belongs to what, who reads what."""
    dice = random.Random(seed)  # noqa: S311 - a world for measuring, no secret
    book = ka.Book(MemoryStorage(), policy=ka.AccessPolicy(default=None))
    office = book.trusted("benchmark")
    units = [ka.Unit(f"u{n}", name=f"Unit {n}", parent_id=f"u{n // 3}" if n else None) for n in range(UNITS)]
    users = [ka.User(f"p{n}", name=f"P {n}", unit_ids=(f"u{dice.randrange(UNITS)}",)) for n in range(USERS)]
    office.put(*units, *users)
    parents = {unit.id: unit.parent_id for unit in units}
    members = {u.id: access_sets.principals(u.id, lineage(u.unit_ids[0], parents)) for u in users}
    readers: dict[str, set[str]] = {}
    records: list[ka.Organisation | ka.Assignment | ka.Grant] = []
    for n in range(ACCOUNTS):
        manager, unit = f"p{dice.randrange(USERS)}", f"u{dice.randrange(UNITS)}"
        records += [
            ka.Organisation(f"a{n}", name=f"Account {n:04d}"),
            ka.Assignment(f"m{n}", manager, f"a{n}"),
            ka.Grant(f"g{n}", f"a{n}", ka.unit(unit), ka.Right.READ),
        ]
        readers[f"a{n}"] = {f"user:{manager}", f"unit:{unit}"}
    office.put_many(records)
    return book, members, readers


def lineage(unit: str, parents: dict[str, str | None]) -> list[str]:
    """Return a unit and all above it."""
    found = []
    at: str | None = unit
    while at is not None:
        found.append(at)
        at = parents[at]
    return found


def median_us(call: Callable[[], object], times: int) -> float:
    """Return the median of some rounds, in microseconds a call."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - start) / times * 1e6)
    return statistics.median(rounds)


def candidates(
    book: ka.Book, members: dict[str, set[str]], readers: dict[str, set[str]]
) -> dict[str, tuple[Callable[[str, str], bool], Callable[[str], list[str]]]]:
    """Return a check and a list for each that is compared; a package that is not installed is left out."""
    found = {"set intersection": access_sets.prepare(members, readers), "keyaccount": ours(book, readers)}
    for name, module in (("casbin", "access_casbin"), ("Cedar (cedarpy)", "access_cedar")):
        try:
            found[name] = getattr(__import__(f"baselines.{module}"), module).prepare(members, readers)
        except ImportError:
            print(f"{name}: not installed, left out")
    return found


def ours(book: ka.Book, readers: dict[str, set[str]]) -> tuple[Callable[[str, str], bool], Callable[[str], list[str]]]:
    """Return the rule itself, with readers and claims ready, and the whole call that lists."""
    office = book.trusted("benchmark")
    organisations = {o.id: o for o in office.find(ka.Organisation)}
    claims: dict[str, list[access.Claim]] = {account: [] for account in readers}
    for kind in (ka.Assignment, ka.Grant):
        for claim in access.claims(list(office.find(kind))):
            claims[claim.organisation_id].append(claim)
    units, policy, now = list(office.find(ka.Unit)), book.policy, book.now()
    ready = {user.id: access.reader(user, units, policy, now) for user in office.find(ka.User)}
    desks = {user: book.desk(user) for user in ready}

    holds, read = access.holds, ka.Right.READ

    def check(user: str, account: str) -> bool:
        return holds(ready[user], organisations[account], claims[account], read)

    def listing(user: str) -> list[str]:
        return desks[user].readable_ids(readers)

    return check, listing


def main() -> None:
    """Measure, check that all agree, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    book, members, readers = company()
    compared = candidates(book, members, readers)
    asked = [(f"p{n % USERS}", f"a{n * 7 % ACCOUNTS}") for n in range(200)]
    answers = {
        name: ([check(*one) for one in asked], sorted(listing("p1"))) for name, (check, listing) in compared.items()
    }
    assert len({repr(answer) for answer in answers.values()}) == 1, "they do not agree"
    granted = [pair for pair, allowed in zip(asked, answers["set intersection"][0], strict=True) if allowed]
    figures = {}
    for name, (check, listing) in compared.items():
        one = median_us(lambda check=check: [check(*pair) for pair in asked], 3) / len(asked)  # type: ignore[misc]
        yes = median_us(lambda check=check: [check(*pair) for pair in granted], 3) / len(granted)  # type: ignore[misc]
        many = median_us(lambda listing=listing: listing("p1"), 3)  # type: ignore[misc]
        figures[name] = {"check_us": one, "yes_us": yes, "list_us": many}
    floor = figures["set intersection"]
    print(f"{'':20}{'one check':>12}{'ratio':>8}{'a yes':>12}{'ratio':>8}{f'list of {ACCOUNTS}':>16}")
    for name, row in figures.items():
        checks = "".join(f"{row[what]:9.2f} µs{row[what] / floor[what]:8.1f}" for what in ("check_us", "yes_us"))
        print(f"{name:20}{checks}{row['list_us'] / 1000:13.2f} ms")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
