"""What a desk is asked with, checked: ids, days, regions, names of fields."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from keyaccount.errors import ValidationError

LIST_LIMIT = 1_000_000


def ids_of(name: str, given: object) -> list[str]:
    """Return the ids of a host's own list; refuse what is none."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ValidationError.of("question", name, given, "must be an iterable of ids")
    ids = list(islice(given, LIST_LIMIT + 1))
    if len(ids) > LIST_LIMIT:
        raise ValidationError.of("question", name, f"more than {LIST_LIMIT} ids", "ask for fewer at a time")
    for id in ids:
        if not isinstance(id, str):
            raise ValidationError.of("question", name, id, "must be an id (text)")
    return ids


def check_region(region: object) -> None:
    """Refuse what is no region that phone numbers are national in."""
    if region is None:
        return
    if not isinstance(region, str) or len(region) != 2 or not region.isascii() or not region.isalpha():  # noqa: PLR2004
        raise ValidationError.of("question", "region", region, "is no ISO 3166 alpha-2 code such as 'DE'")
