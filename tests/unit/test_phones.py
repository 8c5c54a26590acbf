"""Telephone numbers: laws of the keys, old master data, and text that is no number at all."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import attrs
import phonenumbers
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from keyaccount import phones

NORTHWIND = Path(__file__).parents[3] / "shared" / "data" / "northwind" / "customers.csv"
COUNTRIES = {
    "Argentina": "AR", "Austria": "AT", "Belgium": "BE", "Brazil": "BR", "Canada": "CA",
    "Denmark": "DK", "Finland": "FI", "France": "FR", "Germany": "DE", "Ireland": "IE",
    "Italy": "IT", "Mexico": "MX", "Norway": "NO", "Poland": "PL", "Portugal": "PT",
    "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "UK": "GB", "USA": "US", "Venezuela": "VE",
}  # fmt: skip
REGIONS = ("AR", "AT", "AU", "BR", "CH", "DE", "DK", "FR", "GB", "HU", "IT", "JP", "MX", "US")
FORMATS = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
)
PUNCTUATION = " \u00a0\u200b\u202a\u202c-./()\u2013\u30fc"


@attrs.frozen
class Customer:
    """A number as an old ERP holds it, and where it is read."""

    number: str
    region: str

    @property
    def international(self) -> str:
        """What the library makes of it: the independent model."""
        parsed = phonenumbers.parse(self.number, self.region)
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _customers() -> list[Customer]:
    if not NORTHWIND.is_file():
        return []
    with NORTHWIND.open(encoding="utf-8", newline="") as lines:
        return [Customer(row["phone"], COUNTRIES[row["country"]]) for row in csv.DictReader(lines)]


CUSTOMERS = _customers()
needs_northwind = pytest.mark.skipif(not CUSTOMERS, reason=f"no customers at {NORTHWIND}")


def found(number: str, region: str | None, stored: str, in_region: str | None = "DE") -> int | None:
    """Ask for an organisation's number, stored in one region."""
    return phones.match(phones.asked(number, region), stored, regions=[in_region], head=True)


@st.composite
def possible_numbers(draw: st.DrawFn) -> phonenumbers.PhoneNumber:
    """Draw a number that is possible somewhere: an example of the library's with other digits."""
    region = draw(st.sampled_from(REGIONS))
    kind = draw(st.sampled_from(sorted(phonenumbers.supported_types_for_region(region))))
    shown = phonenumbers.example_number_for_type(region, kind)
    assume(shown is not None)
    assert shown is not None
    start = phonenumbers.format_number(shown, FORMATS[0])[:-4]
    number = phonenumbers.parse(start + draw(st.text("0123456789", min_size=4, max_size=4)))
    assume(phonenumbers.is_possible_number(number))
    assume(len(phonenumbers.national_significant_number(number)) >= phones.FEWEST_PREFIX_DIGITS)
    return number


@st.composite
def written(draw: st.DrawFn, number: phonenumbers.PhoneNumber) -> tuple[str, str | None]:
    """Draw one way of writing a number, and a region in which it can be read."""
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    style = draw(st.sampled_from(FORMATS))
    text = phonenumbers.format_number(number, style)
    if text.startswith("+") and draw(st.booleans()):
        text = "00" + text[1:]
    tail = draw(st.sampled_from(["", " ext. 12", " (reception)", "-0"]))
    return text + (tail if home != "US" or "r" not in tail else ""), home


texts = st.text(max_size=260) | st.text("+0123456789 -/()#x,;.ext", max_size=40)
regions = st.sampled_from([*REGIONS, None, "XX", "", "de", "001"])


@settings(max_examples=500)
@given(data=st.data(), number=possible_numbers(), more=st.text("0123456789", max_size=5))
def test_keys_find_whatever_is_the_same(data: st.DataObject, number: phonenumbers.PhoneNumber, more: str) -> None:
    """A number that matches is among the candidates, in every writing: the keys hide nothing."""
    stored, home = data.draw(written(number))
    text, region = data.draw(written(number))
    asked = phones.asked(text + more, region)
    if phones._compare(asked, stored, (home,), head=True) is not None:
        assert asked.keys & phones.keys(stored)


@settings(max_examples=500)
@given(asked=texts, stored=texts, region=regions, head=st.booleans())
@example(asked="+49112", stored="0049112", region="DE", head=True)
@example(asked="+672312345", stored="+67212345", region="NF", head=True)
@example(asked="+54 9 2202 12345", stored="0 2202 15 12345", region="AR", head=True)
def test_junk_never_raises_and_keeps_the_law(asked: str, stored: str, region: str | None, head: bool) -> None:
    """Any text is answered, and a match is always a match of keys."""
    caller = phones.asked(asked, region)
    match = phones.match(caller, stored, regions=[region], head=head)
    assert match is None or caller.keys & phones.keys(stored)
    assert match is None or 0 <= match <= (phones.MOST_EXTENSION_DIGITS if head else 0)
    phones.international(stored, region)


@given(data=st.data(), number=possible_numbers())
def test_however_it_was_written(data: st.DataObject, number: phonenumbers.PhoneNumber) -> None:
    """A number in E.164 finds itself written nationally, internationally, with 00, or as a URL."""
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    style = data.draw(st.sampled_from(FORMATS))
    stored = phonenumbers.format_number(number, style)
    assume(phonenumbers.parse(stored, home) == number)  # not so for a few: a short 0800 in Japan
    asked = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert found(asked, None, stored, home) == 0
    assert found("00" + asked[1:], "US", stored, home) == 0


@given(
    digits=st.text("0123456789", min_size=4, max_size=15),
    signs=st.lists(st.text(PUNCTUATION, max_size=3), min_size=15, max_size=15),
    plus=st.booleans(),
)
def test_spacing_changes_nothing(digits: str, signs: list[str], plus: bool) -> None:
    """Spaces, brackets, dashes, dots and slashes between the digits are not part of the number."""
    text = "".join(digit + sign for digit, sign in zip(digits, signs, strict=False))
    plain, spaced = "+" * plus + digits, "+" * plus + text
    assert phones.keys(plain) <= phones.keys(spaced)  # one key more where a -0 came about
    assert phones.international(plain, "DE") == phones.international(spaced, "DE")
    assert phones.asked(plain, "DE").keys == phones.asked(spaced, "DE").keys
    both = phones.asked(plain, "DE")
    assert phones.match(both, spaced, regions=["DE"], head=False) == 0


@given(st.text("0123456789", min_size=6, max_size=9), st.text("0123456789", max_size=8))
def test_an_extension_is_counted(start: str, more: str) -> None:
    """An organisation's number is found with up to five more digits, and it is said how many."""
    stored = "+49 8" + start
    expected = len(more) if len(more) <= phones.MOST_EXTENSION_DIGITS else None
    assert found(stored + more, None, stored) == expected


@pytest.mark.parametrize("stored", ["+49 89 1234-0", "089/1234 - 0", "089 1234\u20130", "089 1234/0"])
def test_a_head_is_known_by_its_zero(stored: str) -> None:
    """A number with -0 at its end, however the dash looks, is the head of all behind it."""
    assert found("+49 89 1234567", None, stored) == 3
    assert found("+49 89 1234", None, stored) == 0
    assert found("+49 89 12340", None, stored) == 0


def test_most_numbers_cost_an_index_one_row() -> None:
    """One way to read it is one key, by six digits; there are more keys only for more readings."""
    assert phones.keys("+49 (0)89 1234567") == {"6:234567"}
    assert phones.keys("123456") == {"4:3456"}
    assert phones.keys("Pforte 12") == {"2:12"}
    assert phones.keys("+49 89 1234-0") == {"6:912340", "6:891234"}


def test_keys_need_no_region() -> None:
    """Keys are made of the text alone, without the phone library, which is not loaded for them."""
    code = (
        "import sys; from keyaccount import phones; "
        "phones.keys('089 1234-0'); phones.asked('+49 89 1234567', 'DE'); "
        "sys.exit('phonenumbers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_asked_tells_what_it_may_mean() -> None:
    """A leading 00 is a + everywhere, and besides that what the region makes of it."""
    asked = phones.asked("0049 89 1234567", "US")
    assert "+49891234567" in asked.numbers
    assert (asked.text, asked.region, asked.digits) == ("0049 89 1234567", "US", "0049891234567")
    assert phones.asked("089 1234567", None).numbers == ()
    assert phones.asked("1-800-FLOWERS", "US").digits == "18003569377"
    assert phones.asked("0800 FLOWERS", "DE").digits == "0800"


def test_short_numbers_are_dialled_where_they_stand() -> None:
    """Fewer than four digits have no international form; a short one with its code is found."""
    assert phones.international("Pforte 12", "DE") is None
    assert phones.international("112", "DE") is None
    assert found("+49112", None, "0049112") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "\ud800",
        "+\ud83d",
        "²³",
        "+" * 250,
        "(" * 250,
        "9" * 250,
        "\U0001f4de",
        "x,;#",
        "0xx",
    ],
    ids=ascii,
)
def test_what_is_no_number_finds_nothing(text: str) -> None:
    """Signs, half characters and far too many digits are answered with nothing, not an exception."""
    assert phones.international(text, "DE") is None
    assert found(text, "DE", "+49 89 1234567") is None
    assert found("+49 89 1234567", "DE", text) is None


def test_long_text_is_no_number() -> None:
    """A text beyond the documented limit has no keys and matches nothing, not even itself."""
    longest = "089 1234567".ljust(phones.LONGEST_TEXT)
    assert found("+49 89 1234567", "DE", longest) == 0
    assert phones.keys(longest + " ") == frozenset()
    assert phones.asked(longest + " ", "DE") == phones.Asked(longest + " ", "DE", "", frozenset())
    assert found(longest + " ", "DE", longest + " ") is None
    assert phones.international(longest + " ", "DE") is None


@pytest.mark.parametrize("part", ["1", "-0", ",1", "x1", " ", "(", "ext", "a", "٣", "/ 0"])
def test_time_does_not_explode(part: str) -> None:
    """The worst text of the longest kind is answered at once, and a longer one sooner."""
    start = time.perf_counter()
    for text in ("1" + part * 200)[:250], "1" + part * 1_000_000:
        assert phones.match(phones.asked(text, "US"), "+1 503 555", regions=["US"], head=True) is None
        phones.keys(text)
    assert time.perf_counter() - start < 1


def test_inputs_are_tried_in_all_regions() -> None:
    """A number is read in every region given, once each, also from an iterator; none is one too."""
    asked = phones.asked("+49 89 1234567", None)
    assert phones.match(asked, "089 1234567", regions=iter(["AT", "DE"]), head=False) == 0
    assert phones.match(asked, "089 1234567", regions=["AT"], head=False) is None
    assert phones.match(asked, "+49 (0)89 1234567", regions=[], head=False) == 0
    assert phones.match(asked, "089 1234567", regions=[" de "], head=False) == 0


@needs_northwind
def test_northwind_is_whole() -> None:
    """All 91 old numbers are put to the test."""
    assert len(CUSTOMERS) == 91


@needs_northwind
@pytest.mark.parametrize("customer", CUSTOMERS, ids=lambda one: f"{one.region} {one.number}")
def test_old_master_data_are_found(customer: Customer) -> None:
    """Each old number is found in E.164, with 00, as stored, and nationally with other spacing."""
    spaced = " ".join(customer.number.replace("(", "").replace(")", "").replace(".", ""))
    asked = {
        customer.international: None,
        "00" + customer.international[1:]: customer.region,
        customer.number: customer.region,
        spaced: customer.region,
    }
    for number, region in asked.items():
        assert found(number, region, customer.number, customer.region) == 0, number


@needs_northwind
@pytest.mark.parametrize("customer", CUSTOMERS, ids=lambda one: f"{one.region} {one.number}")
def test_old_master_data_find_nobody_else(customer: Customer) -> None:
    """An old number finds only the customers that have it."""
    asked = phones.asked(customer.international, None)
    others = [one for one in CUSTOMERS if phones.match(asked, one.number, regions=[one.region], head=True) is not None]
    assert {one.international for one in others} == {customer.international}
