"""The same rights in casbin: one policy line for each principal and account, groups for the organogram."""

from __future__ import annotations

from collections.abc import Callable

import casbin
from casbin.model import FastModel

MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""


def prepare(
    members: dict[str, set[str]], readers: dict[str, set[str]]
) -> tuple[Callable[[str, str], bool], Callable[[str], list[str]]]:
    """Return a check and a list, by casbin's fast enforcer, keyed by action and account."""
    model = FastModel([2, 1])
    model.load_model_from_text(MODEL)
    enforcer = casbin.FastEnforcer(model, cache_key_order=[2, 1])
    for user, principals in members.items():
        for principal in principals - {f"user:{user}"}:
            enforcer.add_grouping_policy(f"user:{user}", principal)
    for account, allowed in readers.items():
        for principal in allowed:
            enforcer.add_policy(principal, account, "read")

    def check(user: str, account: str) -> bool:
        return bool(enforcer.enforce(f"user:{user}", account, "read"))

    def listing(user: str) -> list[str]:
        return [account for account in readers if check(user, account)]

    return check, listing
