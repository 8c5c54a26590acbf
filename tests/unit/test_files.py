"""Files for somebody else: whole or not at all, where they were asked for, over nothing that was there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import keyaccount as ka
from keyaccount.files import written


def write(path: object, text: str, *, overwrite: bool = False, meanwhile: Callable[[], object] = bool) -> None:
    """Write a file, while something else happens."""
    with written(path, overwrite=overwrite) as file:
        file.write(text)
        meanwhile()


def breaks() -> None:
    """Raise what the host's own code might."""
    raise ZeroDivisionError


def test_a_file_is_written(tmp_path: Path) -> None:
    """A new file holds what was written, byte for byte, and nothing is left beside it."""
    write(tmp_path / "a.csv", "ä\r\nb\n")
    assert (tmp_path / "a.csv").read_bytes() == "ä\r\nb\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_what_is_there_stays(tmp_path: Path) -> None:
    """A file that is there is replaced only when told to."""
    target = tmp_path / "a.csv"
    target.write_text("kept")
    with pytest.raises(ka.ValidationError, match="is taken"):
        write(target, "new")
    assert target.read_text() == "kept"
    write(str(target), "new", overwrite=True)
    assert target.read_text() == "new"


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A symbolic link is refused, told to overwrite or not, also one that leads nowhere; its target stays."""
    target, link, loose = tmp_path / "target", tmp_path / "link", tmp_path / "loose"
    target.write_text("kept")
    link.symlink_to(target)
    loose.symlink_to(tmp_path / "nowhere")
    for path in (link, loose):
        for overwrite in (False, True):
            with pytest.raises(ka.ValidationError, match="symbolic link"):
                write(path, "new", overwrite=overwrite)
    assert target.read_text() == "kept"
    assert link.is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_what_got_there_meanwhile_stays(tmp_path: Path) -> None:
    """A file that somebody else puts there while ours is being written is not replaced."""
    target = tmp_path / "a.csv"
    with pytest.raises(ka.ValidationError, match="is taken"):
        write(target, "ours", meanwhile=lambda: target.write_text("theirs"))
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """Where the block raises, the old file is as it was, and nothing is left beside it."""
    target = tmp_path / "a.csv"
    target.write_text("kept")
    with pytest.raises(ZeroDivisionError):
        write(target, "half", overwrite=True, meanwhile=breaks)
    assert target.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links a new file is written, and one that is there stays."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"
    with pytest.raises(ka.ValidationError, match="is taken"):
        write(tmp_path / "b.csv", "ours", meanwhile=lambda: (tmp_path / "b.csv").write_text("theirs"))
    assert (tmp_path / "b.csv").read_text() == "theirs"


def test_a_full_disk_is_a_documented_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses to take more, the error says so with its cause, and the old file stays."""
    target = tmp_path / "a.csv"
    target.write_text("kept")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ka.StorageUnavailable, match="No space left") as caught:
        write(target, "new", overwrite=True)
    assert isinstance(caught.value.__cause__, OSError)
    assert target.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("path", ["", None, 5, b"a.csv", "a\0b", "x" * 5_000, "\ud800", [], Path()])
def test_what_is_no_path(path: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be the path of a file is refused with a documented error, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for overwrite in (False, True):
        with pytest.raises((ka.ValidationError, ka.StorageUnavailable)):
            write(path, "new", overwrite=overwrite)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """A folder that is not there is not made."""
    with pytest.raises(ka.ValidationError, match="folder that is not there"):
        write(tmp_path / "none" / "a.csv", "new")
    assert list(tmp_path.iterdir()) == []
