"""The rule of access rights as Cedar policies: the organogram is entity parents, days and substitutions are groups.

A right on an account is membership in one of its groups of holders; a claim puts its principal into one. Nothing of
`keyaccount` is imported here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import cedarpy

from access.tiny_model import CHANGE, DEPUTY, MANAGER, READ, RIGHTS, Company

POLICIES = cedarpy.PolicySet.from_str("""
forbid (principal, action, resource) unless { principal.active };

permit (principal, action == Action::"1", resource) when { !resource.private && principal in resource.readers };
permit (principal, action == Action::"2", resource) when { !resource.private && principal in resource.changers };
permit (principal, action == Action::"3", resource) when { !resource.private && principal in resource.administrators };
permit (principal in Group::"stewards", action, resource) unless { resource.private };

permit (principal, action, resource) when { resource.private && principal in resource.managers };
permit (principal, action == Action::"1", resource)
when { resource.private && resource.deputised && principal in resource.reading_deputies };
permit (principal, action == Action::"2", resource)
when { resource.private && resource.deputised && principal in resource.changing_deputies };
permit (principal in Group::"stewards", action == Action::"1", resource)
when { resource.private && principal in resource.opened };
""")

Name: TypeAlias = tuple[str, str]
"""An entity: its type and its id."""

Graph: TypeAlias = dict[Name, set[Name]]
"""What is a member of what."""

Question: TypeAlias = tuple[str, str, int]
"""A user, an account, a right."""

EVERYONE = ("Group", "everyone")
STEWARDS = ("Group", "stewards")


def allowed(company: Company, questions: Iterable[Question]) -> list[bool]:
    """Ask Cedar a batch of questions about one company."""
    requests = [
        {"principal": _name("User", user), "action": _name("Action", str(right)), "resource": _name("Account", account)}
        for user, account, right in questions
    ]
    answers = cedarpy.is_authorized_batch(requests, POLICIES, list(_entities(company)))
    for answer in answers:
        assert not answer.diagnostics.errors, answer.diagnostics.errors
    return [answer.allowed for answer in answers]


def _name(type: str, id: str) -> dict[str, str]:
    return {"type": type, "id": id}


def _entities(company: Company) -> Iterator[dict[str, Any]]:
    """Yield every entity with its parents and attributes, as Cedar reads them."""
    graph = _graph(company)
    attributes = {("User", user.id): {"active": user.active} for user in company.users} | _accounts(company)
    for name in {*graph, *attributes, *(parent for parents in graph.values() for parent in parents)}:
        parents = [_name(*parent) for parent in sorted(graph.get(name, ()))]
        yield {"uid": _name(*name), "attrs": attributes.get(name, {}), "parents": parents}


def _accounts(company: Company) -> dict[Name, dict[str, Any]]:
    """Return the attributes of every account: its shield and its groups."""
    groups = {
        "readers": "Holder/1",
        "changers": "Holder/2",
        "administrators": "Holder/3",
        "managers": "Manager",
        "reading_deputies": "Deputy/1",
        "changing_deputies": "Deputy/2",
        "opened": "Opened",
    }
    managed = {a.organisation for a in _in_force(company) if a.role == MANAGER and a.user in _active(company)}
    return {
        ("Account", account.id): {
            "private": account.private,
            "deputised": company.policy.deputies_see_private and account.id in managed,
            **{attribute: {"__entity": _name("Group", f"{kind}/{account.id}")} for attribute, kind in groups.items()},
        }
        for account in company.organisations
    }


def _graph(company: Company) -> Graph:
    """Arrange who and what belongs to which group."""
    graph: Graph = defaultdict(set)
    for member, group in (*_organogram(company), *_structure(company), *_claims(company), *_stand_ins(company)):
        graph[member].add(group)
    return graph


def _organogram(company: Company) -> Iterator[tuple[Name, Name]]:
    """Users belong to units and to everyone, units to units; the heads of a unit are above those of its sub-units."""
    for user in company.users:
        yield ("User", user.id), EVERYONE
        yield from ((("User", user.id), ("Unit", unit)) for unit in user.units)
        if user.active:
            yield from ((("Head", unit), ("Overseer", user.id)) for unit in user.units)
    yield from ((("User", id), STEWARDS) for id in company.policy.stewards)
    for unit in company.units:
        if unit.parent is not None:
            yield ("Unit", unit.id), ("Unit", unit.parent)
            yield ("Head", unit.parent), ("Head", unit.id)
        if unit.head is not None:
            yield ("User", unit.head), ("Head", unit.id)


def _structure(company: Company) -> Iterator[tuple[Name, Name]]:
    """Let a higher right include the lower ones, and who covers an account cover its subsidiaries."""
    for account in company.organisations:
        for right in RIGHTS:
            holders, covering = _group("Holder", right, account.id), _group("Covering", right, account.id)
            yield covering, holders
            if right > READ:
                yield holders, _group("Holder", right - 1, account.id)
            if account.parent is not None:
                yield _group("Covering", right, account.parent), covering
        yield _group("Deputy", CHANGE, account.id), _group("Deputy", READ, account.id)
        if company.policy.default is not None:
            yield EVERYONE, _group("Holder", company.policy.default, account.id)


def _claims(company: Company) -> Iterator[tuple[Name, Name]]:
    """Everything in force puts its principal into a group of the account."""
    policy = company.policy
    for a in _in_force(company):
        group, right = "Covering" if a.covers else "Holder", policy.roles[a.role]
        yield ("User", a.user), _group(group, right, a.organisation)
        yield ("Substitute", a.user), _group(group, min(right, CHANGE), a.organisation)
        if a.role == MANAGER:
            yield ("User", a.user), ("Group", f"Manager/{a.organisation}")
            yield ("Substitute", a.user), _group("Deputy", CHANGE, a.organisation)
            if policy.oversight is not None:
                yield ("Overseer", a.user), _group(group, policy.oversight, a.organisation)
        if a.role == DEPUTY:
            yield ("User", a.user), _group("Deputy", right, a.organisation)
    for g in company.grants:
        if g.span.has(company.now.date()):
            principal = EVERYONE if g.principal is None else (g.kind.title(), g.principal)
            yield principal, _group("Covering" if g.covers else "Holder", g.right, g.organisation)


def _stand_ins(company: Company) -> Iterator[tuple[Name, Name]]:
    """Whoever stands in belongs to the absent one's substitutes; who broke the glass, to those it is open for."""
    for s in company.substitutions:
        if s.span.has(company.now.date()) and s.absent in _active(company):
            yield ("User", s.deputy), ("Substitute", s.absent)
    for glass in company.glasses:
        if glass.opens <= company.now < glass.closes:
            yield ("User", glass.user), ("Group", f"Opened/{glass.organisation}")


def _group(kind: str, right: int, account: str) -> Name:
    return "Group", f"{kind}/{right}/{account}"


def _in_force(company: Company) -> list[Any]:
    return [a for a in company.assignments if a.span.has(company.now.date())]


def _active(company: Company) -> set[str]:
    return {user.id for user in company.users if user.active}
