"""Whose number is it? Telephone numbers as people write them, for caller ID.

Nothing derived is kept with a record. A stored number has *keys*, made of its text alone, so that
an index of them stays right when the organisation moves to another country. The asked number has
keys too: they find the candidates, too many rather than too few, and `match` then reads each
candidate in its region.

    >>> ringing = asked("+49 89 1234567", "DE")
    >>> ringing.keys.isdisjoint(keys("089 1234-0"))
    False
    >>> match(ringing, "089 1234-0", regions=["DE"], head=True)
    3

The head number, and three digits of an extension.

Source: visibility.md (caller ID and its rulings), model.md (phone numbers).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import attrs

LONGEST_TEXT = 250
"""Characters. A longer text is no phone number: no keys, no digits, no international form."""

MOST_EXTENSION_DIGITS = 5
FEWEST_PREFIX_DIGITS = 6
"""A prefix counts from six digits after the country code, for at most five more (visibility.md)."""

_FEWEST_DIGITS_READ = 4  # "112" and "Pforte 12" are dialled where they stand, and from nowhere else
_MOST_DIGITS_READ = 25  # the library's 17, a country code, and what is dialled before it
_FEWEST_BEFORE_COMMA = 6  # "089 1234567, 0171 ..." ends at the comma; "0171,1234567" does not
_NUMERALS_OF_1 = 10  # all numbers of +1 have ten digits
_LONGEST_CODE = 3  # digits of a country code
_LONG_KEY = 6
SHORT_KEY = 4
"""The digits that a number of fewer than seven is looked up by: the last ones."""

_CACHED = 1024  # texts, and numbers read

# Other hands' dashes; the last one is a Japanese letter, used as one.
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc")
_KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_LETTER = re.compile(r"[^\W\d_]")
_HEAD = re.compile(r"\d\s*[-/]\s*0\W*$")
# What announces an extension. "direct" words are Austrian and German: the digits after them may
# also be dialled right behind the number.
_EXTENSION = re.compile(
    r"""(?:(?<![^\W\d_])
        (?: (?P<direct> durchwahl | dw | klappe | kl )
          | ext(?:n|ensi(?:on|\u00f3n))? | x | int(?:erno)? | app(?:arat)? | nebenstelle | nst
          | poste | ramal | anexo | toestel | tst | ankn | lokal | wewn? | \u0434\u043e\u0431 )
        [\s.:=-]* | \#\s* | (?P<comma>[,;])[\s,;]* )
        (?P<number>\d+)""",
    re.VERBOSE,
)


@attrs.frozen
class Asked:
    """What a caller's number may mean: made by `asked`, for the look-up and for `match`.

    `text` and `region` are as given, `digits` the digits written (without an extension; letters
    are digits only in regions of +1), `keys` what to look up.

    >>> asked("0043 1 2345678", None).digits
    '004312345678'
    """

    text: str
    region: str | None
    digits: str
    keys: frozenset[str]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The international forms (E.164) it may have, likeliest first; empty: none can be read.

        Read when first needed: a call that finds no candidate never loads the phone library.

        >>> asked("0043 1 2345678", "DE").numbers
        ('+4312345678',)
        >>> asked("089 1234567", None).numbers
        ()
        """
        return tuple(number.international for number in _numbers(self.text, self.region))


@attrs.frozen
class _Written:
    """One text taken apart before any region is known: its digits, and what its signs say."""

    digits: str = ""  # all that are written, without an extension
    main: str = ""  # those before the first letter
    letters: str = ""  # as on a keypad, letters being digits; empty where there are none
    direct: str = ""  # with an extension dialled right behind; empty where there is none
    plus: bool = False
    zero: bool = False  # ends with -0

    @property
    def spellings(self) -> tuple[str, ...]:
        ways = (self.digits, self.main, self.letters, self.direct)
        return tuple(dict.fromkeys(filter(None, ways)))

    @property
    def head(self) -> str:
        """What a number with -0 at its end is registered as; otherwise the number."""
        return self.main[:-1] if self.zero else self.main


@attrs.frozen
class _Number:
    """A number as read: country code and the digits after it, Italian leading zeros included."""

    code: str
    national: str
    possible: bool

    @property
    def international(self) -> str:
        return f"+{self.code}{self.national}"

    @property
    def is_prefix(self) -> bool:
        return self.possible and len(self.national) >= FEWEST_PREFIX_DIGITS


def keys(text: str) -> frozenset[str]:
    """Make the look-up keys of a stored number from its text alone: for an index, one row a key.

    Seven digits or more are looked up by their last six, fewer by their last four. Most numbers
    have one key; there are more where a text can be read in several ways (`-0` at its end, letters,
    "DW 12"). Empty for a text without digits, or one of more than 250 characters. Takes time in
    proportion to the text's length.

    >>> sorted(keys("+49 89 1234-0"))
    ['6:891234', '6:912340']
    >>> keys("reception")
    frozenset()

    Source: visibility.md, caller ID; the keys are ours.
    """
    written = _written(text)
    return frozenset(_key(digits) for digits in (*written.spellings, written.head) if digits)


def asked(number: str, region: str | None) -> Asked:
    """Prepare the number of a caller, as it came from the telephone or was typed.

    `region` is the book's, an ISO country code; with None, or a code nobody knows, a national
    number is found by equal digits only. Any text is accepted: one that means nothing has no keys
    and finds nothing.

    >>> asked("+1 800 FLOWERS", "DE").numbers[0]
    '+18003569377'
    >>> asked("anonymous", "DE").keys
    frozenset()

    Source: visibility.md, "asked numbers in international form, with 00, or nationally in the
    book's region or as stored".
    """
    written = _written(number)
    digits = _vanity(written, region) or written.digits
    return Asked(number, region, digits=digits, keys=_wanted(number, region))


def match(asked: Asked, stored: str, *, regions: Iterable[str | None], head: bool) -> int | None:
    """Say whether an asked number is a stored one, or an extension of it.

    None is no match, 0 this very number, 1 to 5 how many digits the extension has. `regions` are
    those in which the stored number may be read: its organisation's, else the book's. `head` says
    that the number is an organisation's, which makes it a prefix for unknown extensions; a person's
    number never is one. A number matches only where `asked.keys` and `keys(stored)` share a key, so
    that a search through an index and one without find the same.

    >>> match(asked("0171 5557788", "GB"), "(171) 555-7788", regions=["GB"], head=True)
    0
    >>> match(asked("+49 89 1234567", None), "+49 89 1234-0", regions=["DE"], head=False) is None
    True

    Source: visibility.md, caller ID and its rulings.
    """
    if asked.keys.isdisjoint(keys(stored)):
        return None
    return _compare(asked, stored, tuple(regions) or (None,), head=head)


def international(text: str, region: str | None) -> str | None:
    """Give the E.164 form of a number in a region; None: unreadable, or fewer than four digits.

    The number need not exist, nor be possible: real master data are old.

    >>> international("(1) 354-2534", "PT")
    '+35113542534'
    >>> international("Pforte 12", "DE") is None
    True

    Source: model.md, "parsed, not required to be valid".
    """
    numbers = _numbers(text, region)
    return numbers[0].international if numbers else None


def readable(text: str, region: str | None) -> bool:
    """Say whether a number can be read in a region: whether `international` gives a form, but much quicker.

    What cannot fail is not parsed: a country code there is with enough digits behind it, and plain digits in a known
    region that do not begin as a call abroad does.

    >>> readable("+49 89 1234-0", None), readable("089 1234", None), readable("reception", "DE")
    (True, False, False)
    """
    return _surely_read(_written(text), region) or bool(_numbers(text, region))


def _surely_read(written: _Written, region: str | None) -> bool:
    digits = written.main
    if written.letters or not _FEWEST_SURE <= len(digits) <= _MOST_SURE:
        return False
    if written.plus:
        return any(digits[:length] in _country_codes() for length in range(1, _LONGEST_CODE + 1))
    abroad = _going_abroad(region)
    return abroad is not None and abroad.match(digits) is None


_FEWEST_SURE, _MOST_SURE = 8, 15


@lru_cache(maxsize=1)
def _country_codes() -> frozenset[str]:
    import phonenumbers  # late: see _parse

    return frozenset(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE))


@lru_cache(maxsize=_CACHED)
def _going_abroad(region: str | None) -> re.Pattern[str] | None:
    """Return what is dialled before a country code in a region; None for a region nobody knows."""
    import phonenumbers  # late: see _parse

    code = _known(region)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(code, None) if code else None
    return re.compile(metadata.international_prefix) if metadata and metadata.international_prefix else None


# --- comparing ------------------------------------------------------------------------------------


def _compare(asked: Asked, stored: str, regions: tuple[str | None, ...], *, head: bool) -> int | None:
    if _is_written_alike(asked, stored, regions, head=head):
        return 0
    wanted = asked.numbers
    readings = chain.from_iterable(_numbers(stored, region) for region in regions)
    if any(number.international in wanted for number in readings):
        return 0
    return _extension(wanted, stored, regions) if head else None


def _is_written_alike(asked: Asked, stored: str, regions: tuple[str | None, ...], *, head: bool) -> bool:
    """Equal digits count, but not between +33 1... and a national 331... that is another number."""
    caller, written = _written(asked.text), _written(stored)
    letters = next(filter(None, (_vanity(written, region) for region in regions)), "")
    whole = {written.digits, written.head} if head and written.zero else {written.digits}
    alike = {letters} if letters else whole
    if alike.isdisjoint({asked.digits, caller.letters} - {""}):
        return False
    if written.plus or not caller.plus:
        return True
    return not any(number.possible for region in regions for number in _numbers(stored, region))


def _extension(wanted: tuple[str, ...], stored: str, regions: tuple[str | None, ...]) -> int | None:
    """Count the digits the asked number has more than the longest of the registered ones."""
    registered = [number for region in regions for number in _registered(stored, region)]
    more = [
        len(number) - len(short.international)
        for number in wanted
        for short in registered
        if number == short.international or (short.is_prefix and number.startswith(short.international))
    ]
    return min((digits for digits in more if digits <= MOST_EXTENSION_DIGITS), default=None)


def _registered(stored: str, region: str | None) -> tuple[_Number, ...]:
    """Read an organisation's number as it is registered: without the 0 of a -0 at its end.

    The 0 is taken off before reading and after: where all numbers are equally long, the library
    does not know a shorter one, neither as possible nor by its trunk prefix.
    """
    written = _written(stored)
    if not written.zero:
        return _numbers(stored, region)
    whole = _readings(written.main, region, plus=written.plus)
    cut = (attrs.evolve(number, national=number.national[:-1]) for number in whole)
    return (*cut, *_readings(written.head, region, plus=written.plus))


# --- keys -----------------------------------------------------------------------------------------


def _key(digits: str) -> str:
    return _suffix(digits, _LONG_KEY if len(digits) > _LONG_KEY else SHORT_KEY)


def _suffix(digits: str, size: int) -> str:
    return f"{min(size, len(digits))}:{digits[-size:]}"


def _wanted(text: str, region: str | None) -> frozenset[str]:
    """Make the keys of whatever stored number may be the asked one, whole or with digits more."""
    found: set[str] = set()
    for digits in _forms(text, region):
        beginnings = (digits[:-cut] for cut in range(1, MOST_EXTENSION_DIGITS + 1))
        long_enough = (start for start in beginnings if len(start) >= FEWEST_PREFIX_DIGITS)
        for form in (digits, *long_enough):
            found |= {_suffix(form, _LONG_KEY), _suffix(form, SHORT_KEY)}
    return frozenset(found)


def _forms(text: str, region: str | None) -> Iterator[str]:
    """Yield the digits a stored number may end with.

    The digits written say it all where at least six follow the country code. Where fewer do, the
    last six of a stored number reach into what is written before it: 00 and country code, or (0).
    """
    written = _written(text)
    yield from written.spellings
    if written.plus and len(written.main) >= _LONGEST_CODE + _LONG_KEY:
        return
    for number in _numbers(text, region):
        yield number.code + number.national
        if len(number.national) < _LONG_KEY:
            yield f"00{number.code}{number.national}"
            yield f"{number.code}0{number.national}"


# --- reading in a region --------------------------------------------------------------------------


def _numbers(text: str, region: str | None) -> tuple[_Number, ...]:
    """Read a text in a region in every way it can be meant, the likeliest first."""
    return _read(text[: LONGEST_TEXT + 1], region)  # so that the cache keeps no long text


@lru_cache(maxsize=_CACHED)
def _read(text: str, region: str | None) -> tuple[_Number, ...]:
    written = _written(text)
    vanity = _vanity(written, region)
    ways = (vanity,) if vanity else filter(None, (written.main, written.direct))
    readings = (_readings(digits, region, plus=written.plus) for digits in ways)
    return tuple(dict.fromkeys(chain.from_iterable(readings)))


def _vanity(written: _Written, region: str | None) -> str:
    """Take letters for digits, which they are only in regions of +1 (visibility.md).

    Behind ten numerals they are a remark: "(503) 555-7555 reception".
    """
    main = written.main
    if not written.letters or len(main) >= _NUMERALS_OF_1:
        return ""
    abroad = main if written.plus else main[2:] if main.startswith("00") else ""
    is_of_1 = abroad.startswith("1") if abroad else _code(region) == 1
    return written.letters if is_of_1 else ""


def _readings(digits: str, region: str | None, *, plus: bool) -> tuple[_Number, ...]:
    """Read digits after a +, after 00 (a + everywhere), and as dialled in the region.

    A + before what is no country code ("+0049 89", "+089") means nothing.
    """
    if plus and (number := _parse(f"+{digits}", None)):
        return number
    abroad = _parse(f"+{digits[2:]}", None) if digits.startswith("00") else ()
    return tuple(dict.fromkeys(abroad + _parse(digits, region)))


@lru_cache(maxsize=_CACHED)
def _parse(dialled: str, region: str | None) -> tuple[_Number, ...]:
    """Ask the library, which gets nothing but digits and a +; one number, or none."""
    import phonenumbers  # costs 50 ms, paid by the first call that needs it

    if not _FEWEST_DIGITS_READ <= len(dialled.lstrip("+")) <= _MOST_DIGITS_READ:
        return ()
    try:
        parsed = phonenumbers.parse(dialled, _known(region))
    except phonenumbers.NumberParseException:
        return ()
    national = phonenumbers.national_significant_number(parsed)
    # Not `is_possible_number`: it accepts a number without its area code, and in +1 that would be
    # a prefix of other people's numbers.
    length = phonenumbers.is_possible_number_with_reason(parsed)
    possible = length == phonenumbers.ValidationResult.IS_POSSIBLE
    return (_Number(str(parsed.country_code), national, possible),)


def _known(region: str | None) -> str | None:
    import phonenumbers  # late: see _parse

    code = (region or "").strip().upper()
    return code if code in phonenumbers.SUPPORTED_REGIONS else None


def _code(region: str | None) -> int:
    import phonenumbers  # late: see _parse

    return phonenumbers.country_code_for_region(_known(region) or "")


# --- taking a text apart --------------------------------------------------------------------------


def _written(text: str) -> _Written:
    return _taken_apart(text) if len(text) <= LONGEST_TEXT else _Written()


@lru_cache(maxsize=_CACHED)
def _taken_apart(text: str) -> _Written:
    # Brazil writes "0xx11", xx being a carrier of one's choice.
    plain = "".join(map(_plain, text)).replace("0xx", "0")
    first = re.search(r"\d", plain)
    if first is None:
        return _Written()
    body, direct = _without_extension(plain[first.start() :])
    letter = _LETTER.search(body)
    main = body[: letter.start()] if letter else body
    return _Written(
        digits=_digits(body),
        main=_digits(main),
        letters=_digits(body.translate(_KEYPAD)) if letter else "",
        direct=_digits(main) + direct if direct else "",
        plus="+" in plain[: first.start()],
        zero=_HEAD.search(main) is not None,
    )


def _without_extension(text: str) -> tuple[str, str]:
    """Split off an extension; it is returned where it may be dialled right behind the number."""
    for found in _EXTENSION.finditer(text):
        body = text[: found.start()]
        if not found["comma"] or len(_digits(body)) >= _FEWEST_BEFORE_COMMA:
            return body, found["number"] if found["direct"] else ""
    return text, ""


def _plain(sign: str) -> str:
    """Write a digit, dash, letter or sign of another keyboard in ASCII, in small letters."""
    if sign.isascii():
        return sign.lower()
    if sign in _DASHES:
        return "-"
    digit = unicodedata.decimal(sign, None)
    if digit is not None:
        return str(digit)
    return chr(ord(sign) - 0xFEE0).lower() if "\uff01" <= sign <= "\uff5e" else sign


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)
