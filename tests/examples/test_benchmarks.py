"""The benchmarks run, and what they compare says the same on both sides: at sizes that tell nothing of time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
DESKS = "health,growth,average,order,concentration,days,overdue,records,statements"


@pytest.mark.parametrize(
    "command",
    [
        "frames.py --size 2000",
        "load_invoices.py --rows 500",
        f"monday.py --sizes 1000 --only {DESKS}",
        "portfolio.py --sizes 400 --file-size 400",
        "adapters.py --organisations 50 --invoices 100 --only file",
        "storage.py --sizes 100 --only get,list,count,totals",
    ],
)
def test_it_runs(command: str, tmp_path: Path) -> None:
    """Each asserts that both sides answer alike before it measures, and writes its figures."""
    file, *given = command.split()
    figures = tmp_path / "figures.json"
    run = [sys.executable, str(FOLDER / file), *given, "--json", str(figures)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert figures.exists()
