"""File systems of their own for a test, small enough to fill."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def mount(folder: Path, size: str = "8m") -> None:
    """Mounts an empty file system over the folder. Skips where that is not allowed; to root in CI it is."""
    reason = "a file system cannot be mounted here"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(f"{reason}: {done.stderr.decode(errors='replace')}")
        pytest.skip(reason)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def mounted(folder: Path, size: str = "8m") -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount(folder, size)
    try:
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not one more byte fits into the file system of the folder."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 9))
    try:
        yield
    finally:
        filler.unlink()
