"""A portfolio need not be in memory: read account by account, its contracts are let go of, and ids are kept packed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CONTRACTS, EACH, HELD, MEGABYTES = 100_000, 4, 2_000, 20

PROGRAM = """
import gc, json, resource, sys
from datetime import date
import keyaccount as ka
from keyaccount import portfolio

COUNT, EACH, GROUPED = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "grouped"
YEAR, ON = ka.Period.year(2025), date(2026, 3, 1)
most = 0

def stream():
    '''Make the contracts one by one: each account has one a year, for 2023, 2024, ...; every third stops in 2025.'''
    global most
    for n in range(COUNT):
        account, year = divmod(n, EACH)
        if n % 50_000 == 49_999:
            most = max(most, sum(type(one) is ka.Contract for one in gc.get_objects()))
        start, end = date(2023 + year, 1, 1), date(2023 + year, 12, 31)
        if year == EACH - 1 and account % 3 == 0:
            continue
        yield ka.Contract(f"m{n}", f"a{account:06}", signed_on=start, starts_on=start, ends_on=end,
                          value=ka.Money(100, "EUR"))

def peak():
    '''Return the most memory this program had, in megabytes: not what it was started from had, where that is told.'''
    try:
        with open("/proc/self/status") as told:
            return next(int(line.split()[1]) for line in told if line.startswith("VmHWM")) // 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

ASKED = {
    "renewal_rate": lambda: portfolio.renewal_rate(stream(), YEAR, on=ON, grouped=GROUPED),
    "by value": lambda: portfolio.renewal_rate(stream(), YEAR, on=ON, measure="value", grouped=GROUPED),
}
before = peak()
figure = ASKED[sys.argv[4]]()
print(json.dumps({
    "sides": [str(figure.value), len(figure.records.numerator), len(figure.records.denominator)],
    "held": most,
    "megabytes": peak() - before,
}))
"""


def ran(contracts: int, how: str, metric: str) -> dict[str, object]:
    """Ask for a metric of a stream in a process of its own; tell it, how many contracts were held, and its memory."""
    command = [sys.executable, "-c", PROGRAM, str(contracts), str(EACH), how, metric]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, object] = json.loads(said)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by what POSIX tells")
@pytest.mark.parametrize(
    ("metric", "sides"),
    [
        ("renewal_rate", ["8333/12500", 16_666, 25_000]),
        ("by value", ["8333/12500", 16_666, 25_000]),
    ],
)
def test_contracts_stream_account_by_account(metric: str, sides: list[object]) -> None:
    """Of 100,000 contracts no more than a few are held at once, and memory grows by a few bytes for each.

    25,000 accounts have a contract due in 2025; all but every third (8,334, beginning with the first) renewed it.
    """
    found = ran(CONTRACTS, "grouped", metric)
    assert found["sides"] == sides
    assert int(str(found["held"])) < HELD
    assert int(str(found["megabytes"])) < MEGABYTES


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by what POSIX tells")
def test_the_count_of_what_is_held_can_fail() -> None:
    """What is not read account by account needs more memory, so that the bound above is one."""
    some = {how: ran(CONTRACTS, how, "renewal_rate") for how in ("grouped", "at once")}
    assert some["grouped"]["sides"] == some["at once"]["sides"]
    assert int(str(some["at once"]["megabytes"])) > MEGABYTES
