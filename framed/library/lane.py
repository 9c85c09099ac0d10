"""Calls into one file system that may hang: a thread for each, and an end to waiting for it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_ANSWER_S = 300.0


class RootUnfit(Exception):
    """The root cannot be scanned now; the sentence says why. Nothing is removed."""


class NoAnswer(RootUnfit):
    """A call into the file system has not come back; its thread waits on."""


class Lane:
    """Calls into one file system, each in a thread of its own.

    A share that hangs holds neither a pool of threads nor the end of the process, and while one call is overdue no
    other is begun.
    """

    def __init__(self) -> None:
        self._overdue: set[threading.Thread] = set()

    async def run(self, work: Callable[[], T], *, limit_s: float = _ANSWER_S) -> T:
        """NoAnswer: not done within `limit_s`, or an earlier call still is not."""
        self._overdue = {thread for thread in self._overdue if thread.is_alive()}
        if self._overdue:
            raise NoAnswer("does not answer")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        thread = threading.Thread(target=_work, args=(work, loop, done), name="library", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(limit_s):
                return await done
        except TimeoutError as error:
            self._overdue.add(thread)
            raise NoAnswer("does not answer") from error


def _work(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: "asyncio.Future[T]") -> None:
    result: T | None = None
    problem: BaseException | None = None
    try:
        result = work()
    except BaseException as error:
        problem = error
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
        loop.call_soon_threadsafe(_resolve, done, result, problem)


def _resolve(done: "asyncio.Future[T]", result: T | None, problem: BaseException | None) -> None:
    if done.done():
        return
    if problem is not None:
        done.set_exception(problem)
    else:
        done.set_result(result)  # type: ignore[arg-type]  # None only where T is
