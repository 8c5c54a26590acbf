"""What SQLite and PostgreSQL say differently, fragment by fragment; all other SQL of this library is the same for both.

A dialect is a value: templates, whose places take names of the catalogue, aliases and parameters, never a value or a
name from outside. It also names the tables, at this one place, so that a schema or a prefix goes through everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

import attrs

from keyaccount.errors import ValidationError

_NAME_LIMIT = 63
_OWN = re.compile(r"[a-z_][a-z0-9_]{0,30}")


@attrs.frozen(cache_hash=True)
class Elsewhere:
    """A table that is read somewhere else: a SELECT that gives its rows, under the names of its columns.

    Of a kind's table: which fields are `given` there; which of them are keys that an index there finds as they are,
    whole `numbers` or `texts` (each has a second column, `id#`, with the host's own value); and which fields are
    `rough`: conditions on them are narrowed down in the database, and finished on the rows. `short` gives the same rows
    with those columns only that the rule of rights looks at.
    """

    name: str
    kind: str
    select: str
    given: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    rough: frozenset[str] = frozenset()
    short: str = ""


@attrs.frozen(cache_hash=True)
class Dialect:
    """How one sort of database is spoken to.

    `schema` and `prefix` are where our tables stand, and what their names begin with. `sources` are tables that are
    read somewhere else; each stands in front of every question that names the table, under a name of its own.
    """

    name: str
    text: str
    """The type of a column of text that compares byte by byte, in every database."""
    whole: str
    blob: str
    true: str
    false: str
    without_rowid: str
    """What ends the declaration of a table that is kept in the order of its key."""
    long_key: int | None
    """How many bytes an index takes in order; longer ones are kept by their hash. None where there is no limit."""
    among: str
    """That `column` is one of the texts in `list`, which travels as one parameter: see `list_of`."""
    among_some: str
    """The same of the few texts that a reader's rights are made of, which is asked many times in a statement."""
    among_whole: str
    """That `column` is one of the whole numbers in a list."""
    contains: str
    """That `text` contains `part`."""
    member: str
    """The text under `name` in a JSON object in `column`."""
    items_where: str
    """The JSON list in `column` as text, in its order, with those items only of which `holds` is true of j.value."""
    has_every: str
    """The ids, `i.id`, of rows in `item` of which `named` is true, with every key of one of the JSON lists `wanted`."""
    listed: str
    """The rows of a list of texts, each under `value`."""
    number: str
    """The whole number that a text writes; of another text any number, or none."""
    plain: str
    """A column that is compared without the index on it."""
    packed: bool
    """Whether the rows of several questions travel as one JSON text each: their columns have no types in common."""
    arrays: bool
    """Whether lists travel as the text of an array; else as JSON."""
    gathers_claims: bool
    """Whether what the reader's claims reach is worked out once for a statement; else asked of each row.

    PostgreSQL plans each mention of the rule anew, and the rule is mentioned often.
    """
    plans_twice: bool
    """Whether an EXISTS is planned in two ways, of which one is taken."""
    nothing_last: bool
    """Whether nothing comes last in an ascending order, and first in a descending one, when nothing is said."""
    sums_overflow: bool
    """Whether a sum of whole numbers fails where it leaves 64 bits."""
    chains: bool
    """Whether an act is chained to the one before as it is written; else when the history is sealed."""
    exists: str
    """Asks whether there is a table: by `name` as it stands in statements, or `bare` as the database keeps it."""
    schema: str | None = None
    prefix: str = ""
    sources: tuple[Elsewhere, ...] = ()

    def table(self, name: str) -> str:
        """Return a table's name as it stands in statements."""
        if any(one.name == name for one in self.sources):
            return f'"{self.prefix}{name} elsewhere"'
        quoted = f'"{self.prefix}{name}"'
        return quoted if self.schema is None else f'"{self.schema}".{quoted}'

    def short_table(self, name: str) -> str:
        """Return the name of a table of which only keys, days and flags are looked at."""
        short = any(one.name == name and one.short for one in self.sources)
        return f'"{self.prefix}{name} in short"' if short else self.table(name)

    def elsewhere(self, kind: str) -> Elsewhere | None:
        """Return where a kind's table is read, where that is somewhere else."""
        if not self.sources:
            return None
        return next((one for one in self.sources if one.kind == kind), None)

    def list_of(self, values: Iterable[str | int]) -> str:
        """Write texts or whole numbers as one parameter."""
        if not self.arrays:
            return _json(list(values))
        return f"{{{','.join(_in_array(value) for value in values)}}}"

    def rough(self, kind: str) -> frozenset[str]:
        """Return the fields of a kind on which conditions are finished on the rows."""
        there = self.elsewhere(kind)
        return frozenset() if there is None else there.rough

    def index(self, name: str) -> str:
        """Return an index's name as it stands where it is made; one that is too long ends in a digest of itself."""
        whole = f"{self.prefix}{name}"
        if len(whole) > _NAME_LIMIT:
            whole = f"{whole[: _NAME_LIMIT - 9]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"
        return f'"{whole}"'

    def found(self, kind: str, at: str, field: str, key: str) -> str:
        """Return the condition that a field of a kind's row is a key, so that an index on it serves, also a host's."""
        equal, there = f'{at}."{field}" = {key}', self.elsewhere(kind)
        if there is not None and field in there.numbers:
            return f'({equal} AND {at}."{field}#" = {self.number.format(text=key)})'
        if there is not None and field in there.texts:
            return f'({equal} AND {at}."{field}#" = {key})'
        return equal

    def found_in(self, kind: str, at: str, field: str, keys: str) -> str:
        """Return the condition that a field of a kind's row is one of the keys that a SELECT of `id`s yields."""
        among, there = f'{at}."{field}" IN (SELECT id FROM {keys})', self.elsewhere(kind)
        if there is not None and field in there.numbers:
            return f'({among} AND {at}."{field}#" IN (SELECT {self.number.format(text="id")} FROM {keys}))'
        if there is not None and field in there.texts:
            return f'({among} AND {at}."{field}#" IN (SELECT id FROM {keys}))'
        return among

    def own_key(self, kind: str, at: str) -> str:
        """Return the columns by which a view of a kind's rows names them: the id, and what `found` wants besides."""
        there = self.elsewhere(kind)
        return f'{at}.id, {at}."id#"' if there is not None and "id" in (*there.numbers, *there.texts) else f"{at}.id"

    def read_elsewhere(self, parts: list[str]) -> list[str]:
        """Return the views that take the place of tables which some parts of a statement name."""
        named = {self.table(one.name): one.select for one in self.sources}
        named |= {self.short_table(one.name): one.short for one in self.sources if one.short}
        return [
            f"{table} AS NOT MATERIALIZED ({select})"
            for table, select in named.items()
            if any(table in part for part in parts)
        ]


_json = json.JSONEncoder(ensure_ascii=False).encode


def _in_array(value: str | int) -> str:
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def placed(dialect: Dialect, schema: object, prefix: object) -> Dialect:
    """Return a dialect for tables in a schema, or with a prefix.

    Raises ValidationError for names that are not made of small letters, digits and underscores.
    """
    for field, given in (("schema", schema), ("prefix", prefix)):
        if given is not None and given != "" and not (isinstance(given, str) and _OWN.fullmatch(given)):
            raise ValidationError.of(
                "SQLStorage", field, given, "must be a short name of small letters, digits and underscores"
            )
    return attrs.evolve(dialect, schema=str(schema) if schema else None, prefix=str(prefix or ""))


SQLITE = Dialect(
    name="sqlite",
    text="TEXT",
    whole="INTEGER",
    blob="BLOB",
    true="1",
    false="0",
    without_rowid=" WITHOUT ROWID",
    long_key=None,
    among="{column} IN (SELECT value FROM json_each({list}))",
    among_some="{column} IN (SELECT value FROM json_each({list}))",
    among_whole="{column} IN (SELECT value FROM json_each({list}))",
    contains="instr({text}, {part}) > 0",
    member="json_extract({column}, '$.{name}')",
    items_where="(SELECT json_group_array(j.value) FROM json_each({column}) j WHERE {holds})",
    has_every=(
        "SELECT i.id FROM json_each({wanted}) w CROSS JOIN json_each(w.value) k CROSS JOIN {item} i ON {named} "
        "AND i.key = k.value GROUP BY w.key, i.id HAVING COUNT(*) = json_array_length(w.value)"
    ),
    listed="json_each({list})",
    number="CAST({text} AS INTEGER)",
    plain="+{column}",
    packed=False,
    arrays=False,
    gathers_claims=False,
    plans_twice=False,
    nothing_last=False,
    sums_overflow=True,
    chains=True,
    exists="SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :bare",
)

POSTGRESQL = Dialect(
    name="postgresql",
    text='TEXT COLLATE "C"',
    whole="BIGINT",
    blob="BYTEA",
    true="TRUE",
    false="FALSE",
    without_rowid="",
    long_key=2_600,
    among="{column} = ANY(ARRAY(SELECT unnest(CAST({list} AS text[]))))",
    among_some="{column} = ANY(CAST({list} AS text[]))",
    among_whole="{column} = ANY(ARRAY(SELECT unnest(CAST({list} AS bigint[]))))",
    contains="strpos({text}, {part}) > 0",
    member="(CAST({column} AS json) ->> '{name}')",
    items_where=(
        "(SELECT COALESCE(CAST(json_agg(j.value ORDER BY j.place) AS text), '[]') "
        "FROM json_array_elements_text(CAST({column} AS json)) WITH ORDINALITY j(value, place) WHERE {holds})"
    ),
    has_every=(
        "SELECT i.id FROM json_array_elements(CAST({wanted} AS json)) WITH ORDINALITY w(value, place) "
        "CROSS JOIN LATERAL json_array_elements_text(w.value) k(value) JOIN {item} i ON {named} AND i.key = k.value "
        "GROUP BY w.place, json_array_length(w.value), i.id HAVING COUNT(*) = json_array_length(w.value)"
    ),
    listed="unnest(CAST({list} AS text[])) l(value)",
    number="(CASE WHEN {text} ~ '^-?[0-9]{{1,18}}$' THEN CAST({text} AS bigint) END)",
    plain="{column}",
    packed=True,
    arrays=True,
    gathers_claims=True,
    plans_twice=True,
    nothing_last=True,
    sums_overflow=False,
    chains=False,
    exists="SELECT 1 WHERE to_regclass(:name) IS NOT NULL",
)
"""Lists are unpacked once, before the statement looks at any row, so that an index can serve them. How long they are is
hidden from the planner: it would think a plan for lists of any length worse than to plan each time anew, which takes
longer than to answer."""
