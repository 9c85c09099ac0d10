"""One compute host as the daemon holds it: its process, its socket, and the one call that runs in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from framed import errors
from framed.errors import FramedError
from framed.models.base import HostKind, OutOfMemory, Progress
from framed.models.wire import LENGTH, WireError, body_length, decode, encode

log = structlog.get_logger(__name__)

_HOST = "framed.models.host"
_APART = Path(__file__).with_name("apart.py")
_READY_S = 60.0
_CANCEL_GRACE_S = 3.0
_STOP_GRACE_S = 2.0
_LINE_CHARS = 2_000
_LINES_A_MINUTE = 200

# A host gets what finding its libraries, devices and caches takes; the daemon's passwords and tokens stay here.
_ENVIRONMENT = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
_ENVIRONMENT_PREFIXES = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "TORCH_", "PYTORCH_")
_HUB_FOLDERS = ("HF_HOME", "HF_HUB_CACHE", "FRAMED_MODELS")

_ERRORS: dict[str, type[FramedError]] = {
    kind.__name__: kind
    for kind in (*vars(errors).values(), OutOfMemory)
    if isinstance(kind, type) and issubclass(kind, FramedError)
}


Ending = Literal["wanted", "late", "crashed"]
"""wanted: the daemon had no more use for it. late: killed, because a call outlived its time. crashed: all else."""


class HostDied(Exception):
    """The process ended under a call. `late`: it was killed because the call's time was up."""

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.late = late


@dataclass(frozen=True)
class Launch:
    """How to start a host; 0 means no limit."""

    kind: HostKind
    device: str = "cpu"
    threads: int = 1
    address_space_mb: int = 0
    budget_mb: int = 0
    keep: tuple[str, ...] = ()
    unload_after: tuple[tuple[str, float], ...] = ()
    python: str = ""
    """Of another environment than framed's own."""

    def command(self, fd: int) -> list[str]:
        return [
            *((self.python, "-P", "-s", str(_APART)) if self.python else (sys.executable, "-P", "-m", _HOST)),
            *("--kind", self.kind, "--fd", str(fd), "--parent", str(os.getpid())),
            *("--device", self.device, "--threads", str(self.threads)),
            *("--address-space-mb", str(self.address_space_mb), "--budget-mb", str(self.budget_mb)),
            *(part for task in self.keep for part in ("--keep", task)),
            *(part for task, seconds in self.unload_after for part in ("--unload-after", f"{task}={seconds:g}")),
        ]

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _ENVIRONMENT or name in _HUB_FOLDERS or name.startswith(_ENVIRONMENT_PREFIXES)
        }
        threads = str(self.threads)
        if not self.python:
            kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if os.path.isabs(path))
        return {
            **kept,
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
            "MALLOC_ARENA_MAX": "2",
            # Weights are fetched by `framed models pull` alone; a host neither downloads nor asks the hub.
            "HF_HUB_OFFLINE": "1",
        }


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Ready(_Said):
    op: Literal["ready"]


class _Progress(_Said):
    op: Literal["progress"]
    id: int
    fraction: Annotated[float, Field(ge=0, le=1)]
    note: Annotated[str, Field(max_length=500)] | None


class _State(_Said):
    rss_mb: int
    busy_s: float
    loaded: Annotated[list[str], Field(max_length=1000)]


class _Beat(_State):
    op: Literal["beat"]


class _Result(_State):
    op: Literal["result"]
    id: int
    value: dict[Any, Any]


class _Error(_State):
    op: Literal["error"]
    id: int
    name: str
    message: str
    field: str | None
    trace: str


_MESSAGE: TypeAdapter[_Ready | _Progress | _Beat | _Result | _Error] = TypeAdapter(
    Annotated[_Ready | _Progress | _Beat | _Result | _Error, Field(discriminator="op")]
)


@dataclass
class _Running:
    id: int
    what: str
    answer: asyncio.Future[dict[str, Any]]
    progress: Progress | None


class Child:
    """`start`, then `ask` one call after another, then `close`.

    `on_end` is called once, on the loop, when the process is gone or could not be started: with this child, a reason
    that goes on from "the host …", and how it came about.
    """

    def __init__(self, name: str, launch: Launch, on_end: Callable[[Child, str, Ending], None]) -> None:
        self.name = name
        self.launch = launch
        self.calls = 0
        self.rss_mb = 0
        self.busy_s = 0.0
        self.loaded: frozenset[str] = frozenset()
        self.heard_at = time.monotonic()
        self.ended = asyncio.Event()
        self._on_end = on_end
        self._process: Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running: _Running | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._killed: str | None = None
        self._ending: Ending = "crashed"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def state(self) -> Literal["starting", "idle", "busy", "stopping"]:
        if self._killed is not None:
            return "stopping"
        if not self._ready.done():
            return "starting"
        return "busy" if self._running else "idle"

    async def start(self) -> None:
        """Raises HostDied where the process cannot be started or does not answer."""
        try:
            await self._spawn()
        except OSError as error:
            reason = f"cannot be started: {error}"
            self._finish(reason)
            raise HostDied(reason) from error
        if self._killed is not None:
            self._signal(signal.SIGKILL)  # it was given up before there was a process
        done, _ = await asyncio.wait((self._ready,), timeout=_READY_S)
        if not done:
            self.kill("was not ready in time")
            await self.ended.wait()
        self._ready.result()

    async def ask(
        self, message: dict[str, Any], *, what: str, timeout_s: float, progress: Progress | None
    ) -> dict[str, Any]:
        """The answer to one call. Raises the backend's FramedError, or HostDied.

        Cancelled, it tells the host, and kills it where the call has not ended three seconds later.
        """
        if self.ended.is_set():
            raise HostDied(self._killed or "has ended")
        self.calls += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        encoded = encode({**message, "op": "call", "id": self.calls})
        self._running = _Running(self.calls, what, answer, progress)
        try:
            self._write(encoded)
            done, _ = await asyncio.wait((answer,), timeout=timeout_s)
            if not done:
                self.kill(f"was killed after {timeout_s:g} s, the time limit of the call", "late")
                await self.ended.wait()
            return await answer
        except asyncio.CancelledError:
            await self._cancel(answer)
            raise
        finally:
            self._running = None
            self.busy_s = 0.0

    def unload(self, idle_s: float) -> None:
        """Let the host forget backends that nobody has called for so long."""
        self._write(encode({"op": "unload", "idle_s": idle_s}))

    def kill(self, reason: str, ending: Ending = "crashed") -> None:
        """SIGKILL; `ended` is set when the process is reaped."""
        if self._killed is None:
            self._killed, self._ending = reason, ending
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Ends the process: SIGTERM, and SIGKILL two seconds later."""
        if self._killed is None:
            self._killed, self._ending = "was stopped", "wanted"
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await self.ended.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.ended.wait()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.launch.command(theirs.fileno()),
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=PIPE,
                    pass_fds=(theirs.fileno(),),
                    env=self.launch.environment(),
                    # Its own session: a Ctrl-C in the terminal reaches the daemon, which ends its hosts in order.
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        assert self._process.stdout
        assert self._process.stderr
        self._tasks = [
            asyncio.create_task(self._read(reader), name=f"{self.name} read"),
            asyncio.create_task(self._relay(self._process.stdout), name=f"{self.name} stdout"),
            asyncio.create_task(self._relay(self._process.stderr), name=f"{self.name} stderr"),
        ]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head = await reader.readexactly(LENGTH.size)
                self._take(_MESSAGE.validate_python(decode(await reader.readexactly(body_length(head)))))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the process is ending: `_bury` says how
        except (WireError, ValidationError) as error:
            log.error("compute host sent something malformed", host=self.name, problem=str(error)[:500])
            self.kill("sent something malformed")
        except Exception:
            log.exception("reading from a compute host failed", host=self.name)
            self.kill("could not be read from")
        await self._bury()

    async def _bury(self) -> None:
        assert self._process
        assert self._writer
        self._writer.close()
        # Half-dead is dead: without its socket a process has nothing left to do.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GRACE_S):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        code = await self._process.wait()
        # What it printed last matters most; but a process it left behind may hold the pipes open.
        _, holding = await asyncio.wait(self._tasks[1:], timeout=_STOP_GRACE_S)
        for task in holding:
            task.cancel()
        self._finish(self._killed or _said(code))

    def _finish(self, reason: str) -> None:
        died = HostDied(reason, late=self._ending == "late")
        for future in (self._ready, self._running.answer if self._running else None):
            if future is not None and not future.done():
                future.set_exception(died)
                future.exception()  # whoever waited may be gone
        self._killed = self._killed or reason
        self.ended.set()
        self._on_end(self, reason, self._ending)

    def _take(self, said: _Ready | _Progress | _Beat | _Result | _Error) -> None:
        self.heard_at = time.monotonic()
        if isinstance(said, _State):
            self.rss_mb, self.busy_s, self.loaded = said.rss_mb, said.busy_s, frozenset(said.loaded)
        if isinstance(said, _Ready):
            if not self._ready.done():
                self._ready.set_result(None)
            return
        running = self._running
        if isinstance(said, _Beat) or running is None or running.id != said.id or running.answer.done():
            return
        if isinstance(said, _Progress):
            self._pass_on(running, said)
        elif isinstance(said, _Result):
            running.answer.set_result(said.value)
        else:
            running.answer.set_exception(self._raised(running, said))

    def _pass_on(self, running: _Running, said: _Progress) -> None:
        if running.progress is None:
            return
        try:
            running.progress(said.fraction, said.note)
        except Exception:
            log.exception("a progress callback failed", host=self.name, call=running.what)
            running.progress = None

    def _raised(self, running: _Running, said: _Error) -> FramedError:
        kind = _ERRORS.get(said.name)
        if kind is not None:
            return kind(said.message[:_LINE_CHARS], field=said.field)
        log.error("a backend failed", host=self.name, call=running.what, error=said.message[:200], traceback=said.trace)
        return FramedError(f"{running.what} failed unexpectedly ({said.message[:200]}); the log has the details.")

    async def _cancel(self, answer: asyncio.Future[dict[str, Any]]) -> None:
        if not answer.done():
            self._write(encode({"op": "cancel", "id": self.calls}))
            try:
                await asyncio.wait((answer,), timeout=_CANCEL_GRACE_S)
            finally:
                if not answer.done():
                    self.kill("was killed because a cancelled call would not end", "wanted")
            if not answer.done():
                await self.ended.wait()
        if answer.done() and not answer.cancelled():
            answer.exception()  # nobody is left to hear it

    def _write(self, encoded: tuple[bytes, bytes]) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        for part in encoded:
            self._writer.write(part)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _relay(self, stream: asyncio.StreamReader) -> None:
        """What the process prints, line by line into the daemon's log, no more than a flood of it would bear."""
        rest, written, minute = b"", 0, time.monotonic()
        while chunk := await stream.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > 1 << 16:
                lines, rest = [*lines, rest], b""
            if time.monotonic() - minute > 60:
                written, minute = 0, time.monotonic()
            room = max(_LINES_A_MINUTE - written, 0)
            for line in lines[:room]:
                self._say(line)
            written += len(lines)
            if written > _LINES_A_MINUTE >= written - len(lines):
                log.warning("compute host prints too much; the rest of this minute is left out", host=self.name)
        if rest:
            self._say(rest)

    def _say(self, line: bytes) -> None:
        text = line[:_LINE_CHARS].decode(errors="replace")
        if printable := "".join(char if char.isprintable() else " " for char in text).rstrip():
            log.info("compute host printed", host=self.name, line=printable)


def _said(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
