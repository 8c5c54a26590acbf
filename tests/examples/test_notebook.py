"""The notebook runs from top to bottom, and what it shows is safe, readable in light and in dark, and from nowhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyaccount as ka
from keyaccount.health import HealthCheck

NOTEBOOK = Path(__file__).parents[2] / "examples" / "monday.py"
HOSTILE = "<script src='http://evil.example/x.js'>alert(1)</script>\"><img src=http://evil.example/y>&amp;"


def cells() -> list[str]:
    """Return the cells of code, in their order."""
    _, *found = re.split(r"^# %%", NOTEBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [cell.partition("\n")[2] for cell in found if not cell.startswith(" [markdown]")]


def run() -> list[Any]:
    """Run the cells in one namespace, as a notebook does, and return the values that it would show."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells():
        body = ast.parse(cell).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), NOTEBOOK.name, "exec"), namespace)  # noqa: S102 - a notebook is code
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), namespace))  # noqa: S307
    return [value for value in shown if value is not None]


class Page(HTMLParser):
    """Reads HTML as a browser does: elements, attributes and the text between them; style is no text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: dict[str, str] = {}
        self.text, self.style = "", ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.elements.add(tag)
        self.attributes.update((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        """Note text, or the style."""
        if self.lasttag == "style" and not self.text:
            self.style += data
        else:
            self.text += data


def pages(shown: list[Any]) -> list[Page]:
    """Return the library's own answers as the notebook shows them; a data frame of pandas is pandas' to show."""
    return [Page(value._repr_html_()) for value in shown if type(value).__module__.startswith("keyaccount.")]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the demo company hold text that breaks out of a page where it is not escaped."""
    book = ka.demo()
    office = book.trusted("test")
    office.put(attrs.evolve(office.get(ka.Organisation, "acme"), name=HOSTILE))
    office.put(attrs.evolve(office.get(ka.Contact, "ingo"), name=HOSTILE))
    office.put(attrs.evolve(office.get(ka.User, "volker"), name=HOSTILE))
    office.put(ka.ServiceNote(organisation_id="acme", text=HOSTILE, severity=ka.Severity.WARNING))
    monkeypatch.setattr(ka, "demo", lambda: book)


def test_the_notebook_shows_a_card_notes_figures_and_the_health_check() -> None:
    """Every cell runs, and each of the four kinds of answers is among what is shown."""
    shown = run()
    assert [type(value) for value in shown][:5] == [ka.BusinessCard, ka.Notes, ka.Figure, ka.Figure, HealthCheck]
    assert all(len(page.text) > 20 for page in pages(shown))


def test_the_notebook_shows_what_the_demo_company_holds() -> None:
    """24,000 a year, 750 and 310 a month recur (the latter rolled on); two of five accounts were ever talked to."""
    _, _, recurring, talked, check, *_ = run()
    assert recurring.value == ka.Money(24_000 + 12 * 750 + 12 * 310, "EUR")
    assert (talked.numerator, talked.denominator) == (2, 5)
    assert check[0].organisation_id == "acme"


def test_the_notebook_ends_with_a_data_frame_where_pandas_is_there() -> None:
    """Without pandas the same cell shows plain rows."""
    rows = run()[-1]
    if importlib.util.find_spec("pandas"):
        assert type(rows).__name__ == "DataFrame"
        assert rows["organisation_id"][0] == "acme"
    assert len(rows) == 5


def test_without_pandas_the_last_cell_shows_plain_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook needs nothing but the library."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert run()[-1][0]["organisation_id"] == "acme"


@pytest.mark.usefixtures("hostile")
def test_hostile_text_is_shown_as_text() -> None:
    """Names and notes that hold markup make no element, and are read as they were written."""
    found = pages(run())
    assert len(found) == 5
    for page in found:
        assert page.elements <= {"style", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "div"}
        assert page.attributes.keys() <= {"class", "title"}
    card, notes, _, _, check = found
    assert all(HOSTILE in page.text for page in (card, notes, check))


def test_nothing_is_loaded_from_anywhere() -> None:
    """No answer refers to a script, a style, a font or an image."""
    for value in run():
        if hasattr(value, "_repr_html_"):
            source = value._repr_html_()
            assert not re.search(r"(src|href)\s*=|url\(|@import|<(script|link|iframe)", source)


def test_colours_are_the_page_s_own() -> None:
    """No text and no ground has a fixed colour, so that what is shown reads in light and in dark."""
    for page in pages(run()):
        declared = dict(re.findall(r"[{;](color|background|background-color)\s*:\s*([^;}]+)", page.style))
        assert set(declared.values()) <= {"inherit", "transparent", "currentColor"}
        assert "style" not in page.attributes
        assert "bgcolor" not in page.attributes


def test_the_notebook_is_one_that_jupytext_reads() -> None:
    """The head says the format, the first cell is prose, and no cell is empty."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.startswith("# ---\n# jupyter:\n#   jupytext:\n")
    assert "format_name: percent" in text
    marks = re.findall(r"^# %%.*$", text, re.MULTILINE)
    assert set(marks) == {"# %%", "# %% [markdown]"}
    assert marks[0] == "# %% [markdown]"
    assert all(cell.strip() for cell in cells())


# ---- the executed notebook -----------------------------------------------------------------------------------------


def executed() -> list[dict[str, Any]]:
    """Return the cells of code of the notebook that was run and kept."""
    kept = json.loads(NOTEBOOK.with_suffix(".ipynb").read_text(encoding="utf-8"))
    return [cell for cell in kept["cells"] if cell["cell_type"] == "code"]


def test_the_kept_notebook_has_the_same_cells() -> None:
    """What was run is what stands in the file of cells."""
    assert ["".join(cell["source"]).strip() for cell in executed()] == [cell.strip() for cell in cells()]


def test_the_kept_notebook_shows_what_a_run_shows_now() -> None:
    """The library's answers are those of today, to the letter; `python examples/executed.py` makes them so."""
    outputs = [output for cell in executed() for output in cell["outputs"]]
    kept = ["".join(output["data"].get("text/html", "")) for output in outputs if output["output_type"] != "stream"]
    fresh = [value._repr_html_() if type(value).__module__.startswith("keyaccount.") else None for value in run()]
    assert len(kept) == len(fresh)
    assert [old for old, new in zip(kept, fresh, strict=True) if new is not None] == [new for new in fresh if new]


def test_the_kept_notebook_prints_what_a_run_prints_now(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures explain themselves in the same words."""
    run()
    outputs = [output for cell in executed() for output in cell["outputs"]]
    assert "".join("".join(one["text"]) for one in outputs if one["output_type"] == "stream") == capsys.readouterr().out


def test_the_kept_notebook_tells_nothing_of_where_it_was_run() -> None:
    """It is small, has no error and no warning, and names no path of the machine."""
    text = NOTEBOOK.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) < 100_000
    assert {output["output_type"] for cell in executed() for output in cell["outputs"]} <= {"execute_result", "stream"}
    assert str(NOTEBOOK.parents[1]) not in text
    assert not re.search(r"/home/|/Users/|/usr/|[A-Z]:\\\\|Warning", text)
