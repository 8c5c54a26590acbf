"""An ERP's export of invoices into an SQLite file: rows a second and peak memory, beside `csv` and `sqlite3` alone.

The file has semicolons, Windows-1252, decimal commas and German dates, some sixty bytes a row. Each side runs in a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from baselines import load_sqlite

ACCOUNTS = 500
COLUMNS = {
    "Belegnr": ("id", "number"),
    "Kunde": "organisation_id",
    "Datum": "issued_on",
    "Fällig": "due_on",
    "Netto": "net",
    "Währung": "currency",
}


def write(path: Path, rows: int) -> None:
    """Write an export."""
    with path.open("w", encoding="cp1252", newline="") as file:
        file.write("Belegnr;Kunde;Datum;Fällig;Netto;Währung;Text\r\n")
        for n in range(rows):
            on = date(2024, 1, 1) + timedelta(days=n * 7 % 700)
            cents = n * 7919 % 10_000_00
            file.write(f"R{n:07d};K{n % ACCOUNTS};{on:%d.%m.%Y};{on + timedelta(days=30):%d.%m.%Y};")
            file.write(f"{cents // 100},{cents % 100:02d};EUR;Müller & Söhne {n % 97}\r\n")


def ours(path: Path, database: Path) -> int:
    """Load with the library, showing how far it is."""
    import keyaccount as ka

    def show(told: ka.Progress) -> None:
        if told.rows % 50_000 == 0 and sys.stderr.isatty():
            sys.stderr.write(f"\r{told.rows:,} rows, {100 * told.done // told.total} % ")

    with ka.open(database) as book:
        office = book.trusted("benchmark")
        office.put_many(ka.Organisation(f"K{n}", name=f"Customer {n}") for n in range(ACCOUNTS))
        return office.read_csv(ka.Invoice, path, columns=COLUMNS, progress=show).written


def alone(side: str, path: Path, folder: Path) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--file", str(path), "--database", str(folder / side)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - this very file
    told: dict[str, float] = json.loads(done.stdout)
    return told


def one_side(side: str, path: Path, database: Path) -> None:
    """Load, and print the figures."""
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    rows = (ours if side == "keyaccount" else load_sqlite.load)(path, database)
    figures = {"rows": rows, "seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    print(json.dumps({**figures, "peak_mb": peak(), "start_mb": before}))


def peak() -> float:
    """Return the most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Write the export, load it with both, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--database", type=Path)
    given = parser.parse_args()
    if given.side:
        one_side(given.side, given.file, given.database)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        write(path, given.rows)
        figures = {side: alone(side, path, Path(folder)) for side in ("csv and sqlite3", "keyaccount")}
        size = path.stat().st_size
    assert {row["rows"] for row in figures.values()} == {given.rows}, "they do not agree"
    floor = figures["csv and sqlite3"]["cpu"]
    print(f"{given.rows:,} invoices, {size / given.rows:.0f} bytes a row")
    print(f"{'':18}{'rows/s':>10}{'CPU s':>9}{'ratio':>8}{'peak memory':>14}{'of it grown':>14}")
    for side, row in figures.items():
        rate, grown = row["rows"] / row["seconds"], row["peak_mb"] - row["start_mb"]
        print(
            f"{side:18}{rate:10,.0f}{row['cpu']:9.1f}{row['cpu'] / floor:8.1f}{row['peak_mb']:11.0f} MB{grown:11.0f} MB"
        )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
