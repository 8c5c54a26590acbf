"""`python -m keyaccount`, from outside."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

import keyaccount as ka
from keyaccount.__main__ import main
from keyaccount.catalogue import KINDS
from keyaccount.exchange import Progress
from keyaccount.terminal import bar, card_text, printable


def test_the_tour_shows_the_main_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo shows a call, a shielded account, a stop and a reason, within 100 columns and without colour."""
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    for fact in (
        "Ingo Prospect  [VIP]",
        "Volker Vorstand",
        "carla: nobody is known",
        "must stop: True",
        "may not CHANGE",
    ):
        assert fact in out
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out


def test_the_same_facts_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints what `to_dict()` holds."""
    assert main(["card", "demo", "--contact", "ingo", "--organisation", "acme", "--json", "--user", "carla"]) == 0
    with ka.demo() as book:
        card = book.desk("carla").card(contact="ingo", organisation="acme", context="crm")
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(card.to_dict()))


def test_a_user_sees_what_they_may(capsys: pytest.CaptureFixture[str]) -> None:
    """A shielded caller is unknown to others, in text and in JSON, and known to the trusted command line."""
    assert main(["caller", "demo", "+49 40 555 0101", "--user", "carla"]) == 0
    assert capsys.readouterr().out == "nobody is known under this number\n"
    assert main(["caller", "demo", "+49 40 555 0101", "--user", "carla", "--json"]) == 0
    assert capsys.readouterr().out == "null\n"
    assert main(["caller", "demo", "+49 40 555 0101"]) == 0
    assert capsys.readouterr().out.startswith("Mara Nimbus")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["card", "demo", "--contact", "nobody"], "there is no Contact 'nobody'"),
        (["card", "demo"], "give contact or organisation"),
        (["card", "demo", "--contact", "ingo", "--context", "fone"], "did you mean 'phone'"),
        (["caller", "demo", "1", "--user", "nobody"], "there is no User 'nobody'"),
        (["caller", "no.sqlite", "1"], "is no file"),
        (["check", "no.sqlite"], "is no file"),
        (["check", "x" * 5_000], "is no file"),
        (["card", "demo", "--contact", "ingo", "--user", ""], "there is no User ''"),
        (["caller", "demo", "+49 40 555 0101", "--user", ""], "there is no User ''"),
        (["health-check", "demo", "--user", ""], "there is no User ''"),
        (["caller", "demo", "1", "--region", "DE"], "has settings of its own"),
    ],
)
def test_bad_input_is_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input exits with 2 and says what is wrong on standard error, nothing on standard output."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_stored_text_cannot_drive_the_terminal() -> None:
    """Escape sequences, line breaks and bidirectional marks in stored text are shown, not obeyed."""
    with ka.open() as book:
        office = book.trusted("test")
        office.put(ka.Organisation("a", name="evil \u202e name"))
        office.put(ka.ServiceNote("n", "a", text="line\nbreak \t and more"))
        text = card_text(office.card(organisation="a", context="crm"))
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert "line / break" in text
    assert printable("\x1b[2J") == "\\x1b[2J"


def test_a_file_is_opened_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cards come out of a file; a check finds nothing in a sound one (0), and an edit behind our back (1)."""
    file = str(tmp_path / "crm.sqlite")
    with ka.open(file) as book:
        book.trusted("test").put(ka.Organisation("acme", name="ACME AG"))
    assert main(["card", file, "--organisation", "acme"]) == 0
    assert capsys.readouterr().out.startswith("ACME AG")
    assert main(["check", file]) == 0
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE organisation SET name = 'Evil' WHERE id = 'acme'")
    assert main(["check", file]) == 1
    assert "Organisation acme: was changed" in capsys.readouterr().out
    assert main(["check", file, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"][0]["id"] == "acme"


def test_a_book_goes_out_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`dump` writes a folder, `load` makes an equal file of it; a taken folder is refused, unless told otherwise."""
    folder, file = str(tmp_path / "out"), str(tmp_path / "crm.sqlite")
    assert main(["dump", "demo", folder]) == 0
    told = capsys.readouterr().out
    assert main(["load", folder, file]) == 0
    assert capsys.readouterr().out == told
    with ka.demo() as demo, ka.open(file) as book:
        for kind in KINDS.values():
            assert list(book.trusted("t").find(kind.cls)) == list(demo.trusted("t").find(kind.cls))
    assert main(["dump", "demo", folder]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["dump", "demo", folder, "--overwrite", "--format", "jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["Organisation"] == 5
    assert main(["load", folder, file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unchanged"] > 50


def test_a_refused_folder_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no dump is bad input, and the file that was to be made is not there."""
    assert main(["load", str(tmp_path), str(tmp_path / "crm.sqlite")]) == 2
    assert "is no dump" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_bar_shows_how_far_it_is() -> None:
    """On a terminal a long work draws one line over itself, and wipes it at the end."""
    stream = io.StringIO()
    show = bar(stream)
    show(Progress("invoices.csv", 500, 50, 200))
    assert stream.getvalue() == "\r" + "#" * 10 + "." * 30 + f" {500:>11,} invoices.csv            "
    show(Progress("invoices.csv", 2000, 200, 200))
    assert stream.getvalue().endswith(" \r")


def test_the_health_check_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """`health-check` prints a paragraph for each account that the user may read, or the same facts as JSON."""
    assert main(["health-check", "demo", "--on", "2026-11-23"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Health check on 2026-11-23")
    assert max(map(len, out.splitlines())) <= 100
    assert main(["health-check", "demo", "--on", "2026-11-23", "--user", "carla", "--json"]) == 0
    with ka.demo() as book:
        check = book.desk("carla").health_check(on=date(2026, 11, 23))
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(check.to_dict()))
    assert main(["health-check", "demo", "--on", "23.11.2026"]) == 2
    assert "--on = '23.11.2026'" in capsys.readouterr().err


def test_a_file_is_opened_as_its_host_opens_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file does not keep can be said: where national numbers are read, and that nobody reads by default."""
    file = str(tmp_path / "a.sqlite")
    with ka.open(file, region="DE", policy=ka.AccessPolicy(default=None)) as book:
        book.trusted("test").put(
            ka.User("carla", name="C"), ka.Organisation("a", name="ACME", phones=("+49 89 123456",))
        )
    for arguments, said in (
        ([], "nobody is known"),
        (["--region", "DE"], "ACME"),
        (["--region", "DE", "--user", "carla"], "ACME"),
        (["--region", "DE", "--user", "carla", "--closed"], "nobody is known"),
    ):
        assert main(["caller", file, "089 123456", *arguments]) == 0
        assert capsys.readouterr().out.startswith(said)
    assert main(["caller", file, "1", "--zone", "Mars/Base"]) == 2
    assert "is no IANA time zone" in capsys.readouterr().err


def _run(tmp_path: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which $ka is the command line of this library."""
    here = str(Path(ka.__file__).parents[1])
    settings = {**os.environ, "PYTHONPATH": here, "ka": f"{sys.executable} -m keyaccount", **environment}
    return subprocess.run(command, shell=True, cwd=tmp_path, env=settings, capture_output=True, check=False)  # noqa: S602 - our own line


def test_a_terminal_that_knows_few_letters_is_no_failure(tmp_path: Path) -> None:
    """Letters that the output cannot hold are escaped."""
    ran = _run(tmp_path, "$ka card demo --organisation nimbus", PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stderr) == (0, b"")
    with ka.demo() as book:
        told = card_text(book.trusted("test").card(organisation="nimbus", context="crm"))
    assert ran.stdout.decode("ascii") == told.encode("ascii", "backslashreplace").decode("ascii")
    ran = _run(tmp_path, "$ka demo", PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stderr, b"M\\xfcnchen" in ran.stdout) == (0, b"", True)


@pytest.mark.skipif(os.name != "posix", reason="a shell and its pipes")
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    """A closed pipe ends quietly with the status of the answer; a full disk is said, with 2."""
    ran = _run(tmp_path, "($ka demo; echo $? >&2) | true")
    assert ran.stderr == b"0\n"
    if Path("/dev/full").exists():
        ran = _run(tmp_path, "$ka demo > /dev/full")
        assert (ran.returncode, ran.stderr) == (2, b"the answer cannot be written: No space left on device\n")


def test_findings_keep_to_the_terminal_s_width(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding about a record with a long id goes over several lines of at most 100 columns."""
    file = str(tmp_path / "a.sqlite")
    with ka.open(file) as book:
        book.trusted("test").put(ka.Contact("x" * 200, name="X"))
    assert main(["check", file]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "".join(line.strip() for line in lines).startswith(f"Contact {'x' * 200}: has no position")
