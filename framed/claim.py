"""One process per data folder: whoever holds the lock may write there."""

import fcntl
import os
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path

from framed.errors import Unavailable


def claim(data: Path, stack: AsyncExitStack | ExitStack) -> None:
    """One daemon per data folder: the lock goes with the process, however it ends."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "framed.lock").open("ab+", buffering=0)
    except OSError as error:
        raise Unavailable(f"The data folder {data} cannot be written: {error.strerror}.") from error
    stack.callback(lock.close)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        who = f" (process {int(pid)})" if (pid := lock.read(20).strip()).isdigit() else ""
        raise Unavailable(
            f"Another framed{who} already runs on {data}. Stop it, or give this one another data_dir."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"{data} cannot be locked ({error.strerror}), so two framed could write there at once; a network folder"
            " without locks does not do: set data_dir to a folder on a disk of this machine."
        ) from error
    with suppress(OSError):  # the disk is full: who holds the lock is only said to help
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n".encode())
