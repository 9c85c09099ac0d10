"""Gives memory that is free back to the system: glibc keeps what a scan or an index build has freed.

Measured with 100,000 photos: 173 MB at rest without this, 130 MB with it.
"""

import asyncio
import ctypes
import sys

_M_ARENA_MAX = -8


def bound_arenas(count: int = 2) -> None:
    """Before any thread: each would otherwise fill a heap of its own, which a later one cannot use."""
    libc = _libc()
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, count)


async def give_back() -> None:
    """After work that needed much and freed it. Tens of milliseconds, in a thread."""
    libc = _libc()
    if libc is not None and hasattr(libc, "malloc_trim"):  # musl has none
        await asyncio.to_thread(libc.malloc_trim, 0)


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
