"""The floor: a hand-written set intersection, for a check and for a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def prepare(
    members: dict[str, set[str]], readers: dict[str, set[str]]
) -> tuple[Callable[[str, str], bool], Callable[[str], list[str]]]:
    """Return a check and a list over principals of users and readers of accounts."""

    def check(user: str, account: str) -> bool:
        return not members[user].isdisjoint(readers[account])

    def listing(user: str) -> list[str]:
        mine = members[user]
        return [account for account, allowed in readers.items() if not mine.isdisjoint(allowed)]

    return check, listing


def principals(user: str, units: Iterable[str]) -> set[str]:
    """Return what a user answers to."""
    return {f"user:{user}", "everyone", *(f"unit:{unit}" for unit in units)}
