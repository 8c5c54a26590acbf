"""The same rights in Cedar, through cedarpy: readers as a set of principals on the resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cedarpy

POLICIES = """
permit (principal, action == Action::"read", resource)
when { principal in resource.readers };
"""


def prepare(
    members: dict[str, set[str]], readers: dict[str, set[str]]
) -> tuple[Callable[[str, str], bool], Callable[[str], list[str]]]:
    """Return a check (with the entities it needs) and a list (one batch)."""
    groups = {principal for principals in members.values() for principal in principals}
    base: list[dict[str, Any]] = [{"uid": _group(name), "attrs": {}, "parents": []} for name in sorted(groups)]
    users = {u: {"uid": _user(u), "attrs": {}, "parents": [_group(p) for p in sorted(ps)]} for u, ps in members.items()}
    accounts = {
        account: {
            "uid": {"type": "Account", "id": account},
            "attrs": {"readers": [{"__entity": _group(p)} for p in sorted(allowed)]},
            "parents": [],
        }
        for account, allowed in readers.items()
    }

    def request(user: str, account: str) -> dict[str, Any]:
        return {
            "principal": f'User::"{user}"',
            "action": 'Action::"read"',
            "resource": f'Account::"{account}"',
            "context": {},
        }

    def check(user: str, account: str) -> bool:
        groups_of: list[dict[Any, Any]] = [{"uid": p, "attrs": {}, "parents": []} for p in users[user]["parents"]]
        entities: list[dict[Any, Any]] = [users[user], accounts[account], *groups_of]
        return bool(cedarpy.is_authorized(request(user, account), POLICIES, entities).allowed)

    def listing(user: str) -> list[str]:
        entities = [*base, users[user], *accounts.values()]
        answers = cedarpy.is_authorized_batch([request(user, a) for a in readers], POLICIES, entities)
        return [account for account, answer in zip(readers, answers, strict=True) if answer.allowed]

    return check, listing


def _group(name: str) -> dict[str, str]:
    return {"type": "Group", "id": name}


def _user(name: str) -> dict[str, str]:
    return {"type": "User", "id": name}
