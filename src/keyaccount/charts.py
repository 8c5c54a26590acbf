"""The customer's people by who reports to whom: a pure rule over positions and contacts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from keyaccount.model.contacts import Contact, Position
from keyaccount.results import Result, Rows
from keyaccount.values import fold


@attrs.frozen(repr=False)
class Node(Result):
    """One position in a chart: who, as what, under which position; `depth` is 0 at the top."""

    position_id: str
    contact_id: str
    name: str
    title: str | None
    department: str | None
    role: str | None
    vip: bool
    main: bool
    employed: bool
    reports_to_id: str | None
    depth: int


@attrs.frozen(repr=False)
class OrgChart(Rows[Node]):
    """An organisation's people by reports-to: superiors before those who report to them, then by name."""

    organisation_id: str
    organisation_name: str
    nodes: tuple[Node, ...]

    def _rows(self) -> tuple[Node, ...]:
        return self.nodes

    def mermaid(self) -> str:
        """Return the chart as Mermaid text: special contacts with their role, VIPs with a star."""
        names = {node.position_id: f"n{index}" for index, node in enumerate(self.nodes)}
        lines = ["flowchart TD"]
        lines += [f'    {names[node.position_id]}["{_label(node)}"]' for node in self.nodes]
        lines += [
            f"    {names[node.reports_to_id]} --> {names[node.position_id]}"
            for node in self.nodes
            if node.reports_to_id is not None
        ]
        return "\n".join(lines) + "\n"


def chart(
    organisation_id: str, organisation_name: str, positions: Iterable[Position], contacts: Mapping[str, Contact]
) -> OrgChart:
    """Arrange positions by who reports to whom; whoever reports to nobody among them stands at the top."""
    held = {position.id: position for position in positions if position.contact_id in contacts}
    under: dict[str | None, list[Position]] = {}
    for position in held.values():
        under.setdefault(position.reports_to_id if position.reports_to_id in held else None, []).append(position)
    return OrgChart(organisation_id, organisation_name, tuple(_nodes(under, contacts)))


def _nodes(under: Mapping[str | None, list[Position]], contacts: Mapping[str, Contact]) -> Iterator[Node]:
    def order(position: Position) -> tuple[str, str]:
        return fold(contacts[position.contact_id].name), position.id

    waiting = [(position, 0) for position in sorted(under.get(None, ()), key=order, reverse=True)]
    while waiting:
        position, depth = waiting.pop()
        contact = contacts[position.contact_id]
        yield Node(
            position_id=position.id,
            contact_id=contact.id,
            name=contact.name,
            title=position.title,
            department=position.department,
            role=position.role,
            vip=contact.vip or position.vip,
            main=position.main,
            employed=position.employed,
            reports_to_id=position.reports_to_id if depth else None,
            depth=depth,
        )
        waiting += [(below, depth + 1) for below in sorted(under.get(position.id, ()), key=order, reverse=True)]


def _label(node: Node) -> str:
    words = [node.name + (" ★" if node.vip else ""), node.title, node.role and f"({node.role})"]
    return "<br/>".join(_quoted(word) for word in words if word)


def _quoted(text: str) -> str:
    """Write text so that Mermaid reads nothing into it: everything but letters and digits by its number."""
    return "".join(c if c.isalnum() or c in " .-★" else f"#{ord(c)};" for c in text)
