"""Leaks sown into a copy of the source, each of which the two-world runner must catch alone.

A row is a name, a file below `src/keyaccount`, a text that stands there exactly once, what stands there instead, and
the promise that is broken. When the source changes, a text is no longer found: the test says so, and the row is brought
up to date.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs

SOURCE = Path(__file__).parents[2] / "src"


@attrs.frozen
class Leak:
    """A small mutation of the source that gives something hidden away."""

    name: str
    file: str
    old: str
    new: str
    promise: str


LEAKS = (
    Leak(
        "masked parent id",
        "scope.py",
        "elif value is not None and not self.readable(link.kind, value):",
        "elif value is None:",
        "an unreadable reference is masked",
    ),
    Leak(
        "masked contacts of an activity",
        "scope.py",
        "kept = tuple(id for id in value if self.readable(link.kind, id))",
        "kept = value",
        "unreadable references in a list are masked",
    ),
    Leak(
        "ended position at a hidden organisation",
        "scope.py",
        "if there and enough(",
        "if any(not in_force(p, reader.today) for p in held) or there and enough(",
        "a contact is readable only through readable organisations",
    ),
    Leak(
        "ended assignment",
        "access.py",
        "    if not in_force(claim, reader.today):\n        return\n    right = claim.right",
        "    right = claim.right",
        "only claims in force give a right",
    ),
    Leak(
        "a contact's note across companies",
        "scope.py",
        "reached = all(self.holds(link.kind, id, need)",
        "reached = any(self.holds(link.kind, id, need)",
        "notes of the other company never travel with a contact",
    ),
    Leak(
        "activity of a hidden organisation through its contacts",
        "scope.py",
        "if not homes and kind.else_any is not None:",
        "if kind.else_any is not None and getattr(row, kind.else_any):",
        "an activity belongs to its organisation",
    ),
    Leak(
        "note about something hidden",
        "scope.py",
        "return bool(homes) and reached and (not isinstance(about, Reference) or self.readable(about.kind, about.id))",
        "return bool(homes) and reached",
        "a note about an unreadable record is unreadable",
    ),
    Leak(
        "the employer's phone found by search",
        "searching.py",
        "view.query(Position, searching=text, limit=limit)",
        "view.trusted().query(Position, searching=text, limit=limit)",
        "a position is seen only with its organisation",
    ),
    Leak(
        "the employer's phone on the card",
        "facts.py",
        'view.query(Position, contact_id=ids, order="id")',
        'view.trusted().query(Position, contact_id=ids, order="id")',
        "a position is seen only with its organisation",
    ),
    Leak(
        "caller over hidden organisations",
        "cards.py",
        "view.query(Organisation, phones=keys)",
        "view.trusted().query(Organisation, phones=keys)",
        "a shielded number is an unknown one",
    ),
    Leak(
        "suggestions over hidden organisations",
        "searching.py",
        "view.query(Organisation, searching=text, limit=limit)",
        "view.trusted().query(Organisation, searching=text, limit=limit)",
        "suggestions are computed over readable rows",
    ),
    Leak(
        "ranking before restriction",
        "searching.py",
        "view.query(Contact, searching=text, limit=limit)",
        "view.query(Contact, searching=text, id=one_of([row.key for row in view.trusted().find("
        "Contact, searching=text, limit=limit)]))",
        "ranks and limits are computed over readable rows",
    ),
    Leak(
        "order by a masked parent",
        "evaluator.py",
        "yield from islice(in_order(query, found), query.limit)",
        "whole = in_order(query, [rows.get(query.kind.name, row.key) or row for row in found])\n"
        "    seen = {row.key: row for row in found}\n"
        "    yield from islice((seen[row.key] for row in whole), query.limit)",
        "sorting is a read",
    ),
    Leak(
        "condition on a masked parent",
        "evaluator.py",
        "if all(holds(getattr(seen, field)) for field, holds in linked):",
        "if all(holds(getattr(row, field)) for field, holds in linked):",
        "filtering is a read",
    ),
    Leak(
        "count over all rows",
        "view.py",
        "return next(iter(self.work.unit.totals(query))).count",
        "return next(iter(self.work.unit.totals(attrs.evolve(query, reader=None)))).count",
        "counts are of readable rows",
    ),
    Leak(
        "counts of a panel over hidden notes",
        "panel.py",
        "counts[_DAY_OF[cls][0]] += view.count(view.query(cls, **at))",
        "counts[_DAY_OF[cls][0]] += view.count(view.trusted().query(cls, **at))",
        "an account is not counted by hidden children",
    ),
    Leak(
        "data quality over hidden records",
        "data_quality.py",
        "query = view.query(cls, limit=PAGE, **given)",
        "query = view.trusted().query(cls, limit=PAGE, **given)",
        "suggestions are computed over readable rows",
    ),
    Leak(
        "renewed by a hidden contract",
        "facts.py",
        "view.query(Contract, predecessor_ids=one_of(",
        "view.trusted().query(Contract, predecessor_ids=one_of(",
        "a computed note is made of readable records",
    ),
    Leak(
        "mailing list over hidden positions",
        "cards.py",
        "view.query(Position, contact_id=ids, **in_force_then)",
        "view.trusted().query(Position, contact_id=ids, **in_force_then)",
        "a position is seen only with its organisation",
    ),
    Leak(
        "page borders",
        "evaluator.py",
        "yield from islice(in_order(query, found), query.limit)",
        "ids = sorted(row.key for row in rows.all(query.kind.name))[: query.limit] if query.limit else None\n"
        "    found = [row for row in found if ids is None or query.after or row.key in ids]\n"
        "    yield from islice(in_order(query, found), query.limit)",
        "a page is cut from readable rows",
    ),
    Leak(
        "external-reference clash text",
        "gate_checks.py",
        "raise ConflictError(kind.name, row.key)",
        "raise ConflictError(kind.name, min(id for pair in row.refs.items() for id in owners[pair]))",
        "a reference that exists unseen fails with one fixed text",
    ),
    Leak(
        "act numbers in history",
        "history.py",
        "image.act.by, image.act.why, was",
        "image.act.by, str(image.act.seq), was",
        "sequence numbers of the audit never reach a bound desk",
    ),
    Leak(
        "history of a moved child",
        "history.py",
        "            if link.field in kind.home:\n                return None\n",
        "",
        "a child of an unreadable account cannot be reached through history",
    ),
    Leak(
        "what a moved child was before",
        "history.py",
        "before = [None, *(record for _, record, _ in seen)]",
        "before = [None, *(image.record for image, _, _ in seen)]",
        "a child of an unreadable account cannot be reached through history",
    ),
    Leak(
        "history of a child that was seen",
        "history.py",
        "    if view.reader is not None or not images:\n",
        '    past = kind.reach == "hangs" and any(record for _, record, _ in _seen(view, kind, images))\n'
        "    if not images or (view.reader and not past):\n",
        "a record that cannot be read now has no history",
    ),
    Leak(
        "history of a removed record",
        "history.py",
        "    if view.reader is not None or not images:\n",
        "    if not images or (view.reader and images[-1].record is not None):\n",
        "a removed record has a history for trusted desks only",
    ),
    Leak(
        "history of a note about something hidden",
        "history.py",
        "if isinstance(about, Reference) and (about.kind, about.id) not in readable:",
        "if isinstance(about, Reference) and not readable:",
        "a note about an unreadable record is unreadable, and was",
    ),
    Leak(
        "who removed a hidden child",
        "history.py",
        "removed_in_sight = image.record is None and bool(found) and found[-1][1] is not None",
        "removed_in_sight = image.record is None",
        "an image that is left out takes with it who removed it",
    ),
    Leak(
        "history of an activity of hidden contacts",
        "history.py",
        'if kind.reach == "hangs" and not given and not changes.get(kind.else_any or "", ()):',
        'if kind.reach == "hangs" and not given and not kind.else_any:',
        "an activity without an organisation is readable through its contacts",
    ),
    Leak(
        "masked contacts in history",
        "history.py",
        "changes[link.field] = tuple(id for id in value if (link.kind, id) in readable)",
        "changes[link.field] = value",
        "unreadable references in a list are masked, in history too",
    ),
    Leak(
        "masked parent in history",
        "history.py",
        "            changes[link.field] = None\n",
        "            changes[link.field] = value\n",
        "an unreadable reference is masked, in history too",
    ),
    Leak(
        "version in the clash of an id",
        "gate_drafts.py",
        "raise ConflictError(kind.name, given.key, 0 if seen else None, seen.version if seen else None)",
        "raise ConflictError(kind.name, given.key, 0, stored.version)",
        "an id that exists unseen fails with one fixed text",
    ),
    Leak(
        "a past day chooses rights",
        "desk.py",
        'raise ValidationError.of("question", "on", on, "must be a date")\n',
        'raise ValidationError.of("question", "on", on, "must be a date")\n'
        "        if view.reader is not None:\n"
        "            view.reader = attrs.evolve(view.reader, today=on)\n",
        "`on=` chooses facts, never rights",
    ),
    Leak(
        "provider with a trusted view",
        "providers.py",
        "Sight(view, facts.on)",
        "Sight(view.trusted(), facts.on)",
        "a provider sees the restricted view of the desk that asks",
    ),
    Leak(
        "name in the error text",
        "view.py",
        "raise NotFound(kind.name, id)",
        'raise NotFound(kind.name, f"{id}{[str(row)[:99] for row in self.trusted().find(cls, id=id)] or str()}")',
        "errors name only readable things",
    ),
    Leak(
        "denied instead of not found",
        "view.py",
        "raise NotFound(kind.name, id)",
        'raise AccessDenied("not for you") if self.trusted().find(cls, id=id) else NotFound(kind.name, id)',
        "a hidden id fails as one that never existed",
    ),
    Leak(
        "cause of the error",
        "view.py",
        "raise NotFound(kind.name, id)",
        'raise NotFound(kind.name, id) from (AccessDenied("no") if self.trusted().find(cls, id=id) else None)',
        "nothing hidden in the cause of an error",
    ),
    Leak(
        "line in the log",
        "view.py",
        "raise NotFound(kind.name, id)",
        '__import__("logging").getLogger("keyaccount").info("asked for %d", len(self.trusted().find(cls, id=id)))\n'
        "            raise NotFound(kind.name, id)",
        "log lines tell nothing hidden",
    ),
    Leak(
        "private flag ignored",
        "access.py",
        "    if organisation.private:\n        yield from",
        "    if False:\n        yield from",
        "nothing but its key account managers opens a private account",
    ),
    Leak(
        "hidden told from missing when linking",
        "gate.py",
        "queries = [view.query(KINDS[target].cls, id=one_of(sorted(ids)))",
        "queries = [view.trusted().query(KINDS[target].cls, id=one_of(sorted(ids)))",
        "a reference to something hidden fails as one to nothing",
    ),
    Leak(
        "a right guess of a masked reference",
        "gate.py",
        "authorise(view, [draft for draft in drafts if draft.creates or draft.changed])",
        "authorise(view, written)",
        "naming a hidden reference fails alike whether or not it is the one that is masked",
    ),
    Leak(
        "hidden records in a cycle that a merge would make",
        "gate_checks.py",
        "given = [(old, row) for old, row in given if old is None or row.key in seen]",
        "given = [(old, row) for old, row in given if seen or True]",
        "a cycle is refused only where it can be seen",
    ),
    Leak(
        "responsible through a hidden parent",
        "facts.py",
        "view.find(Organisation, id=above(around))",
        "view.trusted().find(Organisation, id=above(around))",
        "a tree leaves an unreadable node out",
    ),
    Leak(
        "acknowledgements of hidden notes",
        "catalogue.py",
        'Acknowledgement,\n            "hangs",',
        'Acknowledgement,\n            "free",',
        "who has seen a hidden note is hidden",
    ),
    Leak(
        "notes of an unreadable parent",
        "facts.py",
        "    people, positions = _people(view, contacts)\n",
        "    view = view.trusted()\n    people, positions = _people(view, contacts)\n",
        "a note on something unreadable is not seen",
    ),
    Leak(
        "last contact over hidden activities",
        "cards.py",
        "return view.query(Activity, **on_whom",
        "return view.trusted().query(Activity, **on_whom",
        "rankings are computed over readable rows",
    ),
    Leak(
        "metrics over all contracts",
        "rosters.py",
        'found = view.find(Contract, order=("organisation_id", "id"))\n    organisations = known_accounts(view, ',
        'found = view.trusted().find(Contract, order=("organisation_id", "id"))\n'
        "    organisations = known_accounts(view.trusted(), ",
        "averages and shares are computed over readable rows",
    ),
    Leak(
        "parents of the accounts of a metric",
        "rosters.py",
        "organisations = known_accounts(view, by, id=above(",
        "organisations = known_accounts(view.trusted(), by, id=above(",
        "an account below a hidden one is its own ultimate parent, and inherits no manager",
    ),
    Leak(
        "state by a hidden successor",
        "rosters.py",
        'naming = view.find(Contract, predecessor_ids=one_of([row.id for row in own]), order="id")',
        "view = view.trusted()\n"
        '    naming = view.find(Contract, predecessor_ids=one_of([row.id for row in own]), order="id")',
        "a contract that cannot be read renews nothing",
    ),
    Leak(
        "open renewals of hidden accounts",
        "areas/renewals.py",
        "tuple(view.find(Renewal, open=True, ",
        "tuple(view.trusted().find(Renewal, open=True, ",
        "work on hidden contracts is not listed",
    ),
    Leak(
        "renewal of a hidden contract",
        "catalogue.py",
        'home=("organisation_id", "contract_id"),',
        'home=("organisation_id",),',
        "a renewal is read with its contract only",
    ),
    Leak(
        "duplicate check over hidden records",
        "gate_checks.py",
        "    _free_references(view, pairs, gone)\n    yield from _known",
        "    for old, row in pairs:\n"
        '        tax_id = getattr(row, "tax_id", None)\n'
        "        if old is None and tax_id and view.trusted().find(type(row), tax_id=tax_id):\n"
        "            raise ConflictError(kind_of(type(row)).name, row.key)\n"
        "    _free_references(view, pairs, gone)\n    yield from _known",
        "creating succeeds alike whether or not a hidden record has the same tax id",
    ),
)


class Stale(AssertionError):
    """The text that a seeded leak replaces no longer stands in the source exactly once."""


def sow(leak: Leak | None, target: Path) -> Path:
    """Copy the source, with a leak in it or (None) as it is; return the copy."""
    copy = target / "src"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if leak is not None:
        file = copy / "keyaccount" / leak.file
        text = file.read_text(encoding="utf-8")
        if (found := text.count(leak.old)) != 1:
            raise Stale(f"the seed {leak.name!r} no longer applies: its text stands {found} times in {leak.file}")
        file.write_text(text.replace(leak.old, leak.new), encoding="utf-8")
    return copy
