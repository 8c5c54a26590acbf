"""The rule of `access` as SQL text: which rows a reader may read, and what is masked in them.

The text depends only on what sort of reader asks (a steward, somebody's deputy, …), and is made once for each sort; who
it is, which units and which day travel as parameters with fixed names.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import attrs

from keyaccount.access import Reader
from keyaccount.catalogue import KINDS, Kind, Link
from keyaccount.codec import moment, written
from keyaccount.model.rights import DEPUTY, KEY_ACCOUNT_MANAGER, Principal, Right
from keyaccount.shapes import One
from keyaccount.storage.dialects import SQLITE, Dialect
from keyaccount.storage.schema import table_of
from keyaccount.values import FrozenMap

_PRINCIPAL = One(Principal)
_BEGUN = "{at}.valid_from IS NULL OR {at}.valid_from <= :today"
_NOT_OVER = "{at}.valid_until IS NULL OR :today <= {at}.valid_until"
_IN_FORCE = f"({_BEGUN}) AND ({_NOT_OVER})"


@attrs.frozen
class Sort:
    """What of a reader decides the text: what everyone or a steward holds, and which further ways there are."""

    everywhere: Right | None
    steward: bool
    deputy_on_private: Right | None
    stands_in: bool
    stands_in_on_private: bool
    oversees: Right | None


def sort_of(reader: Reader) -> Sort:
    """Return what sort of reader this is."""
    policy = reader.policy
    return Sort(
        everywhere=Right.ADMINISTER if reader.steward else policy.default,
        steward=reader.steward,
        deputy_on_private=policy.roles[DEPUTY] if policy.deputies_see_private else None,
        stands_in=bool(reader.acts_for),
        stands_in_on_private=bool(reader.acts_for) and policy.deputies_see_private,
        oversees=policy.oversight if reader.oversees else None,
    )


def parameters(reader: Reader, dialect: Dialect = SQLITE) -> dict[str, Any]:
    """Return the reader's parameters, by their fixed names."""
    principals = [_told("user", reader.user.id), _told("everyone", None), *(_told("unit", id) for id in reader.units)]
    return {
        "me": reader.user.id,
        "today": reader.today.isoformat(),
        "now": moment(reader.now),
        "manager": KEY_ACCOUNT_MANAGER,
        "deputy": DEPUTY,
        "absent": dialect.list_of(reader.acts_for),
        "overseen": dialect.list_of(sorted(reader.oversees)),
        "principals": dialect.list_of(principals),
        **_roles_by_right(reader.policy.roles, dialect),
    }


@functools.lru_cache(1_000)
def _told(kind: str, id: str | None) -> str:
    """Return a principal as grants keep it; the same few users and units ask again and again."""
    return str(written(_PRINCIPAL, Principal(kind, id)))


@functools.lru_cache(16)
def _roles_by_right(roles: FrozenMap[str, Right], dialect: Dialect) -> dict[str, str]:
    """Return the roles that give each right, of a policy."""
    return {f"roles_{int(r)}": dialect.list_of(role for role, given in roles.items() if given >= r) for r in Right}


class Restriction:
    """The rule for one sort of reader, as text; `at` names the row's table in the statement.

    Conditions refer to views of what is permitted; `views(text)` gives those that a text needs, in their order. For
    `few` rows the claims on their own organisations are looked up, and those above them; else what the reader's claims
    reach may be worked out beforehand.
    """

    def __init__(self, sort: Sort, dialect: Dialect = SQLITE, *, few: bool = False) -> None:
        """Start with no view written."""
        self._sort, self._dialect, self._few = sort, dialect, few
        self._views: dict[str, str] = {}
        self._aliases = 0

    def views(self, text: str) -> list[str]:
        """Return the views that a statement needs, in their order."""
        needed = [text]
        wanted: list[str] = []
        for name in reversed(self._views):
            if any(f"{name} " in part or f"{name})" in part for part in needed):
                needed.append(self._views[name])
                wanted.insert(0, self._views[name])
        return wanted

    @functools.cache  # noqa: B019 - there is one restriction for each sort of reader, kept for good
    def permits(self, kind: Kind, at: str, right: Right) -> str:
        """Return the condition that the reader holds a right on a row."""
        if kind.reach == "free":
            return self._dialect.true if right is Right.READ or self._sort.steward else self._dialect.false
        if kind.reach == "account":
            return self._permits_account(at, right)
        if kind.reach == "contact":
            return self._permits_contact(at, right)
        return self._permits_hanging(kind, at, right)

    @functools.cache  # noqa: B019 - as above; without it each statement had new names, and was prepared anew
    def reachable(self, link: Link, column: str, right: Right = Right.READ) -> str:
        """Ask that there is a record with the id in a column on which the reader holds a right."""
        at = self._alias()
        there = self._found(link.kind, at, "id", column)
        return self._exists(f"SELECT 1 FROM {self._permitted(KINDS[link.kind], right)} {at} WHERE {there}")

    def masks(self, kind: Kind, link: Link) -> bool:
        """Say whether a reference can be masked: no home, for all of them are readable, nor what everyone reads."""
        return KINDS[link.kind].reach != "free" and link.field not in kind.home

    @functools.cache  # noqa: B019 - as above
    def shown(self, kind: Kind, at: str, field: str) -> str:
        """Return a field as the reader sees it."""
        column = f'{at}."{field}"'
        link = kind.link(field)
        if link is None or not self.masks(kind, link):
            return column
        if link.many:
            return self._dialect.items_where.format(column=column, holds=self.reachable(link, "j.value"))
        return f"(CASE WHEN {self.reachable(link, column)} THEN {column} END)"

    # -- accounts

    def _permits_account(self, at: str, right: Right) -> str:
        # the plus keeps the index on private out of it: most accounts are not, and a page is read in its own order
        private = self._dialect.plain.format(column=f"{at}.private")
        if self._dialect.gathers_claims and not self._few:
            opened = f"{at}.id IN (SELECT id FROM {self._opened(right)})"
            if self._sort.everywhere is not None and self._sort.everywhere >= right:
                return f"{private} = 0 OR {opened}"
            return f"({private} = 0 AND {at}.id IN (SELECT id FROM {self._held(right)})) OR {opened}"
        shielded = f"({private} = 1 AND ({' OR '.join(self._ways_to_private(at, right))}))"
        if self._sort.everywhere is not None and self._sort.everywhere >= right:
            return f"{private} = 0 OR {shielded}"
        direct = " OR ".join(self._claims_on(f"{at}.id", right))
        if self._few:
            above = self._exists(self._covering(f"{at}.parent_id", right))
            covered = f"({at}.parent_id IS NOT NULL AND {above})"
        else:
            covered = f"{at}.id IN (SELECT id FROM {self._covered(right)})"
        return f"({private} = 0 AND ({direct} OR {covered})) OR {shielded}"

    def _claims_on(self, organisation: str, right: Right, also: str = "") -> Iterator[str]:
        """Yield the ways in which a claim on an organisation gives the reader a right."""
        force = f"{_IN_FORCE.format(at='a')}{also}"
        here, granted = (self._found(kind, "a", "organisation_id", organisation) for kind in ("Assignment", "Grant"))
        for mine in self._ways(right):
            yield self._exists(f"SELECT 1 FROM {self._assignments} a WHERE {here} AND {force} AND {mine}")
        given = self._granted(right)
        yield self._exists(f"SELECT 1 FROM {self._grants} a WHERE {granted} AND {force} AND {given}")

    def _covering(self, organisation: str, right: Right) -> str:
        """Ask whether a covering claim on an organisation, or on one above it, gives the reader a right."""
        above = self._found("Organisation", "o", "id", "c.id")
        step = (
            f"SELECT o.parent_id FROM {self._table('Organisation')} o JOIN c ON {above} WHERE o.parent_id IS NOT NULL"
        )
        claims = " OR ".join(self._claims_on("c.id", right, also=" AND a.covers_subsidiaries = 1"))
        return f"WITH RECURSIVE c(id) AS (SELECT {organisation} UNION {step}) SELECT 1 FROM c WHERE {claims}"

    @functools.cache  # noqa: B019 - as above
    def within(self, kind: Kind, at: str, right: Right, *, placed: bool = False) -> str | None:
        """Return a condition that holds for all that is permitted and is found by index, for lists.

        None where the reader holds the right everywhere, or where records of the kind may hang on something else than
        an organisation. It takes the place of no rule: it spares looking through what exists for the little that
        somebody's claims reach. `placed` says that only records which hang on an organisation are asked for.
        """
        if self._sort.everywhere is not None and self._sort.everywhere >= right:
            return None
        column = "id" if kind.reach == "account" else "organisation_id"
        if kind.reach != "account" and not self.at_account(kind, placed=placed):
            return None
        return self._dialect.found_in(kind.name, at, column, self._reached(right))

    def _opened(self, right: Right) -> str:
        """Name the view of the private organisations that are open to the reader; they are few."""
        name = f"opened_{int(right)}"
        if name not in self._views:
            ways = " OR ".join(self._ways_to_private("o", right))
            rows = f"SELECT o.id FROM {self._table('Organisation')} o WHERE o.private = 1 AND ({ways})"
            self._views[name] = f"{name}(id) AS MATERIALIZED ({rows})"
        return name

    def _held(self, right: Right) -> str:
        """Name the view of the organisations on which claims give the reader a right, those below covered ones too."""
        name, covered = f"held_{int(right)}", self._covered(right)
        if name not in self._views:
            here = f"{_IN_FORCE.format(at='a')} AND a.organisation_id IS NOT NULL"
            claims = [f"{self._assignments} a WHERE {here} AND {held}" for held in self._ways(right)]
            claims.append(f"{self._grants} a WHERE {here} AND {self._granted(right)}")
            rows = " UNION ".join(f"SELECT a.organisation_id FROM {claim}" for claim in claims)
            self._views[name] = f"{name}(id) AS MATERIALIZED ({rows} UNION SELECT id FROM {covered})"
        return name

    @staticmethod
    def at_account(kind: Kind, *, placed: bool = False) -> bool:
        """Say whether what is permitted of a kind depends on nothing but the organisation that a record hangs on.

        `placed` asks so of the records alone that hang on one.
        """
        alone = (kind.else_any is None or placed) and "about" not in kind.shapes
        return kind.reach == "hangs" and kind.home == ("organisation_id",) and alone

    def _reached(self, right: Right) -> str:
        """Name the view of the organisations on which the reader has any claim, and of those that claims cover."""
        name, covered = f"reached_{int(right)}", self._covered(right)
        if name not in self._views:
            users = ["a.user_id = :me"]
            users += [self._among("a.user_id", ":absent")] * self._sort.stands_in
            users += [self._among("a.user_id", ":overseen")] * (self._sort.oversees is not None)
            ways = [f"{self._assignments} a WHERE {mine}" for mine in users]
            ways.append(f"{self._grants} a WHERE {self._among('a.principal', ':principals')}")
            claimed = [f"SELECT a.organisation_id FROM {way} AND a.organisation_id IS NOT NULL" for way in ways]
            self._views[name] = f"{name}(id) AS ({' UNION '.join(claimed)} UNION SELECT id FROM {covered})"
        return name

    def _ways(self, right: Right) -> Iterator[str]:
        """Yield whose assignments, in which roles, give the reader a right: own, of the absent, of those overseen."""
        roles = self._among("a.role", f":roles_{int(right)}")
        yield f"a.user_id = :me AND {roles}"
        if self._sort.stands_in and right <= Right.CHANGE:
            yield f"{self._among('a.user_id', ':absent')} AND {roles}"
        if self._sort.oversees is not None and self._sort.oversees >= right:
            yield f"{self._among('a.user_id', ':overseen')} AND a.role = :manager"

    def _ways_to_private(self, at: str, right: Right) -> Iterator[str]:
        here = f"{self._found('Assignment', 'a', 'organisation_id', f'{at}.id')} AND {_IN_FORCE.format(at='a')}"
        manages = f"SELECT 1 FROM {self._assignments} a WHERE {here} AND a.role = :manager"
        yield self._exists(f"{manages} AND a.user_id = :me")
        if self._sort.deputy_on_private is not None and self._sort.deputy_on_private >= right:
            active = f"a.user_id IN (SELECT u.id FROM {self._table('User')} u WHERE u.active = 1)"
            deputises = f"SELECT 1 FROM {self._assignments} a WHERE {here} AND a.role = :deputy AND a.user_id = :me"
            yield f"({self._exists(f'{manages} AND {active}')} AND {self._exists(deputises)})"
        if self._sort.stands_in_on_private and right <= Right.CHANGE:
            yield self._exists(f"{manages} AND {self._among('a.user_id', ':absent')}")
        if self._sort.steward and right is Right.READ:
            opened = "b.user_id = :me AND b.opens_at <= :now AND :now < b.closes_at"
            glass = self._table("BreakGlass")
            here = self._found("BreakGlass", "b", "organisation_id", f"{at}.id")
            yield self._exists(f"SELECT 1 FROM {glass} b WHERE {here} AND {opened}")

    def _covered(self, right: Right) -> str:
        """Name the view of all that covering claims reach for a right."""
        name = f"covered_{int(right)}"
        if name not in self._views:
            covers = f"a.covers_subsidiaries = 1 AND {_IN_FORCE.format(at='a')}"
            starts = [
                f"SELECT a.organisation_id FROM {self._assignments} a WHERE {covers} AND {held}"
                for held in self._ways(right)
            ]
            starts.append(f"SELECT a.organisation_id FROM {self._grants} a WHERE {covers} AND {self._granted(right)}")
            child = self._found("Organisation", "o", "parent_id", "c.id")
            below = f"SELECT o.id FROM {self._table('Organisation')} o JOIN {name} c ON {child}"
            self._views[name] = f"{name}(id) AS ({' UNION '.join(starts)} UNION {below})"
        return name

    # -- contacts, and what hangs on something

    def _permits_contact(self, at: str, right: Right) -> str:
        position, account, positions = self._alias(), self._alias(), self._table("Position")
        counts = "" if right is Right.READ else f" AND {_IN_FORCE.format(at=position)}"
        there = self._permitted(KINDS["Organisation"], right)
        joined = (
            f"JOIN {there} {account} ON {self._found('Organisation', account, 'id', f'{position}.organisation_id')}"
        )
        held = self._found("Position", position, "contact_id", f"{at}.id")
        there = self._exists(f"SELECT 1 FROM {positions} {position} {joined} WHERE {held}{counts}")
        ways = [f"({there} AND NOT {self._less_elsewhere(at, right)})" if right is Right.ADMINISTER else there]
        mine = f"{at}.formerly_held = 0" + ("" if self._sort.steward else f" AND {at}.created_by = :me")
        ever = self._found("Position", "q", "contact_id", f"{at}.id")
        ways.append(f"({mine} AND NOT {self._exists(f'SELECT 1 FROM {positions} q WHERE {ever}')})")
        if right <= Right.CHANGE:
            users = f"(a.user_id = :me OR {self._among('a.user_id', ':absent')})"
            here = f"{self._found('Assignment', 'a', 'contact_id', f'{at}.id')} AND {_IN_FORCE.format(at='a')}"
            ways.append(self._exists(f"SELECT 1 FROM {self._assignments} a WHERE {here} AND {users}"))
        return " OR ".join(ways)

    def _less_elsewhere(self, at: str, right: Right) -> str:
        """Ask for a readable organisation of a current position where the right is not held."""
        position, account, enough = self._alias(), self._alias(), self._alias()
        readable = self._permitted(KINDS["Organisation"], Right.READ)
        there = self._found("Organisation", account, "id", f"{position}.organisation_id")
        joined = f"JOIN {readable} {account} ON {there}"
        same = self._found("Organisation", enough, "id", f"{account}.id")
        held = f"SELECT 1 FROM {self._permitted(KINDS['Organisation'], right)} {enough} WHERE {same}"
        here = f"{self._found('Position', position, 'contact_id', f'{at}.id')} AND {_IN_FORCE.format(at=position)}"
        positions = self._table("Position")
        less = f"{here} AND NOT {self._exists(held)}"
        return self._exists(f"SELECT 1 FROM {positions} {position} {joined} WHERE {less}")

    def _permits_hanging(self, kind: Kind, at: str, right: Right) -> str:
        homes = [link for field in kind.home if (link := kind.link(field)) is not None]
        parts = [self._permits_home(at, homes, index, right) for index in range(len(homes))]
        if "about" in kind.shapes:
            parts.append(self._permits_about(at))
        everywhere = " AND ".join(parts)
        nowhere = " AND ".join(f'{at}."{link.field}" IS NULL' for link in homes)
        others = kind.link(kind.else_any) if kind.else_any else None
        if others is None:
            return f"NOT ({nowhere}) AND {everywhere}"
        here = f"i.kind = '{kind.name}' AND i.field = '{others.field}' AND i.id = {at}.id"
        items = self._dialect.table("item")
        any_of = self._exists(f"SELECT 1 FROM {items} i WHERE {here} AND {self.reachable(others, 'i.key', right)}")
        return f"CASE WHEN {nowhere} THEN {any_of} ELSE {everywhere} END"

    def _permits_home(self, at: str, homes: list[Link], index: int, right: Right) -> str:
        """Ask that a home can be read, where it is given; the first that is given decides about higher rights."""
        link = homes[index]
        column = f'{at}."{link.field}"'
        needs = self.reachable(link, column)
        if right is not Right.READ:
            decisive = " AND ".join(f'{at}."{other.field}" IS NULL' for other in homes[:index])
            higher = self.reachable(link, column, right)
            needs = f"CASE WHEN {decisive or self._dialect.true} THEN {higher} ELSE {needs} END"
        return f"({column} IS NULL OR {needs})"

    def _permits_about(self, at: str) -> str:
        """Ask that what a note is about can be read; only kinds that close can be.

        What hangs on an organisation and nothing else is as readable as that one, so it is asked for once.
        """
        ways = [f"{at}.about IS NULL"]
        id, named = (self._dialect.member.format(column=f"{at}.about", name=name) for name in ("id", "kind"))
        homes = []
        for kind in KINDS.values():
            if kind.closable and kind.home == ("organisation_id",) and kind.else_any is None:
                there = self._found(kind.name, "h", "id", id)
                home = f"SELECT h.organisation_id FROM {self._table(kind.name)} h WHERE {there}"
                homes.append(f"WHEN '{kind.name}' THEN ({home})")
            elif kind.closable:
                other = self._alias()
                same = self._found(kind.name, other, "id", id)
                there = f"SELECT 1 FROM {self._permitted(kind, Right.READ)} {other} WHERE {same}"
                ways.append(f"({named} = '{kind.name}' AND {self._exists(there)})")
        other = self._alias()
        account = f"CASE {named} {' '.join(homes)} END"
        same = self._found("Organisation", other, "id", account)
        there = f"SELECT 1 FROM {self._permitted(KINDS['Organisation'], Right.READ)} {other} WHERE {same}"
        return f"({' OR '.join(ways)} OR {self._exists(there)})"

    def _permitted(self, kind: Kind, right: Right) -> str:
        """Name the view of all records of a kind on which the reader holds a right; a statement has it once."""
        name = f"permitted_{table_of(kind.name).name}_{int(right)}"
        if name not in self._views:
            at = self._alias()
            key = self._dialect.own_key(kind.name, at)
            rows = f"SELECT {key} FROM {self._table(kind.name)} {at} WHERE {self.permits(kind, at, right)}"
            self._views[name] = f"{name} AS NOT MATERIALIZED ({rows})"
        return name

    def _alias(self) -> str:
        self._aliases += 1
        return f"x{self._aliases}"

    # -- in the words of the database

    def _exists(self, rows: str) -> str:
        """Ask whether there is a row.

        PostgreSQL plans an EXISTS twice, to ask it for each row and to answer it for all; and again what is inside it.
        For few rows the first will do.
        """
        once = self._few and self._dialect.plans_twice
        return f"({rows} LIMIT 1) IS NOT NULL" if once else f"EXISTS ({rows})"

    @property
    def _assignments(self) -> str:
        return self._table("Assignment")

    @property
    def _grants(self) -> str:
        return self._table("Grant")

    def _table(self, kind: str) -> str:
        return self._dialect.short_table(table_of(kind).name)

    def _found(self, kind: str, at: str, field: str, key: str) -> str:
        return self._dialect.found(kind, at, field, key)

    def _among(self, column: str, texts: str) -> str:
        return self._dialect.among_some.format(column=column, list=texts)

    def _granted(self, right: Right) -> str:
        return f'a."right" >= {int(right)} AND {self._among("a.principal", ":principals")}'


@functools.lru_cache(256)
def restriction_for(sort: Sort, dialect: Dialect = SQLITE, *, few: bool = False) -> Restriction:
    """Return the restriction for a sort of reader; there are few sorts."""
    return Restriction(sort, dialect, few=few)
