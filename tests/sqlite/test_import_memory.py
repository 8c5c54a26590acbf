"""A long export is read row by row: memory does not grow with the file."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

ROWS = 100_000
SETTLED = 10_000
PER_ROW = 60
"""Bytes that may be added for each row: what is kept of each would need more."""

CHILD = """
import json, resource, sys
from pathlib import Path
import keyaccount as ka

def peak():
    try:  # what this program had, and not what it was started from had
        told = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in told if line.startswith("VmHWM")) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

told = []
def progress(one):
    told.append((one.rows, one.done, one.total, peak()))

path, database = sys.argv[1:]
columns = {"Belegnr": ("id", "number"), "Kunde": "organisation_id", "Datum": "issued_on", "Netto": "net"}
with ka.open(database) as book:
    desk = book.trusted("import")
    desk.put_many(ka.Organisation(f"K{n}", name=f"K {n}") for n in range(20))
    done = desk.read_csv(ka.Invoice, path, columns=columns, fixed={"currency": "EUR"}, progress=progress)
    count = desk.count(ka.Invoice)
    sample = desk.get(ka.Invoice, "R0054321").to_dict()
print(json.dumps({"told": told, "written": done.written, "found": dict(done.found), "count": count, "one": sample}))
"""


def write(path: Path) -> None:
    """Write an export with semicolons, Windows-1252, decimal commas and German dates."""
    with path.open("w", encoding="cp1252", newline="") as file:
        file.write("Belegnr;Kunde;Datum;Netto;Bemerkung für uns\r\n")
        for n in range(ROWS):
            on = date(2024, 1, 1) + timedelta(days=n % 700)
            file.write(f"R{n:07d};K{n % 20};{on:%d.%m.%Y};{n // 100},{n % 100:02d};Lieferung nach Köln\r\n")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """From ten thousand rows to a hundred thousand, memory hardly rises; every row arrives, and progress is told."""
    write(tmp_path / "export.csv")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "export.csv"), str(tmp_path / "book.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["found"] == {"encoding": "cp1252", "separator": ";", "decimal": ",", "dates": "%d.%m.%Y"}
    assert told["written"] == told["count"] == ROWS
    assert told["one"]["net"] == {"amount": "543.21", "currency": "EUR"}
    assert told["one"]["issued_on"] == str(date(2024, 1, 1) + timedelta(days=54_321 % 700))
    rows, bytes_read, totals, peaks = zip(*told["told"], strict=True)
    assert rows == tuple(range(1_000, ROWS + 1, 1_000))
    assert bytes_read[-1] == totals[-1] == (tmp_path / "export.csv").stat().st_size
    grown = peaks[-1] - peaks[rows.index(SETTLED)]
    assert grown < PER_ROW * (ROWS - SETTLED)
