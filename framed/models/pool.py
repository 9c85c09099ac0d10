"""The compute hosts of this machine: starts them when needed, gives them calls, replaces the ones that die."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, TypedDict

import structlog
from pydantic import BaseModel, ConfigDict, Field

from framed.errors import HostCrashed, TimedOut, Unavailable
from framed.models import weights
from framed.models.base import Call, HostKind, OutOfMemory, Progress
from framed.models.batches import halves, joined
from framed.models.catalogue import PACKAGED, Catalogue, Entry
from framed.models.child import Child, Ending, HostDied, Launch
from framed.models.devices import has_driver

log = structlog.get_logger(__name__)

_TEND_S = 1.0
_ATTEMPTS = 2
_DEVICE_CRASHES = 3
_DEVICE_WINDOW_S = 600.0
_DEVICE_REST_S = 1800.0
_APART_ADDRESS_SPACE_MB = 8192
_APART_RSS_MB = 3072


class ComputeSettings(BaseModel):
    """The `compute` section of config.yaml. Memory in MB, where 0 means no limit; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_hosts: int | None = Field(None, ge=1, le=64)
    """How many pictures are decoded or rendered at once; None: one per core, at most four."""
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")
    model_threads: int = Field(1, ge=1, le=256)
    call_timeout_s: float = Field(3600.0, gt=0)
    """No call runs longer, whatever it asks for."""
    idle_unload_s: float = Field(600.0, gt=0)
    """A model nobody has asked for so long is unloaded; the model host that holds no other ends with it."""
    cpu_idle_s: float = Field(120.0, gt=0)
    light_idle_s: float = Field(3600.0, gt=0)
    cpu_address_space_mb: int = Field(3072, ge=0)
    cpu_recycle_calls: int = Field(2000, ge=1)
    cpu_recycle_rss_mb: int = Field(1024, ge=64)
    model_budget_mb: int = Field(0, ge=0)
    """What loaded models may occupy together; the least recently used leave first."""
    keep_loaded: list[str] = []
    """Tasks whose models stay when idle, and are the last to leave for others."""
    unload_after: dict[str, float] = {}
    """Task → seconds, where a model should leave sooner or later than `idle_unload_s`."""
    queue_limit: int = Field(256, ge=1)
    """Background calls queued for one kind of host; the next caller waits for a place."""

    @property
    def pictures_at_once(self) -> int:
        """`cpu_hosts`, or what this machine has cores for."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.cpu_hosts or min(cores, 4)

    silence_s: float = Field(60.0, gt=2)
    """A host that has said nothing for so long is taken for hung: its own beat comes each second."""


@dataclass(frozen=True)
class HostRestarted:
    """A host died; its next call gets a new one."""

    host: str
    kind: HostKind
    reason: str


@dataclass(frozen=True)
class DeviceChanged:
    """Models run on another device from the next call on."""

    device: str
    reason: str


PoolEvent = HostRestarted | DeviceChanged


class HostStatus(TypedDict):
    """One line of `hosts` in framed/health."""

    name: str
    kind: HostKind
    pid: int | None
    state: Literal["starting", "idle", "busy", "stopping"]
    device: str
    rss_mb: int
    busy_s: float
    loaded: list[str]
    calls: int
    restarts: int


class CrashGuard:
    """Says how long to leave a kind of host alone after crash upon crash.

    More than five crashes in a minute without one answered call between them pause it for 5 s, and each crash after
    that twice as long, up to five minutes. An answered call ends all of it: a folder of broken pictures that kills a
    decoder now and then is no crash loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._crashes: deque[float] = deque()
        self._pauses = 0
        self._until = 0.0

    def crashed(self) -> None:
        now = self._clock()
        self._crashes.append(now)
        while self._crashes[0] < now - 60.0:
            self._crashes.popleft()
        if len(self._crashes) > 5 or self._pauses:
            self._until = now + min(5.0 * 2**self._pauses, 300.0)
            self._pauses += 1

    def answered(self) -> None:
        self._crashes.clear()
        self._pauses = 0
        self._until = 0.0

    @property
    def pause_s(self) -> float:
        return max(self._until - self._clock(), 0.0)


@dataclass(eq=False)
class _Waiter:
    key: str
    child: asyncio.Future[Child]


@dataclass(eq=False)
class _Lane:
    """The hosts of one kind, the calls that wait for one, interactive ones apart."""

    kind: HostKind
    name: str
    """The kind, but for hosts apart: these are of one backend each."""
    limit: int
    idle_s: float
    room: asyncio.Semaphore
    children: list[Child] = field(default_factory=list)
    free: dict[Child, float] = field(default_factory=dict)
    """The hosts without a call, by the time of their last one; the last in is the first out."""
    interactive: deque[_Waiter] = field(default_factory=deque)
    background: deque[_Waiter] = field(default_factory=deque)
    guard: CrashGuard = field(default_factory=CrashGuard)
    restarts: dict[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return len(self.interactive) + len(self.background)

    def next_waiter(self) -> _Waiter | None:
        for line in (self.interactive, self.background):
            while line:
                waiter = line.popleft()
                if not waiter.child.done():
                    return waiter
        return None

    def take(self, key: str) -> Child:
        """The free host that has this model loaded, else the one that worked last: the others may rest and end."""
        newest_first = list(reversed(self.free))
        child = next((child for child in newest_first if key in child.loaded), newest_first[0])
        del self.free[child]
        return child

    def free_name(self) -> str:
        taken = {child.name for child in self.children}
        return next(name for n in range(1, self.limit + 2) if (name := f"{self.name}-{n}") not in taken)


class HostPool:
    """Implements `Compute` with child processes. `start`, `run` as often and as concurrently as wanted, `close`.

    The loop must run in a thread that lives as long as the daemon (its main thread): the kernel ends the hosts with
    the thread that started them.
    """

    def __init__(
        self,
        settings: ComputeSettings | None = None,
        catalogue: Catalogue = PACKAGED,
        *,
        on_event: Callable[[PoolEvent], None] | None = None,
    ) -> None:
        self._settings = settings or ComputeSettings()
        self._catalogue = catalogue
        self._on_event = on_event
        self._lanes: dict[str, _Lane] = {}
        self._tending: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._outdated: set[Child] = set()
        """Hosts that are not to have another call."""
        self._running = False
        self._device_crashes: deque[float] = deque()
        self._on_cpu_until = 0.0
        self.rest_reason = ""
        self._restarted: deque[tuple[float, HostKind]] = deque(maxlen=1000)
        self.memory_short: Counter[str] = Counter()
        """How often each task wanted more memory than there was."""

    async def start(self) -> None:
        """Starts no process yet: that is the first call's doing."""
        room = self._settings.queue_limit
        kinds: tuple[HostKind, ...] = ("cpu", "light", "model")
        self._lanes = {kind: _Lane(kind, kind, *self._size(kind), asyncio.Semaphore(room)) for kind in kinds}
        self._running = True
        self._tending = asyncio.create_task(self._tend(), name="compute hosts")

    def _size(self, kind: HostKind) -> tuple[int, float]:
        """How many hosts of a kind there may be, and for how long one may rest."""
        settings = self._settings
        return {
            "cpu": (settings.pictures_at_once, settings.cpu_idle_s),
            "light": (1, settings.light_idle_s),
        }.get(kind, (1, settings.idle_unload_s))

    def reconfigure(self, settings: ComputeSettings, *, anew: bool = False) -> None:
        """These hold from the next call on. A host that was started under others ends once it is free, with `anew`
        every one; calls that run or wait are done as they would have been."""
        before, self._settings = self._settings, settings
        if settings.device != before.device:
            self._on_cpu_until = 0.0  # what drove the models from the one says nothing of the other
        for lane in self._lanes.values():
            lane.limit, lane.idle_s = self._size(lane.kind)
            if settings.queue_limit != before.queue_limit:
                lane.room = asyncio.Semaphore(settings.queue_limit)
            launch = self._launch(lane.kind, lane.name)
            self._outdated |= {child for child in lane.children if anew or child.launch != launch}
            resting = list(lane.free)
            lane.free.clear()
            for child in resting:
                self._rest(lane, child)
            self._match(lane)

    async def close(self) -> None:
        """Ends every host, within about two seconds; calls that wait or run fail with Unavailable."""
        self._running = False
        if self._tending:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        for lane in self._lanes.values():
            self._dismiss(lane, "framed is stopping.")
        children = [child for lane in self._lanes.values() for child in lane.children]
        await asyncio.gather(*(child.close() for child in children))
        await asyncio.gather(*self._background)

    async def __aenter__(self) -> HostPool:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        entry = self._catalogue.entry(call.task, call.backend)
        if not self._running:
            raise Unavailable("The compute hosts are not running.")
        if entry.host == "daemon":
            raise Unavailable(f"{call.backend} does {call.task} without a compute host.")
        lane = self._lane(entry)
        what = " ".join(filter(None, (f"{call.task}/{call.backend}", call.label)))
        message = {
            "key": _instance_key(call),
            "where": entry.where,
            "options": call.options,
            "inputs": call.inputs,
        }
        if call.interactive:
            return await self._fitted(lane, call, what, message, progress)
        async with lane.room:
            return await self._fitted(lane, call, what, message, progress)

    def _lane(self, entry: Entry) -> _Lane:
        if entry.host == "apart" and entry.backend not in self._lanes:
            room = asyncio.Semaphore(self._settings.queue_limit)
            self._lanes[entry.backend] = _Lane("apart", entry.backend, 1, self._settings.idle_unload_s, room)
        return self._lanes[entry.backend if entry.host == "apart" else entry.host]

    async def _fitted(
        self, lane: _Lane, call: Call, what: str, message: dict[str, Any], progress: Progress | None
    ) -> dict[str, Any]:
        """Out of memory: in two halves, each of which may halve again; alone: in a new host, and then on the CPU."""
        try:
            return await self._attempts(lane, call, what, message, progress)
        except OutOfMemory as error:
            if lane.kind != "model":
                raise
            parts = halves(message["inputs"])
            if parts is None:
                return await self._alone(lane, call, what, message, progress, error)
        log.warning("a batch is halved: there is not enough memory for it", call=what)
        self.memory_short[call.task] += 1
        answers = [await self._fitted(lane, call, what, {**message, "inputs": part}, progress) for part in parts]
        return joined(answers)

    async def _alone(
        self,
        lane: _Lane,
        call: Call,
        what: str,
        message: dict[str, Any],
        progress: Progress | None,
        error: OutOfMemory,
    ) -> dict[str, Any]:
        """One photo alone does not fit. What a process has leaked or fragmented, its end gives back."""
        log.warning("the model host is restarted: there is not enough memory for one photo", call=what)
        self.memory_short[call.task] += 1
        await self._renew(lane)
        try:
            return await self._attempts(lane, call, what, message, progress)
        except OutOfMemory:
            if self._launch("model").device == "cpu" or not has_driver():
                raise
        self._rest_device(f"{call.task} needs more memory than the device has.")
        await self._renew(lane)
        try:
            return await self._attempts(lane, call, what, message, progress)
        except OutOfMemory as still:
            raise still from error

    async def _renew(self, lane: _Lane) -> None:
        """Ends the hosts of this kind that rest; one that works is left to its call."""
        resting = list(lane.free)
        lane.free.clear()
        await asyncio.gather(*(child.close() for child in resting))
        self._match(lane)

    async def _attempts(
        self, lane: _Lane, call: Call, what: str, message: dict[str, Any], progress: Progress | None
    ) -> dict[str, Any]:
        timeout_s = min(call.timeout_s, self._settings.call_timeout_s)
        deaths: list[HostDied] = []
        while len(deaths) < _ATTEMPTS:
            child = await self._acquire(lane, message["key"], call.interactive, again=bool(deaths))
            try:
                answer = await child.ask(message, what=what, timeout_s=timeout_s, progress=progress)
            except HostDied as death:
                if not self._running:
                    raise Unavailable("framed is stopping.") from death
                log.warning("a call lost its compute host", host=child.name, call=what, reason=death.reason)
                deaths.append(death)
            else:
                return answer
            finally:
                if child.state != "stopping":
                    lane.guard.answered()
                self._release(lane, child)
        if all(death.late for death in deaths):
            raise TimedOut(f"{what} was not done in {timeout_s:g} s, tried twice.")
        log.error("a call was given up", code="gpu_crashed", call=what, reasons=[death.reason for death in deaths])
        raise HostCrashed(f"{what} was given up: the process that did it {deaths[-1].reason}, twice.")

    def status(self) -> list[HostStatus]:
        """The hosts that exist now, for framed/health."""
        return [
            HostStatus(
                name=child.name,
                kind=lane.kind,
                pid=child.pid,
                state=child.state,
                device=child.launch.device,
                rss_mb=child.rss_mb,
                busy_s=round(child.busy_s, 1),
                loaded=sorted(child.loaded),
                calls=child.calls,
                restarts=lane.restarts.get(child.name, 0),
            )
            for lane in self._lanes.values()
            for child in lane.children
        ]

    def let_go(self, backend: str) -> None:
        """Free hosts that hold a model of this backend unload what they hold; it is loaded again when it is wanted.
        One apart ends: its very Python is about to go."""
        for lane in self._lanes.values():
            if lane.kind == "apart" and lane.name == backend:
                self._later(self._renew(lane))
                continue
            for child in lane.free:
                if any(key.partition("#")[0].rpartition("/")[2] == backend for key in child.loaded):
                    child.unload(0.0)

    def restarts_within(self, seconds: float) -> dict[str, int]:
        """How many hosts of each kind died and were replaced lately."""
        since = time.monotonic() - seconds
        return dict(Counter(kind for at, kind in self._restarted if at > since))

    def queued(self) -> dict[str, int]:
        """How many calls wait for a host of each kind, or of a backend apart."""
        return {name: lane.waiting for name, lane in self._lanes.items()}

    async def _acquire(self, lane: _Lane, key: str, interactive: bool, *, again: bool) -> Child:
        """The host that is this call's until `_release`. A call whose host died goes to the head of its line."""
        waiter = _Waiter(key, asyncio.get_running_loop().create_future())
        line = lane.interactive if interactive else lane.background
        if again:
            line.appendleft(waiter)
        else:
            line.append(waiter)
        self._match(lane)
        try:
            return await waiter.child
        except asyncio.CancelledError:
            if waiter.child.done() and not waiter.child.cancelled() and not waiter.child.exception():
                self._release(lane, waiter.child.result())
            raise

    def _release(self, lane: _Lane, child: Child) -> None:
        settings = self._settings
        if child.state == "stopping":
            return
        most_mb = _APART_RSS_MB if lane.kind == "apart" else settings.cpu_recycle_rss_mb
        spent = child.calls >= settings.cpu_recycle_calls or child.rss_mb >= most_mb
        if lane.kind in ("cpu", "apart") and spent:
            self._outdated.add(child)
        self._rest(lane, child)
        self._match(lane)

    def _rest(self, lane: _Lane, child: Child) -> None:
        """A free host waits for its next call; or it ends, as its time is over or there are more than there may be."""
        staying = sum(other.state != "stopping" and other not in self._outdated for other in lane.children)
        if not self._running or child in self._outdated or staying > lane.limit:
            self._outdated.add(child)
            self._later(child.close())
        else:
            lane.free[child] = time.monotonic()

    def _match(self, lane: _Lane) -> None:
        """Give free hosts to those who wait, and start as many as are still missing."""
        while lane.free and (waiter := lane.next_waiter()):
            waiter.child.set_result(lane.take(waiter.key))
        if not lane.waiting or not self._running:
            return
        if pause_s := lane.guard.pause_s:
            sentence = f"The {lane.kind} compute hosts keep crashing; they are tried again in {pause_s:.0f} s."
            self._dismiss(lane, sentence)
            return
        starting = sum(child.state == "starting" for child in lane.children)
        for _ in range(min(lane.waiting - starting, lane.limit - len(lane.children))):
            child = Child(lane.free_name(), self._launch(lane.kind, lane.name), lambda *end: self._ended(lane, *end))
            lane.children.append(child)
            self._later(self._bring_up(lane, child))

    async def _bring_up(self, lane: _Lane, child: Child) -> None:
        began = time.monotonic()
        try:
            await child.start()
        except HostDied:
            return  # `_ended` has seen to it
        log.info("compute host started", host=child.name, pid=child.pid, ms=round((time.monotonic() - began) * 1000))
        self._rest(lane, child)
        self._match(lane)

    def _launch(self, kind: HostKind, name: str = "") -> Launch:
        settings = self._settings
        if kind == "apart":
            threads = self._lanes["cpu"].limit  # as many as would decode: by then the library is read
            python = str(weights.python(name))
            return Launch(kind, threads=threads, address_space_mb=_APART_ADDRESS_SPACE_MB, python=python)
        if kind == "cpu":
            return Launch(kind, address_space_mb=settings.cpu_address_space_mb)
        if kind == "light":
            return Launch(kind)
        device = "cpu" if time.monotonic() < self._on_cpu_until else settings.device
        return Launch(
            kind,
            device,
            settings.model_threads,
            budget_mb=settings.model_budget_mb,
            keep=tuple(settings.keep_loaded),
            unload_after=tuple(sorted(settings.unload_after.items())),
        )

    def _ended(self, lane: _Lane, child: Child, reason: str, ending: Ending) -> None:
        lane.children.remove(child)
        lane.free.pop(child, None)
        self._outdated.discard(child)
        if ending == "wanted" or not self._running:
            log.info("compute host ended", host=child.name, reason=reason, calls=child.calls)
        else:
            log.error("compute host died", host=child.name, reason=reason, calls=child.calls)
            self._replaced(lane, child, reason, ending)
        self._match(lane)

    def _replaced(self, lane: _Lane, child: Child, reason: str, ending: Ending) -> None:
        if ending == "crashed":
            lane.guard.crashed()
        lane.restarts[child.name] = lane.restarts.get(child.name, 0) + 1
        self._restarted.append((time.monotonic(), lane.kind))
        self._emit(HostRestarted(child.name, lane.kind, reason))
        if lane.kind == "model" and child.launch.device != "cpu":
            self._device_crashed(reason)

    def _device_crashed(self, reason: str) -> None:
        """Three crashes in ten minutes: models run on the CPU for half an hour, slowly rather than not at all."""
        now = time.monotonic()
        self._device_crashes.append(now)
        while self._device_crashes[0] < now - _DEVICE_WINDOW_S:
            self._device_crashes.popleft()
        if len(self._device_crashes) >= _DEVICE_CRASHES:
            self._device_crashes.clear()
            self._rest_device(f"The model host on {self._settings.device} {reason}, three times.")

    def _rest_device(self, reason: str) -> None:
        """The models stay on the CPU for half an hour."""
        self._on_cpu_until = time.monotonic() + _DEVICE_REST_S
        self.rest_reason = reason
        log.error("models run on the CPU for now", device=self._settings.device, reason=reason)
        self._emit(DeviceChanged("cpu", reason))

    @property
    def on_cpu(self) -> str | None:
        """Why the models have left their device for now; None where they have not."""
        return self.rest_reason if time.monotonic() < self._on_cpu_until else None

    def _dismiss(self, lane: _Lane, sentence: str) -> None:
        while waiter := lane.next_waiter():
            waiter.child.set_exception(Unavailable(sentence))

    def _emit(self, event: PoolEvent) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("a listener of the compute hosts failed", happened=event)

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _tend(self) -> None:
        """Once a second: end hosts that rest or hang, unload models that rest."""
        unload_at = looked_at = time.monotonic()
        while True:
            await asyncio.sleep(_TEND_S)
            now = time.monotonic()
            stalled = now - looked_at > 5 * _TEND_S
            looked_at = now
            unloading = now >= unload_at
            if unloading:
                unload_at = now + self._settings.idle_unload_s / 10
            for lane in self._lanes.values():
                for child in list(lane.children):
                    if stalled:
                        # It was this loop that stood still: what the hosts said meanwhile is not read yet.
                        child.heard_at = now
                    self._look_at(lane, child, now, unloading)

    def _look_at(self, lane: _Lane, child: Child, now: float, unloading: bool) -> None:
        if child.state in ("starting", "stopping"):
            return
        if now - child.heard_at > self._settings.silence_s:
            child.kill(f"was killed after {now - child.heard_at:.0f} s of silence")
            return
        free_since = lane.free.get(child)
        if free_since is not None and self._should_end(lane, child, now - free_since, now):
            del lane.free[child]
            self._later(child.close())
        elif lane.kind == "model" and unloading:
            child.unload(self._settings.idle_unload_s)

    def _should_end(self, lane: _Lane, child: Child, rested_s: float, now: float) -> bool:
        """A process that ends is the one sure way to get its memory back; so does the device's turn come again."""
        back_on_device = lane.kind == "model" and child.launch != self._launch("model")
        kept = any(key.partition("/")[0] in self._settings.keep_loaded for key in child.loaded)
        longest = max([lane.idle_s, *(self._settings.unload_after.values() if lane.kind == "model" else ())])
        return (rested_s > longest and not kept) or back_on_device


def _instance_key(call: Call) -> str:
    """Names the loaded instance: calls of one task, backend and options share it."""
    name = f"{call.task}/{call.backend}"
    if not call.options:
        return name
    options = json.dumps(call.options, sort_keys=True, default=repr).encode()
    return f"{name}#{blake2b(options, digest_size=6).hexdigest()}"
