"""The loader whose memory is measured: it writes a stream of so many records and tells how far its peak rose."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import keyaccount as ka


def products(count: int) -> Iterator[ka.Product]:
    """Yield so many records, none of which is kept here."""
    return (ka.Product(f"product-{n:09d}", name=f"Product {n}") for n in range(count))


def peak() -> int:
    """Return the most memory this process has had, in bytes; macOS counts in bytes, others in kilobytes."""
    try:  # what this program had, and not what it was started from had
        told = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in told if line.startswith("VmHWM")) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(path: str, count: int) -> None:
    """Load a little, so that everything is imported and every cache is full; then the stream."""
    with ka.open(path) as book:
        office = book.trusted("loader")
        office.put_many(ka.Product(f"warm-{n}", name=f"Warm {n}") for n in range(3_000))
        before = peak()
        office.put_many(products(count))
        sys.stdout.write(str(peak() - before))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
