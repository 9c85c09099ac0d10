"""A compute host: the child process that runs backends, one call at a time, until its daemon goes away.

The daemon starts it with one end of a socket pair, sends calls, cancels and unloads, and reads answers, progress and a
beat each second. Three threads: the main one runs the calls, one reads the socket, one sends the beat.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib.util
import math
import os
import queue
import resource
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from framed.errors import FramedError
from framed.models.base import Backend, Context, OutOfMemory, backend_class
from framed.models.sandbox import confine, die_with, settle
from framed.models.wire import LENGTH, WireError, body_length, decode, encode

_BEAT_S = 1.0
_PROGRESS_S = 0.2
_NICENESS = 5
_TRACE_CHARS = 8_000
_EXIT_DEVICE_LOST = 70


@dataclass
class _Loaded:
    backend: Backend
    memory_mb: int
    used_at: float


class Models:
    """The loaded backends of a host, least recently used first. Main thread only; any thread may read `keys`."""

    def __init__(
        self,
        device: str,
        threads: int,
        budget_mb: int,
        keep: Sequence[str] = (),
        unload_after: Mapping[str, float] | None = None,
    ) -> None:
        """`keep`: tasks whose models leave last, and never for idleness; `unload_after`: task → seconds of idleness."""
        self._keep = frozenset(keep)
        self._unload_after = dict(unload_after or {})
        self._device = device
        self._threads = threads
        self._budget_mb = budget_mb
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self.keys: list[str] = []

    def get(self, key: str, where: str, options: dict[str, Any]) -> Backend:
        """The instance under this key, loaded now if need be; others leave for it where the budget is too small."""
        held = self._loaded.get(key)
        if held is None:
            kind = backend_class(where)
            self._make_room(kind.memory_mb)
            backend = kind()
            backend.load(options, _resolved(self._device))
            self._bound_threads()
            held = self._loaded[key] = _Loaded(backend, kind.memory_mb, time.monotonic())
        self._loaded.move_to_end(key)
        self.keys = list(self._loaded)
        held.used_at = time.monotonic()
        return held.backend

    def touch(self, key: str) -> None:
        """The call is over: idleness counts from now."""
        if key in self._loaded:
            self._loaded[key].used_at = time.monotonic()

    def drop_others(self, key: str) -> bool:
        """Unload everything but this one; whether there was anything."""
        return self._drop([other for other in self._loaded if other != key])

    def drop_idle(self, idle_s: float) -> None:
        """`idle_s` 0 unloads everything, kept ones too: their files are about to change."""
        now = time.monotonic()
        self._drop([key for key, held in self._loaded.items() if now - held.used_at > self._patience(key, idle_s)])

    def _patience(self, key: str, idle_s: float) -> float:
        task = _task_of(key)
        if not idle_s:
            return 0.0
        return math.inf if task in self._keep else self._unload_after.get(task, idle_s)

    def _make_room(self, memory_mb: int) -> None:
        if not self._budget_mb:
            return
        over = sum(held.memory_mb for held in self._loaded.values()) + memory_mb - self._budget_mb
        leaving: list[str] = []
        for key in sorted(self._loaded, key=lambda key: _task_of(key) in self._keep):
            if over <= 0:
                break
            leaving.append(key)
            over -= self._loaded[key].memory_mb
        self._drop(leaving)

    def _drop(self, keys: Sequence[str]) -> bool:
        for key in keys:
            self._loaded.pop(key).backend.unload()
        self.keys = list(self._loaded)
        if keys:
            _give_memory_back()
        return bool(keys)

    def _bound_threads(self) -> None:
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(self._threads)


@dataclass
class _Task:
    """One call as it came over the wire, with the flag that cancels it."""

    id: int
    key: str
    where: str
    options: dict[str, Any]
    inputs: dict[str, Any]
    context: Context = field(default_factory=Context)


@dataclass(frozen=True)
class _Unload:
    idle_s: float


class Host:
    """Serves one socket; the process ends with it."""

    def __init__(self, sock: socket.socket, models: Models) -> None:
        self._socket = sock
        self._models = models
        self._work: queue.SimpleQueue[_Task | _Unload] = queue.SimpleQueue()
        self._tasks: dict[int, _Task] = {}
        self._sending = threading.Lock()
        self._busy_since: float | None = None

    def serve(self) -> NoReturn:
        self._send({"op": "ready"})
        threading.Thread(target=self._read, name="read", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        while True:
            work = self._work.get()
            if isinstance(work, _Unload):
                self._models.drop_idle(work.idle_s)
                continue
            self._busy_since = time.monotonic()
            self._answer(work)
            self._tasks.pop(work.id, None)

    def _answer(self, task: _Task) -> None:
        try:
            value = self._run(task)
            if not isinstance(value, dict):
                raise TypeError(f"{task.where} answered {type(value).__name__}, not a dict")
            self._models.touch(task.key)
            self._busy_since = None
            self._send({"op": "result", "id": task.id, "value": value, **self._state()})
        except Exception as error:  # the daemon gets every failure of a backend; it logs the ones not foreseen
            self._busy_since = None
            self._send({"op": "error", "id": task.id, **_described(error), **self._state()})

    def _run(self, task: _Task) -> dict[str, Any]:
        """Runs the call; out of memory, it frees what other models hold and tries once more."""
        try:
            return self._attempt(task)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
        if not self._models.drop_others(task.key):
            raise OutOfMemory("There is not enough memory for this.")
        try:
            return self._attempt(task)
        except Exception as error:
            if _is_out_of_memory(error):
                raise OutOfMemory("There is not enough memory for this, even alone.") from error
            raise

    def _attempt(self, task: _Task) -> dict[str, Any]:
        task.context.check()
        backend = self._models.get(task.key, task.where, task.options)
        task.context.check()
        return backend.run(task.inputs, task.context)

    def _read(self) -> None:
        try:
            while True:
                self._take(decode(self._receive(body_length(self._receive(LENGTH.size)))))
        except (EOFError, OSError):
            os._exit(0)  # the daemon is gone; whatever runs here has nobody to answer to
        except Exception:
            traceback.print_exc()
            os._exit(1)

    def _take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "call":
                task = _Task(message["id"], message["key"], message["where"], message["options"], message["inputs"])
                task.context = Context(_Throttled(self, task.id))
                self._tasks[task.id] = task
                self._work.put(task)
            case "cancel":
                if task_or_none := self._tasks.get(message["id"]):
                    task_or_none.context.cancel()
            case "unload":
                self._work.put(_Unload(message["idle_s"]))
            case other:
                raise WireError(f"operation {other!r} is unknown")

    def _receive(self, count: int) -> bytearray:
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return buffer

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT_S)
            self._send({"op": "beat", **self._state()})

    def _state(self) -> dict[str, Any]:
        since = self._busy_since
        busy_s = 0.0 if since is None else time.monotonic() - since
        return {"rss_mb": _rss_mb(), "busy_s": busy_s, "loaded": self._models.keys}

    def _send(self, message: dict[str, Any]) -> None:
        length, body = encode(message)
        with self._sending, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the reader ends the process
            if len(body) < 1 << 16:
                self._socket.sendall(length + body)
            else:
                self._socket.sendall(length)
                self._socket.sendall(body)


class _Throttled:
    """Sends a call's progress at most five times a second; the first and the last word always pass."""

    def __init__(self, host: Host, task_id: int) -> None:
        self._host = host
        self._id = task_id
        self._next = 0.0

    def __call__(self, fraction: float, note: str | None) -> None:
        now = time.monotonic()
        if now < self._next and fraction < 1.0:
            return
        self._next = now + _PROGRESS_S
        self._host._send({"op": "progress", "id": self._id, "fraction": float(fraction), "note": note})


def _described(error: Exception) -> dict[str, Any]:
    """The error as it crosses the wire; the traceback is for the daemon's log alone."""
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        error = OutOfMemory("There is not enough memory for this.")
    if isinstance(error, FramedError):
        tree = ("framed.errors", OutOfMemory.__module__)
        known = next(kind for kind in type(error).__mro__ if kind.__module__ in tree)
        return {"name": known.__name__, "message": error.message, "field": error.field, "trace": ""}
    trace = "".join(traceback.format_exception(error))[-_TRACE_CHARS:]
    if "CUDA error" in str(error):
        # An illegal access stays with the CUDA context: every later call of this process would fail too.
        print(trace, file=sys.stderr, flush=True)
        os._exit(_EXIT_DEVICE_LOST)
    return {"name": "", "message": type(error).__name__, "field": None, "trace": trace}


def _is_out_of_memory(error: Exception) -> bool:
    """torch's own class is told by its name, so that nothing imports torch to ask."""
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)


def _give_memory_back() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)


def _rss_mb() -> int:
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() >> 20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _resolved(device: str) -> str:
    """The torch device `auto` stands for; torch is imported only where a driver is there to be asked."""
    if device != "auto":
        return device
    from framed.models.devices import has_driver  # a host apart has not all that framed has

    if not has_driver():
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def _task_of(key: str) -> str:
    """Instances are named "task/backend", with a hash of their options."""
    return key.partition("/")[0]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compute host of framed; started by the daemon only.")
    parser.add_argument("--kind", choices=("cpu", "light", "model", "apart"), required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--address-space-mb", type=int, default=0)
    parser.add_argument("--budget-mb", type=int, default=0)
    parser.add_argument("--keep", action="append", default=[])
    parser.add_argument("--unload-after", action="append", default=[])
    given = parser.parse_args(arguments)
    die_with(given.parent)
    settle(niceness=0 if given.kind == "light" else _NICENESS)
    if given.kind in ("cpu", "apart"):
        confine(given.address_space_mb)
    after = {task: float(seconds) for task, _, seconds in (said.partition("=") for said in given.unload_after)}
    models = Models(given.device, given.threads, given.budget_mb, given.keep, after)
    Host(socket.socket(fileno=given.fd), models).serve()


if __name__ == "__main__":
    main()
