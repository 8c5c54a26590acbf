"""The negative control of the two-world runner: it catches every leak that is sown into the source.

Everyday every third is sown; with KEYACCOUNT_LEAKS=all, all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worlds.leaks import LEAKS, SOURCE, Leak, sow

SECONDS = 240
WORLDS = 300
TESTS = Path(__file__).parents[1]
SOWN = LEAKS if os.environ.get("KEYACCOUNT_LEAKS") == "all" else LEAKS[::3]


def run_alone(source: Path, worlds: int) -> tuple[int, str]:
    """Run the two-world runner by itself on a copy of the source; return its status and what it said."""
    answer = subprocess.run(
        [sys.executable, "-B", "-m", "worlds.two_worlds", "--worlds", str(worlds), "--seconds", str(SECONDS)],
        env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{TESTS}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=SECONDS * 3,
    )
    return answer.returncode, answer.stdout + answer.stderr


def test_the_source_as_it_is_passes(tmp_path: Path) -> None:
    """An unchanged copy of the source runs without a difference, so that what is caught below is the leak."""
    status, said = run_alone(sow(None, tmp_path), 30)
    assert status == 0, said[-4000:]


@pytest.mark.parametrize("leak", SOWN, ids=lambda leak: leak.name)
def test_a_seeded_leak_is_caught(leak: Leak, tmp_path: Path) -> None:
    """The two-world runner alone finds every seeded leak."""
    status, said = run_alone(sow(leak, tmp_path), WORLDS)
    assert status == 1, f"{leak.name}: nobody noticed that {leak.promise!r} is broken\n{said[-2000:]}"
    assert "the two worlds differ" in said, said[-2000:]


def test_there_are_enough_leaks() -> None:
    """At least twenty leaks are sown, each under its own name."""
    assert len({leak.name for leak in LEAKS}) == len(LEAKS) >= 20


def test_every_leak_has_its_place() -> None:
    """The text of each leak, also of those that are not sown today, stands in the source exactly once."""
    source = {leak.file: (SOURCE / "keyaccount" / leak.file).read_text(encoding="utf-8") for leak in LEAKS}
    assert [leak.name for leak in LEAKS if source[leak.file].count(leak.old) != 1] == []
