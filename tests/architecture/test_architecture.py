"""The direction of the house: each module imports only what stands below it."""

from __future__ import annotations

import ast
import pathlib
import sys
from collections.abc import Iterator

import pytest

SOURCE = pathlib.Path(__file__).parents[2] / "src" / "keyaccount"

# From the ground up; a module imports only from the floors below its own, or its own floor without a cycle.
FLOORS = [
    {"errors", "values", "spans", "phones", "cells", "files", "scratch", "pages", "_version"},
    {"results", "money", "calendars", "shapes", "evidence"},
    {"deadlines"},
    {"model"},
    {"catalogue"},
    {"access", "search", "responsible", "visibility", "charts", "succession", "contracts"},
    {"figures", "accounts", "questions", "ratios", "renewals"},
    {
        "renewal_rate",
        "retention",
        "movements",
        "expiring",
        "first_actions",
        "turnover",
        "revenue",
        "decline",
        "concentration",
    }
    | {
        "margins",
        "opportunities",
        "attention",
        "billing",
        "promises",
        "actions",
        "health_page",
        "health_rows",
        "portfolio",
        "health",
    },
    {"asking", "rows", "scope", "evaluator", "queries", "codec", "requests"},
    {"storage"},
    {"view"},
    {"gate", "gate_checks", "gate_drafts", "gate_rights", "gate_removal", "searching", "arguments"}
    | {"facts", "providers", "history", "merging", "reach", "rosters", "ledgers", "checkups", "replays"},
    {"sheets"},
    {"readings"},
    {"columns", "rejects", "tables", "details", "intake", "storing", "exchange", "dumps", "summing", "frames"},
    {"cards", "panel", "data_quality"},
    {"mailing"},
    {"areas", "desk", "found", "book", "sql", "demonstration", "terminal", "health_text"}
    | {"__main__", "__init__", "testing"},
]
RULES = {
    *("charts", "access", "visibility", "responsible", "phones", "spans", "calendars", "search"),
    *("deadlines", "succession", "contracts", "evidence", "figures", "accounts", "questions", "ratios"),
    *(
        "renewal_rate",
        "retention",
        "movements",
        "expiring",
        "first_actions",
        "turnover",
        "revenue",
        "decline",
        "concentration",
    ),
    *("margins", "opportunities", "attention", "billing", "promises", "actions", "health_page", "health_rows"),
    *("portfolio", "health", "renewals"),
}
CORE = {"attrs", "attr", "cattrs", "phonenumbers"}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield name.removesuffix(".__init__") if name != "__init__" else name, ast.parse(path.read_text())


def _imports(tree: ast.Module, *, typing: bool = False) -> Iterator[str]:
    """Yield what a module imports at run time, also inside functions."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing:
            skipped.update(part for statement in node.body for part in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "keyaccount"
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if whole else (node.module,)


def _floor(module: str) -> int:
    top = module.split(".", maxsplit=1)[0]
    return next(level for level, names in enumerate(FLOORS) if top in names)


def _inside(tree: ast.Module) -> Iterator[str]:
    for name in _imports(tree):
        if name.startswith("keyaccount."):
            yield name.removeprefix("keyaccount.")


def test_every_module_has_its_floor() -> None:
    """A new module is given its place before it is used."""
    assert {name.split(".")[0] for name, _ in _modules()} == set().union(*FLOORS)


def test_imports_lead_down() -> None:
    """A module imports only from floors below, or from its own."""
    wrong = [(name, used) for name, tree in _modules() for used in _inside(tree) if _floor(used) > _floor(name)]
    assert wrong == []


def test_no_cycles() -> None:
    """No module reaches itself through its imports."""
    names = {name for name, _ in _modules()}
    graph = {
        name: {used if used in names else used.rpartition(".")[0] for used in _inside(t)} for name, t in _modules()
    }

    def reaches(start: str, at: str, seen: set[str]) -> bool:
        for used in graph.get(at, set()) - seen:
            seen.add(used)
            if used == start or reaches(start, used, seen):
                return True
        return False

    assert [name for name in graph if reaches(name, name, set())] == []


def test_rules_know_no_storage_and_storages_no_rule() -> None:
    """A rule is pure over plain values; an adapter compiles the reader's value and knows no other rule."""
    for name, tree in _modules():
        used = {module.split(".")[0] for module in _inside(tree)}
        if name in RULES:
            assert used.isdisjoint({"storage", "queries", "asking", "rows", "scope", "evaluator", "view", "gate"}), name
        if name.startswith("storage"):
            assert used.isdisjoint(RULES - {"access", "phones", "search"}), name


def test_the_core_imports_its_own_packages_only() -> None:
    """The core depends on attrs, cattrs and phonenumberslite, and on nothing else."""
    known = CORE | set(sys.stdlib_module_names) | {"keyaccount"}
    for name, tree in _modules():
        own = {"hypothesis"} if name.startswith("testing.") else set()  # an extra: see MissingExtra("testing")
        own |= {"narwhals", "pyarrow"} if name == "summing" else set()  # an extra: see MissingExtra("frames")
        own |= {"sqlalchemy"} if name in ("sql", "storage.served", "storage.ways") else set()  # MissingExtra("sql")
        assert {m.split(".")[0] for m in _imports(tree, typing=True)} <= known | own, name


def test_one_gate() -> None:
    """Only the gate hands changes to a storage; the view, that an act had none."""
    writers = [
        name
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "write" and ast.unparse(node.value).endswith("unit")
    ]
    assert set(writers) == {"gate", "view"}


@pytest.mark.parametrize(
    "word",
    ["eval(", "exec(", "pickle", "subprocess", "urllib.request", "http.client", "socket", "setlocale", "getcontext"],
)
def test_nothing_dangerous(word: str) -> None:
    """No code is built from text, nothing goes to the network, no global state is touched."""
    for path in SOURCE.rglob("*.py"):
        lines = [line.split("#")[0] for line in path.read_text().splitlines()]
        assert not [line for line in lines if word in line and '"' not in line and "pickl" + "able" not in line], path
