"""How a host's columns are read as ours are kept: fragments of SQL for SQLite and PostgreSQL, by sort of column.

What a field cannot hold becomes nothing, or what the field holds when nothing is given; text is brought to one that it
can hold. It is done in SQL, so that every condition, count and sum sees the same rows as the lists do.
"""

from __future__ import annotations

import attrs

from keyaccount.money import CURRENCIES, SCALE

_LARGEST = 10**16
_DIGIT = "[0-9]"
_CURRENCIES = ", ".join(f"'{code}'" for code in sorted(CURRENCIES))


@attrs.frozen
class Reading:
    """How one sort of database is told to read a host's columns; templates, whose place takes an expression."""

    text: str
    control: str
    """That a text holds a control character."""
    unprinted: str
    """That it holds one that is no tab and no line break."""
    text_keys: str
    """That a column holds a text, which is found as it is; nothing where a host's texts do not compare with ours."""
    day: str
    """A day, or that of a moment in UTC, as ISO 8601 writes them; nothing where the calendar has none such."""
    moment: str
    """A moment, or the midnight of a day; one with an offset is brought to UTC, one without is in UTC."""
    endless: str
    """That a column gives no day, or says itself that there is none such: a server's own word for never."""
    flag: str
    whole: str
    list: str
    """A JSON list, of whatever a column holds."""
    mapping: str
    texts: str
    """A JSON list of the texts and numbers in one, as texts; blank ones are left out."""
    each: str
    """The rows of a JSON list of texts, as `e.value`."""
    special: str
    """That a text holds one of the characters that fold to ASCII."""
    lower: str
    bare: str
    """A text without the signs that are usual between the digits of numbers."""
    odd: str
    """That a list of numbers holds signs beside digits, those signs, and what a list is written with."""
    payments: str
    """A list of payments in one currency, of those that can be read: a day, and an amount as text."""
    settled: str
    """The day from which on a total is even, as `Invoice.settled_on` finds it from the payments."""

    def line(self, column: str, limit: int) -> str:
        """Read a line of text: line breaks and tabs are blanks, what is too long is cut."""
        text = self.text.format(column)
        for code in (9, 10, 13):
            text = f"replace({text}, {self.character(code)}, ' ')"
        return f"CASE WHEN NOT {self.control.format(text)} THEN substr({text}, 1, {limit}) END"

    def passage(self, column: str, limit: int) -> str:
        """Read a text of several lines; what is too long is cut."""
        text = self.text.format(column)
        return f"CASE WHEN NOT {self.unprinted.format(text)} THEN substr({text}, 1, {limit}) END"

    def key(self, column: str, limit: int, *, told: bool) -> str:
        """Read a key that is text; what cannot be an id is none. One that is `told` to be text must be so."""
        text = self.text.format(column)
        sound = f"length({text}) BETWEEN 1 AND {limit} AND NOT {self.control.format(text)}"
        sound += f" AND {self.text_keys.format(column)}" if told and self.text_keys else ""
        return f"CASE WHEN {sound} THEN {text} END"

    def one_of(self, column: str, words: tuple[str, ...], otherwise: str) -> str:
        """Read one of a few words."""
        text, told = self.text.format(column), ", ".join(f"'{word}'" for word in words)
        return f"CASE WHEN {text} IN ({told}) THEN {text} ELSE {otherwise} END"

    def currency(self, column: str, *, empty: bool) -> str:
        """Read a currency, or with `empty` an empty text too: a field may hold one, an amount may not."""
        text = self.text.format(column)
        told = f"'', {_CURRENCIES}" if empty else _CURRENCIES
        return f"CASE WHEN {text} IN ({told}) THEN {text} END"

    def character(self, code: int) -> str:
        """Return a character that cannot stand in a statement."""
        return f"char({code})"

    def units(self, column: str, places: int) -> str:
        """Read a decimal number as whole ten-thousandths, exactly; None where it has more places, or is too large."""
        raise NotImplementedError


class _SQLite(Reading):
    def units(self, column: str, places: int) -> str:
        """Read it from its text: SQLite's own numbers are binary, and some programs keep text or bytes.

        A text that its binary number is written as, with all its places, is that number exactly: below 10**11 the
        binary form lies nearer to it than half of the last place. Anything else is read digit by digit; a number with
        an exponent, as programs write large whole ones and zeros, where it is whole.
        """
        quick = f"CAST({column} AS REAL)"
        usual = f"printf('%.{places}f', {quick}) = CAST({column} AS TEXT) AND abs({quick}) < 1e11"
        near = f"CAST(round({quick} * {10**places}) AS INTEGER) * {10 ** (SCALE - places)}"
        return f"CASE WHEN {usual} THEN {near} WHEN {column} IS NOT NULL THEN {self._slowly(column, places)} END"

    def _slowly(self, column: str, places: int) -> str:
        """Read a number digit by digit, whatever it looks like."""
        dot, real = "instr(v.t, '.')", "CAST(v.t AS REAL)"
        whole = f"CAST(v.t AS INTEGER) * {10**SCALE}"
        parts = f"CAST(substr(v.t, 1, {dot} - 1) || substr(substr(v.t, {dot} + 1) || '0000', 1, {SCALE}) AS INTEGER)"
        kept = f"rtrim(substr(v.t, {dot} + {1 + places}), '0') = ''"
        plain = f"CASE WHEN {dot} = 0 THEN {whole} WHEN {kept} THEN {parts} END"
        large = (
            f"CASE WHEN abs({real}) <= 1e12 AND {real} = CAST({real} AS INTEGER) "
            f"THEN CAST({real} AS INTEGER) * {10**SCALE} END"
        )
        number = "v.t GLOB '*[0-9]*' AND v.t NOT GLOB '*[^0-9.-]*' AND v.t NOT GLOB '?*-*' AND v.t NOT GLOB '*.*.*'"
        found = f"CASE WHEN {number} THEN {plain} WHEN v.t GLOB '*[0-9][eE][+-]*[0-9]' THEN {large} END"
        read = f"SELECT {found} AS u FROM (SELECT trim(CAST({column} AS TEXT)) AS t) v"
        return f"(SELECT CASE WHEN abs(w.u) <= {_LARGEST} THEN w.u END FROM ({read}) w)"


class _PostgreSQL(Reading):
    def character(self, code: int) -> str:
        """Return a character that cannot stand in a statement."""
        return f"chr({code})"

    def units(self, column: str, places: int) -> str:
        """Read it from a column of numbers, or from a text that is one; only CASE keeps a cast from being too early."""
        read = self._scaled(f"CAST({column} AS numeric)", places)
        slow = self._slowly(column, places)
        return f"CASE WHEN {_typed(column, *_NUMERIC)} THEN {read} WHEN {column} IS NOT NULL THEN {slow} END"

    def _scaled(self, number: str, places: int) -> str:
        sound = f"abs({number}) <= 1000000000000 AND {number} = round({number}, {places})"
        return f"CASE WHEN {sound} THEN CAST({number} * {10**SCALE} AS bigint) END"

    def _slowly(self, column: str, places: int) -> str:
        """Read a number from text, written as it may be in SQLite too."""
        read, large = (self._scaled("CAST(v.t AS numeric)", digits) for digits in (places, 0))
        found = (
            "CASE WHEN length(v.t) > 1000 THEN NULL "
            f"WHEN v.t ~ '^-?([0-9]+([.][0-9]*)?|[.][0-9]+)$' THEN {read} "
            f"WHEN v.t ~ '^-?[0-9]+([.][0-9]+)?[eE][+-][0-9]{{1,3}}$' THEN {large} END"
        )
        return f"(SELECT {found} FROM (SELECT btrim(CAST({column} AS text)) AS t OFFSET 0) v)"


_NUMERIC = ("numeric", "bigint", "integer", "smallint", "real", "double precision")


def _typed(column: str, *types: str) -> str:
    """Say that a column of PostgreSQL has one of some types; each is a constant before the statement runs."""
    named = ", ".join(f"CAST('{name}' AS regtype)" for name in types)
    return f"pg_typeof({column}) IN ({named})"


def _template(made: str) -> str:
    """Make a template of SQL for the column `@`."""
    return made.replace("{", "{{").replace("}", "}}").replace("@", "{0}")


def _sqlite_day() -> str:
    """Read a day: SQLite's own calendar knows it, once it has to reckon with it."""
    text = "CAST(@ AS TEXT)"
    quick = f"date({text}, '+0 days') = {text} AND {text} >= '0001'"
    slow = f"{text} GLOB '{_DAY}*' AND date(substr({text}, 1, 10), '+0 days') = substr({text}, 1, 10)"
    read = f"SELECT substr({_SQLITE_MOMENT}, 1, 10) FROM ({_SQLITE_TEXT}) v WHERE {_SQLITE_SOUND}"
    return _template(f"CASE WHEN {quick} THEN {text} WHEN {slow} THEN ({read}) END")


def _sqlite_moment() -> str:
    text = "CAST(@ AS TEXT)"
    quick = f"datetime({text}, '+0 days') = {text} AND {text} >= '0001-01-03' AND {text} < '9999-12-30'"
    slow = f"{text} GLOB '{_DAY}*' AND date(substr({text}, 1, 10), '+0 days') = substr({text}, 1, 10)"
    read = f"SELECT {_SQLITE_MOMENT} FROM ({_SQLITE_TEXT}) v WHERE {_SQLITE_SOUND}"
    return _template(
        f"CASE WHEN {quick} THEN replace({text}, ' ', 'T') || '.000000Z' "
        f"WHEN {slow} THEN ({read} AND {_SQLITE_MOMENT} BETWEEN '0001-01-03' AND '9999-12-30') END"
    )


_TWO = _DIGIT * 2
_DAY = f"{_TWO}{_TWO}-{_TWO}-{_TWO}"
_OFFSET = f"*:{_TWO}*[+-]{_TWO}"
_SQLITE_TEXT = (
    f"SELECT CASE WHEN rtrim(@) GLOB '{_OFFSET}' THEN rtrim(@) || ':' || '00' WHEN rtrim(@) GLOB '{_OFFSET}{_TWO}' "
    "THEN substr(rtrim(@), 1, length(rtrim(@)) - 2) || ':' || substr(rtrim(@), -2) ELSE rtrim(@) END AS t LIMIT 1"
).replace("@", "CAST(@ AS TEXT)")
"""A text whose offset is written as SQLite knows it; the limit keeps it from being put in the place of each mention."""
_SQLITE_SOUND = (
    f"(length(v.t) = 10 OR v.t GLOB '{_DAY}[T ]{_TWO}:{_TWO}*') AND substr(v.t, 12, 2) < '24' "
    "AND v.t NOT GLOB '*.' AND v.t NOT GLOB '*.[^0-9]*' AND v.t >= '0001'"
)
_FRACTION = "CASE WHEN substr(v.t, 20, 1) = '.' THEN {0} ELSE {1} END"
_BEHIND = "ltrim(substr(v.t, 21), '0123456789')"
_SQLITE_MOMENT = (
    f"replace(datetime({_FRACTION.format(f'substr(v.t, 1, 19) || {_BEHIND}', 'v.t')}), ' ', 'T') || '.' || "
    f"""substr({_FRACTION.format(f"replace(substr(v.t, 21), {_BEHIND}, '')", "''")} || '000000', 1, 6) || 'Z'"""
)
"""A moment in UTC. SQLite reckons in thousandths, and rounds: the fraction is left as it is."""
_PLAIN = "to_jsonb(@) #>> '{}'"
"""A value of any of PostgreSQL's types as text; days and moments as ISO 8601 writes them, whatever a session wants."""


def _postgresql_day() -> str:
    """Read a day; only CASE keeps a cast from being made too early."""
    kept = f"CASE WHEN {_PLAIN} ~ '^....-..-..(T[^ ]*)?$' THEN substr({_PLAIN}, 1, 10) COLLATE \"C\" END"
    read = "CASE WHEN length(s.t) > 10 THEN substr(s.m, 1, 10) WHEN s.m IS NOT NULL THEN s.t END"
    return _template(
        f"CASE WHEN {_typed('@', 'date', 'timestamp')} THEN {kept} "
        f'WHEN @ IS NOT NULL THEN (SELECT {read} COLLATE "C" FROM ({_postgresql_stamp()}) s) END'
    )


def _postgresql_moment() -> str:
    return _template(
        f'CASE WHEN @ IS NOT NULL THEN (SELECT s.m COLLATE "C" FROM ({_postgresql_stamp()}) s '
        "WHERE s.m COLLATE \"C\" >= '0001-01-03' AND s.m COLLATE \"C\" < '9999-12-30') END"
    )


def _postgresql_stamp() -> str:
    """Read a text as `t`, and as the moment `m` in UTC, in the same ways as SQLite does."""
    sixty = "[0-5][0-9]"
    zone = f"[Zz]|[+-](0[0-9]|1[0-4])(:?{sixty}(:{sixty})?)?"
    time = f"([01][0-9]|2[0-3]):{sixty}(:{sixty}([.][0-9]+)?)?( *({zone}))?"
    shape = f"'^[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]{time})?$'"
    month = "make_date(CAST(substr(a.t, 1, 4) AS int), CAST(substr(a.t, 6, 2) AS int), 1)"
    last = f"extract(day FROM {month} + CAST('1 month' AS interval) - CAST('1 day' AS interval))"
    digits = "regexp_replace(a.t, '([.][0-9]{6})[0-9]+', '\\1')"
    moment = f"CAST({digits} || CASE WHEN substr(a.t, 11) ~ '[Zz+-]' THEN '' ELSE 'Z' END AS timestamptz)"
    sound = f"CASE WHEN a.t ~ {shape} AND substr(a.t, 1, 4) <> '0000' THEN CAST(substr(a.t, 9, 2) AS int) <= {last} END"
    text = f"SELECT rtrim({_PLAIN}) AS t OFFSET 0"
    found = f"SELECT a.t, CASE WHEN {sound} THEN {moment} AT TIME ZONE 'UTC' END AS m FROM ({text}) a"
    years = "u.m >= timestamp '0001-01-01' AND u.m < timestamp '9999-12-31' + CAST('1 day' AS interval)"
    shown = 'to_char(u.m, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
    return f"SELECT u.t, CASE WHEN {years} THEN {shown} END AS m FROM ({found} OFFSET 0) u"


def _postgresql_json(start: str, empty: str) -> str:
    """Read JSON that begins with a sign, from a column of JSON or of text; all else is read as empty.

    PostgreSQL raises on text that is none, and before its version 16 cannot say so beforehand. So the text is looked
    at: what is written as a value gives way to a sign of its own, from inside out, until one is left.
    """
    pair = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    bare = f"regexp_replace(replace(v.t, '\\\\', ''), '{pair}', '', 'g')"
    escaped = f"CASE WHEN strpos(v.t, '\\u') > 0 THEN {bare} !~ '\\\\u(0000|[dD][89a-fA-F])' ELSE TRUE END"
    left = r"""regexp_replace(v.t, '"([^"\\\x01-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"', chr(1), 'g')"""
    word = "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?|true|false|null"
    left = rf"regexp_replace(regexp_replace({left}, '{word}', chr(2), 'g'), '[ \t\r\n]', '', 'g')"
    value, pairs = r"[\x01\x02]", r"\x01:[\x01\x02]"
    for _ in range(_DEPTH):
        left = rf"regexp_replace({left}, '\[({value}(,{value})*)?\]|\{{({pairs}(,{pairs})*)?\}}', chr(2), 'g')"
    clean = r"v.t !~ '[\x01-\x08\x0b\x0c\x0e-\x1f]'"
    sound = f"CASE WHEN {_typed('@', 'json')} THEN TRUE WHEN {clean} THEN {left} = chr(2) END"
    begun = rf"v.t ~ '^[ \t\r\n]*\{start}'"
    slowly = f"CASE WHEN {begun} THEN CASE WHEN {escaped} THEN CASE WHEN {sound} THEN v.t END END END"
    slowly = f"(SELECT {slowly} FROM (SELECT CAST(@ AS text) AS t OFFSET 0) v)"
    quick = f"CASE WHEN substr(CAST(@ AS text), 1, 1) = '{start}' THEN CAST(@ AS text) END"
    read = f"CASE WHEN {_typed('@', 'jsonb')} THEN {quick} WHEN @ IS NOT NULL THEN {slowly} END"
    return _template(f"COALESCE({read}, '{empty}')")


_DEPTH = 6
"""How many lists and objects may stand in one another in JSON in a column of text of PostgreSQL."""
_NO = ("", "0", "false", "f", "no", "n", "off")
"""How programs write that a flag is not set, in any case."""


_SPECIAL = "\u00df\u0130\u0149\u017f\u037e\u1e9a\u1e9e\u1fef\u212a\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"
"""Every character beside ASCII whose folded form holds an ASCII one."""


def _without(text: str, *signs: str) -> str:
    for sign in signs:
        text = f"replace({text}, '{sign}', '{sign.replace(',', '').replace(' ', '') if len(sign) > 1 else ''}')"
    return text


_ITEMS = _without("{0}", '", "', '","')
"""A list without what stands between its items; a comma that is left may begin an extension."""

SQLITE = _SQLite(
    text="CAST({0} AS TEXT)",
    control="({0} GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || ']*')",
    unprinted="({0} GLOB '*[' || char(1) || '-' || char(8) || char(11) || char(12) || char(14) || '-' || char(31) || "
    "char(127) || '-' || char(159) || ']*')",
    text_keys="typeof({0}) = 'text'",
    day=_sqlite_day(),
    moment=_sqlite_moment(),
    endless="{0} IS NULL",
    flag=f"CASE WHEN {{0}} IS NULL THEN {{1}} WHEN lower(trim(CAST({{0}} AS TEXT))) IN {_NO} "
    "OR trim(CAST({0} AS TEXT), ' 0.') = '' THEN 0 ELSE 1 END",
    whole="CASE WHEN typeof({0}) = 'integer' AND {0} BETWEEN {1} AND {2} THEN {0} ELSE {3} END",
    list="(SELECT CASE WHEN json_valid(v.t) AND json_type(v.t) = 'array' THEN v.t ELSE '[]' END "
    "FROM (SELECT CAST({0} AS TEXT) AS t LIMIT 1) v)",
    mapping="(SELECT CASE WHEN json_valid(v.t) AND json_type(v.t) = 'object' THEN v.t ELSE '{{}}' END "
    "FROM (SELECT CAST({0} AS TEXT) AS t LIMIT 1) v)",
    texts="(SELECT json_group_array(CAST(e.value AS TEXT)) FROM json_each({0}) e "
    "WHERE e.type IN ('text', 'integer') AND trim(e.value) <> '' AND length(e.value) <= {1})",
    each="json_each({0}) e",
    special=f"{{0}} GLOB '*[{_SPECIAL}]*'",
    lower="lower({0})",
    bare=_without(_ITEMS, *" +()./-"),
    odd=f"{_ITEMS} GLOB '*[^][0-9 \"+()./-]*'",
    payments="(SELECT json_group_array(json_object('paid_on', p.d, 'amount', json_object('amount', p.a, "
    "'currency', p.c))) FROM (SELECT {day} AS d, CAST(COALESCE(json_extract(e.value, '$.amount.amount'), "
    "json_extract(e.value, '$.amount')) AS TEXT) AS a, COALESCE(json_extract(e.value, '$.amount.currency'), "
    "{currency}) AS c FROM json_each({list}) e WHERE e.type = 'object' AND COALESCE(json_type(e.value, "
    "'$.amount.amount'), json_type(e.value, '$.amount')) IN ('text', 'integer', 'real')) p WHERE p.d IS NOT NULL "
    "AND p.c = {currency} AND length(p.a) <= 60 AND (p.a GLOB '[0-9]*' OR p.a GLOB '-[0-9]*') AND p.a NOT GLOB "
    "'*[^0-9.-]*' AND p.a NOT GLOB '?*-*' AND p.a NOT GLOB '*.*.*' AND p.a NOT GLOB '*.' AND {units} IS NOT NULL)",
    settled="(SELECT CASE WHEN {total} - COALESCE(SUM(p.a), 0) = 0 THEN COALESCE(MAX(CASE WHEN {total} - p.run = 0 "
    "AND p.a <> 0 THEN p.d END), {issued}) END FROM (SELECT q.a, q.d, SUM(q.a) OVER (ORDER BY q.d, "
    "q.n ROWS UNBOUNDED PRECEDING) AS run FROM (SELECT {units} AS a, json_extract(e.value, '$.paid_on') AS d, "
    "e.key AS n FROM json_each({payments}) e) q) p)",
)

POSTGRESQL = _PostgreSQL(
    text='CAST({0} AS TEXT) COLLATE "C"',
    control="({0} ~ '[\\x01-\\x1f\\x7f-\\x9f]')",
    unprinted="({0} ~ '[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]')",
    text_keys="",
    day=_postgresql_day(),
    moment=_postgresql_moment(),
    endless=f"COALESCE({_template(_PLAIN)} = '{{1}}', TRUE)",
    flag=f"CASE WHEN {{0}} IS NULL THEN {{1}} WHEN lower(btrim(CAST({{0}} AS text))) IN {_NO} "
    "OR btrim(CAST({0} AS text), ' 0.') = '' THEN 0 ELSE 1 END",
    whole="CASE WHEN CAST({0} AS text) ~ '^-?[0-9]{{1,19}}([.]0*)?$' THEN CASE WHEN CAST(CAST({0} AS text) AS numeric) "
    "BETWEEN {1} AND {2} THEN CAST(CAST(CAST({0} AS text) AS numeric) AS bigint) ELSE {3} END ELSE {3} END",
    list=_postgresql_json("[", "[]"),
    mapping=_postgresql_json("{", "{}"),
    texts="(SELECT COALESCE(CAST(json_agg(e.value) AS text), '[]') "
    "FROM json_array_elements_text(CAST({0} AS json)) e(value) "
    "WHERE trim(e.value) <> '' AND length(e.value) <= {1})",
    each="json_array_elements_text(CAST({0} AS json)) e(value)",
    special=f"{{0}} ~ '[{_SPECIAL}]'",
    lower='lower({0} COLLATE "C")',
    bare=_without(_ITEMS, *" +()./-"),
    odd=f"{_ITEMS} ~ '[^][0-9 \"+()./-]'",
    payments="(SELECT COALESCE(CAST(json_agg(json_build_object('paid_on', p.d, 'amount', json_build_object('amount', "
    "p.a, 'currency', p.c)) ORDER BY p.n) AS text), '[]') FROM (SELECT {day} AS d, COALESCE(e.value -> 'amount' ->> "
    "'amount', e.value ->> 'amount') AS a, COALESCE(e.value -> 'amount' ->> 'currency', {currency}) AS c, e.n "
    "FROM json_array_elements(CAST({list} AS json)) WITH ORDINALITY e(value, n) "
    "WHERE json_typeof(e.value) = 'object') p WHERE p.d IS NOT NULL AND p.c = {currency} "
    "AND length(p.a) <= 60 AND p.a ~ '^-?[0-9]+(\\.[0-9]+)?$' AND {units} IS NOT NULL)",
    settled="(SELECT CASE WHEN {total} - COALESCE(SUM(p.a), 0) = 0 THEN COALESCE(MAX(CASE WHEN {total} - p.run = 0 "
    "AND p.a <> 0 THEN p.d END), {issued}) END FROM (SELECT q.a, q.d, SUM(q.a) OVER (ORDER BY q.d, "
    "q.n ROWS UNBOUNDED PRECEDING) AS run FROM (SELECT {units} AS a, e.value ->> 'paid_on' AS d, e.n "
    "FROM json_array_elements(CAST({payments} AS json)) WITH ORDINALITY e(value, n)) q) p)",
)

READINGS = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
