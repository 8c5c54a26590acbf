"""One of several processes at one server. Arguments: address, schema, its number, how often; it prints JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import sqlalchemy as sa

import keyaccount as ka
from keyaccount.sql import SQLStorage
from keyaccount.values import FrozenMap


def mixed(office: ka.Desk, number: int, times: int) -> dict[str, Any]:
    """Count up one record, make others and many at once, again after each conflict or refusal; tell what was said."""
    told: dict[str, Any] = {"acknowledged": 0, "conflicts": 0, "others": 0, "busy": 0, "made": []}
    while told["acknowledged"] < times:
        step = f"w{number}-{told['acknowledged']}"
        counter = office.get(ka.Organisation, "counter")
        try:
            with office.transaction():
                office.put(attrs.evolve(counter, extra=FrozenMap({"count": counter.extra["count"] + 1})))
                office.put(ka.Organisation(step, name="x", phones=("+49 89 1234-0",)))
                if told["acknowledged"] == 1:
                    office.put_many(ka.Contact(f"{step}-{n}", name="c") for n in range(60))
        except ka.ConflictError as error:
            named = (error.kind, error.id, error.expected) == ("Organisation", "counter", counter.version)
            told["conflicts" if named else "others"] += 1
        except ka.StorageUnavailable:
            told["busy"] += 1
        else:
            told["acknowledged"] += 1
            told["made"].append(step)
    return told


if __name__ == "__main__":
    address, schema, number, times = sys.argv[1:]
    book = ka.Book(SQLStorage(sa.create_engine(address), schema=schema))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(json.dumps(mixed(book.trusted(f"worker {number}"), int(number), int(times))))
