"""How a host's columns are read as ours are kept: fragments of SQL for SQLite and PostgreSQL, by sort of column.

What a field cannot hold becomes nothing, or what the field holds when nothing is given; text is brought to one that it
can hold. It is done in SQL, so that every condition, count and sum sees the same rows as the lists do.
"""

from __future__ import annotations

import attrs

from keyaccount.money import CURRENCIES, SCALE

_LARGEST = 10**16
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
    moment: str
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

    def currency(self, column: str) -> str:
        """Read a currency."""
        text = self.text.format(column)
        return f"CASE WHEN {text} IN ('', {_CURRENCIES}) THEN {text} END"

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
        """Read it from a NUMERIC, or what casts to one."""
        number = f"CAST({column} AS numeric)"
        sound = f"abs({number}) <= 1000000000000 AND {number} = round({number}, {places})"
        return f"CASE WHEN {sound} THEN CAST({number} * {10**SCALE} AS bigint) END"


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
    day="CASE WHEN date(substr(CAST({0} AS TEXT), 1, 10)) = substr(CAST({0} AS TEXT), 1, 10) "
    "AND substr(CAST({0} AS TEXT), 1, 4) >= '0001' THEN substr(CAST({0} AS TEXT), 1, 10) END",
    moment="CASE WHEN datetime(substr(CAST({0} AS TEXT), 1, 19)) IS NOT NULL AND length(CAST({0} AS TEXT)) >= 19 "
    "AND substr(CAST({0} AS TEXT), 1, 4) >= '0001' "
    "THEN substr(CAST({0} AS TEXT), 1, 10) || 'T' || substr(CAST({0} AS TEXT), 12, 8) || '.' || "
    "substr(rtrim(substr(CAST({0} AS TEXT), 21), 'Zz') || '000000', 1, 6) || 'Z' END",
    flag="CASE WHEN {0} IS NULL THEN {1} "
    "WHEN CAST({0} AS TEXT) IN ('0', '0.0', '', 'false', 'f', 'no') THEN 0 ELSE 1 END",
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
    "{currency}) AS c FROM json_each({list}) e WHERE e.type = 'object') p WHERE p.d IS NOT NULL AND p.c = {currency} "
    "AND {units} IS NOT NULL AND p.a NOT GLOB '*[eE]*')",
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
    day="CASE WHEN CAST({0} AS date) BETWEEN date '0001-01-01' AND date '9999-12-31' "
    "THEN to_char(CAST({0} AS date), 'YYYY-MM-DD') COLLATE \"C\" END",
    moment="CASE WHEN CAST({0} AS date) BETWEEN date '0001-01-03' AND date '9999-12-29' "
    'THEN to_char(CAST({0} AS timestamp), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') COLLATE "C" END',
    flag="CASE WHEN {0} IS NULL THEN {1} WHEN CAST({0} AS text) IN ('0', '', 'false', 'f', 'no') THEN 0 ELSE 1 END",
    whole="CASE WHEN CAST({0} AS numeric) BETWEEN {1} AND {2} THEN CAST({0} AS bigint) ELSE {3} END",
    list="CASE WHEN json_typeof(CAST({0} AS json)) = 'array' THEN CAST({0} AS text) ELSE '[]' END",
    mapping="CASE WHEN json_typeof(CAST({0} AS json)) = 'object' THEN CAST({0} AS text) ELSE '{{}}' END",
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
    "AND p.a ~ '^-?[0-9]+(\\.[0-9]+)?$' AND {units} IS NOT NULL)",
    settled="(SELECT CASE WHEN {total} - COALESCE(SUM(p.a), 0) = 0 THEN COALESCE(MAX(CASE WHEN {total} - p.run = 0 "
    "AND p.a <> 0 THEN p.d END), {issued}) END FROM (SELECT q.a, q.d, SUM(q.a) OVER (ORDER BY q.d, "
    "q.n ROWS UNBOUNDED PRECEDING) AS run FROM (SELECT {units} AS a, e.value ->> 'paid_on' AS d, e.n "
    "FROM json_array_elements(CAST({payments} AS json)) WITH ORDINALITY e(value, n)) q) p)",
)

READINGS = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
