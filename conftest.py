"""Examples in the documentation and in docstrings run as tests."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

_LONGEST = (
    *("test_leaks.py", "test_conformance.py", "test_faults.py", "test_damage.py", "test_kill.py", "test_two_worlds.py"),
    *("test_one_answer.py", "test_lockstep.py", "write-an-adapter.md", "test_three_ways.py", "test_served.py"),
    *("test_processes.py", "test_server.py", "test_streams.py", "test_renewals_add_up.py"),
)
"""The files that take longest, the longest first: each goes to one worker, and the short ones fill what is left."""

_NAMED = re.compile(r"`([\w.-]+\.csv)`")


def _into_a_folder(namespace: dict[str, Any]) -> None:
    """Let a document work in a folder of its own, which goes with it."""
    namespace["_before"], namespace["_folder"] = Path.cwd(), tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def _out_of_it(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


def _saved(example: Example) -> None:
    """Save a block of CSV under the name that the text last gave before it."""
    name = _NAMED.findall(example.document.text[: example.start])[-1]
    Path(name).write_text(example.parsed, encoding="utf-8")


_prose = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("csv", _saved), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_into_a_folder,
    teardown=_out_of_it,
)
_code = Sybil(parsers=[DocTestParser()], patterns=["*.py"], path="src")
pytest_collect_file = (_prose + _code).pytest()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put what takes longest in front, so that no worker is left alone with it at the end."""
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
