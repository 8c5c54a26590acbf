"""A file written for somebody else: whole or not at all, where it was asked for, over nothing that was there.

Source: trust.md 13 and 25.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from keyaccount.errors import StorageUnavailable, ValidationError


@contextmanager
def written(path: object, *, overwrite: bool = False, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a text file to be written; when the block ends well it stands at `path`, else nothing has changed there.

    It is filled beside its place under a passing name, and only its owner may read it. Line ends are written as given.

    Raises ValidationError for what is no path, a folder that is not there, a symbolic link, and a file that is there
    already unless told to `overwrite`; StorageUnavailable where the disk refuses.
    """
    target = _free(path, overwrite=overwrite)
    try:
        handle, name = tempfile.mkstemp(prefix=".keyaccount-", dir=target.absolute().parent)
    except OSError as error:
        raise _refused(error) from error
    try:
        with open(handle, "w", encoding=encoding, newline="") as file:  # noqa: PTH123 - it is open already
            yield file
            file.flush()
            os.fsync(file.fileno())
        _place(Path(name), target, overwrite=overwrite)
    except OSError as error:
        raise _refused(error) from error
    finally:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)


def _free(path: object, *, overwrite: bool) -> Path:
    """Return a path that may be written to."""
    if not isinstance(path, (str, os.PathLike)) or not str(path) or "\0" in str(path):
        raise ValidationError.of("file", "path", path, "must be the path of a file")
    try:
        target = Path(path)
        os.fsencode(target)
        is_link, is_there, is_file = target.is_symlink(), target.exists(), target.is_file()
        has_folder = target.absolute().parent.is_dir()
    except (OSError, ValueError, TypeError) as error:
        raise ValidationError.of("file", "path", str(path), f"cannot be a file: {type(error).__name__}") from None
    if is_link:
        raise ValidationError.of("file", "path", str(path), "is a symbolic link; name the file itself")
    if not has_folder:
        raise ValidationError.of("file", "path", str(path), "lies in a folder that is not there; make it first")
    if is_there and not (overwrite and is_file):
        raise ValidationError.of("file", "path", str(path), _TAKEN)
    return target


_TAKEN = "is taken; choose another, or pass overwrite=True"


def _place(filled: Path, target: Path, *, overwrite: bool) -> None:
    """Move a file to its place; without `overwrite` never over one that got there meanwhile."""
    if overwrite:
        if target.is_symlink():
            raise ValidationError.of("file", "path", str(target), "is a symbolic link; name the file itself")
        filled.replace(target)
        return
    try:
        try:
            os.link(filled, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, as on a memory stick
            target.touch(exist_ok=False)
            filled.replace(target)
    except FileExistsError:
        raise ValidationError.of("file", "path", str(target), _TAKEN) from None


def _refused(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"the file cannot be written: {error.strerror or type(error).__name__}")
