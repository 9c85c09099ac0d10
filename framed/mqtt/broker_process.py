"""The process of framed's own broker, which ends with the daemon, even by kill -9."""

import asyncio
import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Final

import structlog

from framed.background import end_tasks
from framed.errors import Unavailable
from framed.mqtt.recipe import Recipe

log = structlog.get_logger(__name__)

# Asked again and again: Mosquitto 2.0 forgets a SIGTERM that comes just before its main loop begins.
STOP_TRY_S: Final = 0.5
STOP_TRIES: Final = 10
_READY_S: Final = 10.0
_RELOAD_S: Final = 2.0


class BrokerProcess:
    """One run of a broker: `start`, `ready`, and `end` once it is to go or has gone."""

    def __init__(self, recipe: Recipe, host: str) -> None:
        self._recipe = recipe
        self._host = host
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._running = asyncio.Event()
        self._reloaded = asyncio.Event()
        self._said: list[str] = []
        self.to_be_renewed = False
        """It ends because of `reload`, and another is to follow at once."""

    @property
    def pid(self) -> int | None:
        """None before `start`, and when it has ended."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> int:
        """Its number, at once."""
        self._process = await asyncio.create_subprocess_exec(
            *self._recipe.command(),
            stdin=asyncio.subprocess.PIPE,  # iotcore ends when this closes
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # Ctrl+C in a terminal is framed's to answer: the broker goes last
            preexec_fn=_end_with_parent(),
        )
        self._reader = asyncio.create_task(self._read_log(self._process), name="broker log")
        return self._process.pid

    async def ready(self) -> None:
        """Returns when clients can come. Raises Unavailable with what the broker said, and has then ended it."""
        try:
            async with asyncio.timeout(_READY_S):
                await self._listens()
        except (TimeoutError, Unavailable) as error:
            await self.end()
            detail = self._said[-1] if self._said else str(error) or f"it was not ready after {_READY_S:.0f} s"
            raise Unavailable(f"The {self._recipe.kind} broker did not start: {detail}") from error

    async def wait(self) -> int:
        """Its exit code, when it has ended; after `start`."""
        assert self._process is not None
        return await self._process.wait()

    async def reload(self) -> None:
        """Makes it read its accounts again; one that cannot ends instead, as rumqttd does."""
        if self._process is None or self._process.returncode is not None:
            return
        if self._recipe.kind != "mosquitto":
            self.to_be_renewed = True
            self._process.terminate()
            return
        self._reloaded.clear()
        self._process.send_signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(_RELOAD_S):
                await self._reloaded.wait()
        except TimeoutError:
            log.warning("the broker does not say that it has read its accounts again", pid=self.pid)

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            await _end(process)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._reader is not None:
            await self._reader  # ends with the process's stderr
            self._reader = None

    async def _listens(self) -> None:
        process = self._process
        assert process is not None
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(self._running.wait() if self._recipe.kind == "mosquitto" else self._accepts())
        try:
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise Unavailable(f"The {self._recipe.kind} broker ended with code {process.returncode}.")
        finally:
            await end_tasks(ended, ready)

    async def _accepts(self) -> None:
        for port in self._recipe.ports():
            while True:
                try:
                    _, writer = await asyncio.open_connection(self._host, port)
                except OSError:  # not listening yet; the caller bounds the time
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = (await process.stderr.readline()).decode(errors="replace")
            except ValueError:  # longer than the reader's limit; the rest follows as lines of its own
                continue
            if not line:
                return
            text = line.strip()
            self._said = [*self._said[-4:], text]
            if re.fullmatch(r"mosquitto version \S+ running", text):
                self._running.set()
            elif text.startswith("Reloading config"):
                self._reloaded.set()
            level = "warning" if text.startswith(("Error", "Warning")) else "debug"
            getattr(log, level)("broker says", text=text)


async def _end(process: asyncio.subprocess.Process) -> None:
    for _ in range(STOP_TRIES):
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TRY_S):
                await process.wait()
                return
        except TimeoutError:
            continue  # asked again, then killed
    log.warning("broker does not end on SIGTERM, killing it", pid=process.pid)
    process.kill()
    await process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel ends the child when the thread that started it, the event loop's, is gone."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()
    set_death_signal = 1

    def in_child() -> None:
        prctl(set_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent ended before the signal was set

    return in_child
