"""Examples in the documentation and in docstrings run as tests."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

_prose = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["README.md", "docs/*.md"])
_code = Sybil(parsers=[DocTestParser()], patterns=["*.py"], path="src")
pytest_collect_file = (_prose + _code).pytest()
