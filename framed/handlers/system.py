"""framed about itself: info, health, library progress, jobs, options, metrics."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import psutil
import structlog
from pydantic import Field

from framed import __version__
from framed.analysis.late import LateSteps
from framed.analysis.pipeline import Pipeline
from framed.background import end_tasks
from framed.bus import Bus
from framed.config import Config
from framed.errors import BadRequest, FramedError
from framed.events import (
    BackendChanged,
    FrameFailed,
    FrameOffline,
    FrameOnline,
    JobChanged,
    JobFailed,
    PhotoAdded,
    PhotoAnalysed,
    PhotoFailed,
    PhotoGone,
    PlaylistChanged,
    ScanFinished,
    StepChanged,
)
from framed.frames.publish import iso
from framed.jobs import JobQueue
from framed.library.scanner import Scanner
from framed.logs import configure
from framed.messages import Messages
from framed.models.catalogue import PACKAGED
from framed.models.pool import HostPool
from framed.monitoring import Monitor
from framed.mqtt.client import MqttClient
from framed.mqtt.topics import Topics
from framed.reload import Reload
from framed.router import Request, answers
from framed.schedule import Schedule
from framed.store import jobs as job_rows
from framed.store import overview
from framed.store import photos as photo_rows
from framed.store import playlists as playlist_rows
from framed.store.database import Database
from framed.wake import woken

if TYPE_CHECKING:
    from framed.metrics import Metrics

log = structlog.get_logger(__name__)

HEALTH_S = 60.0
LIBRARY_S = 5.0
DEEPER_S = 30.0


class JobId(Request):
    id: str = Field(min_length=1, max_length=64)


class JobList(Request):
    limit: int = Field(50, ge=1, le=500)


class OptionsSet(Request):
    paused: bool | None = None
    log_level: Literal["debug", "info", "warning", "error"] | None = None


class SystemHandler:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        jobs: JobQueue,
        pipeline: Pipeline,
        late: LateSteps,
        scanner: Scanner,
        pool: HostPool,
        monitor: Monitor,
        reload: Reload,
        schedule: Schedule,
        messages: Messages,
        topics: Topics,
        config: Callable[[], Config],
        base_url: Callable[[], str],
        mqtt: Callable[[], MqttClient],
        image_search: Callable[[], dict[str, Any] | None],
        verbs: Callable[[], Iterable[str]],
        started: float,
    ) -> None:
        """`mqtt` is asked when everything is built; `verbs` are the requests that the contract knows."""
        self._database = database
        self._bus = bus
        self._jobs = jobs
        self._pipeline = pipeline
        self._late = late
        self._scanner = scanner
        self._pool = pool
        self._monitor = monitor
        self._reload = reload
        self._schedule = schedule
        self._messages = messages
        self._topics = topics
        self._config = config
        self._base_url = base_url
        self._mqtt = mqtt
        self._image_search = image_search
        self._verbs = verbs
        self._started = started
        self._began = time.monotonic()  # the system's clock may be set while framed runs
        self._errors: deque[float] = deque(maxlen=1000)
        self._changed = asyncio.Event()
        self._recount: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._process = psutil.Process()
        self._last_scan: float | None = None
        self._library: dict[str, Any] = {}
        self.hear: list[Callable[[str, dict[str, Any]], None]] = []
        self._log_level: str | None = None  # set at run time, until the configuration is read again
        self._health_now = asyncio.Event()

    def listen(self) -> None:
        for event in (PhotoAdded, PhotoAnalysed, PhotoFailed, PhotoGone):
            self._bus.on(event, self._library_changed)
        self._bus.on(ScanFinished, self._scanned)
        self._bus.on(StepChanged, self._step_changed)
        self._bus.on(PlaylistChanged, self._playlists_changed)
        self._bus.on(FrameOnline, self._frames_changed)
        self._bus.on(FrameOffline, self._frames_changed)
        self._bus.on(JobChanged, self._job_changed)
        self._bus.on(BackendChanged, self._backend_changed)
        for failure in (JobFailed, PhotoFailed, FrameFailed):
            self._bus.on(failure, self._failed)

    async def start(self) -> None:
        self._process.cpu_percent()
        loops = {"health": self._say_health, "library": self._say_library}
        self._tasks = [asyncio.create_task(loop(), name=name) for name, loop in loops.items()]

    async def close(self) -> None:
        if self._recount is not None:
            self._recount.cancel()
        await end_tasks(*self._tasks)

    # -- requests ------------------------------------------------------------------------------------------------

    @answers("health", Request)
    async def health(self, request: Request) -> dict[str, Any]:
        return {**await self.health_payload(), "library": await self.library_payload()}

    @answers("job/list", JobList)
    async def job_list(self, request: JobList) -> dict[str, Any]:
        return {"items": await self._jobs.listed(request.limit)}

    @answers("job/get", JobId)
    async def job_get(self, request: JobId) -> dict[str, Any]:
        job = await self._jobs.get(request.id)
        if job is None:
            raise BadRequest("There is no job with that id.", field="id")
        return job

    @answers("job/cancel", JobId)
    async def job_cancel(self, request: JobId) -> dict[str, Any]:
        job = await self._jobs.cancel(request.id)
        if job is None:
            raise BadRequest("There is no job with that id.", field="id")
        return job

    @answers("options/get", Request)
    async def options(self, request: Request) -> dict[str, Any]:
        return {"paused": self._pipeline.paused, "log_level": self._log_level or self._config().logging.level}

    @answers("options/set", OptionsSet)
    async def set_options(self, request: OptionsSet) -> dict[str, Any]:
        """`paused` holds back the analysis (a quiet evening); the frames go on."""
        if request.paused is not None:
            for analysis in (self._pipeline, self._late):
                analysis.paused = request.paused
                analysis.wake()
        if request.log_level is not None:
            self._log_level = request.log_level
            configure(request.log_level, self._config().logging.format)
        options: dict[str, Any] = await self.options(request)
        return options

    @answers("options/reload", Request)
    async def reload_options(self, request: Request) -> dict[str, Any]:
        """Reads config.yaml again, as `systemctl reload` does."""
        done = await self._reload.now()
        return {
            "changed": done.changed,
            "restart": done.restart,
            "problems": done.problems,
            "speech": done.speech,
        }

    @answers("schedule/list", Request)
    async def scheduled(self, request: Request) -> dict[str, Any]:
        items = self._schedule.listed()
        return {"items": [{**item, "next": iso(item["next"]), "last": iso(item["last"])} for item in items]}

    @answers("library/status", Request)
    async def library_status(self, request: Request) -> dict[str, Any]:
        """Everything `framed/library` says, and how far each photo folder is, what was put aside, what is undone."""
        roots = await self._database.read(overview.by_root)
        watched = {root.path: root for root in await self._scanner.status()}
        items = []
        for root in roots:
            states, known = root.pop("photos"), watched.get(root["path"])
            root["last_scan"] = iso(root.pop("last_scan_at"))
            root["polled"] = known.polled if known else False
            root["photos"] = sum(count for state, count in states.items() if state != "gone")
            root["analysed"] = states.get("completed", 0) + states.get("partial", 0)
            root["partial"] = states.get("partial", 0)
            root["pending"] = states.get("pending", 0) + root["unread"]
            root["failed"] = states.get("failed", 0)
            items.append(root)
        return {
            **await self.library_payload(),
            "paused": self._pipeline.paused,
            "parked": await self._database.read(photo_rows.parked_count),
            "reasons": await self._database.read(overview.parked_reasons),
            "undone": await self._database.read(overview.unfinished_steps),
            "problems": self._scanner.problems,
            "roots": items,
        }

    # -- payloads ------------------------------------------------------------------------------------------------

    async def health_payload(self) -> dict[str, Any]:
        hour_ago = time.monotonic() - 3600
        mqtt = self._mqtt().state
        queue = await self._database.read(job_rows.counts)
        disks = dict.fromkeys(filter(None, (self._database.problem, self._pipeline.problem)))
        problems = [*disks, *self._scanner.problems, *self._reload.problems, *self._schedule.problems]
        if not mqtt.connected:
            problems.append(mqtt.last_error or "framed is not connected to the MQTT broker.")
        payload: dict[str, Any] = {
            "v": 1,
            "uptime_s": round(time.monotonic() - self._began),
            "queue": {state: queue.get(state, 0) for state in ("queued", "running", "failed")},
            "hosts": self._pool.status(),
            "memory_mb": round(self._process.memory_info().rss / 1e6, 1),
            "cpu_percent": self._process.cpu_percent(),
            "mqtt": {
                "connected": mqtt.connected,
                "protocol": mqtt.protocol,
                "reconnects": mqtt.reconnects,
                "rx": mqtt.rx,
                "tx": mqtt.tx,
                "dropped": mqtt.dropped,
            },
            "errors_1h": sum(1 for at in self._errors if at > hour_ago),
        }
        if looking := self._image_search():
            payload["image_search"] = looking
        payload |= await self._monitor.read(pending=self._library.get("pending", 0))
        if problems:
            payload["problem"] = " ".join(problems)[:500]
        return payload

    async def library_payload(self) -> dict[str, Any]:
        now = await self._database.read(photo_rows.standing)
        states = now.photos
        pending = states.get("pending", 0) + now.unread
        payload: dict[str, Any] = {
            "v": 1,
            "photos": sum(count for state, count in states.items() if state != "gone"),
            "analysed": states.get("completed", 0) + states.get("partial", 0),
            "pending": pending,
            "partial": states.get("partial", 0),
            "failed": states.get("failed", 0) + now.parked,
            "people": now.people,
            "last_scan": iso(self._last_scan),
            "scanning": self._scanner.scanning,
        }
        rate = self._pipeline.rate.per_s()
        if pending and rate:
            payload["eta_s"] = round(pending / rate)
        if deeper := await self._late.outlook():
            payload["deeper"] = [{key: value for key, value in one.items() if value is not None} for one in deeper]
        return payload

    async def publish_info(self) -> None:
        backends = await asyncio.to_thread(PACKAGED.report, self._config().models.choices())
        mqtt = self._config().mqtt
        info = {
            "v": 1,
            "version": __version__,
            "instance": self._config().instance,
            "started": iso(self._started),
            "http_base": self._base_url(),
            "limits": {
                "max_json_bytes": mqtt.max_json_bytes,
                "max_binary_bytes": mqtt.max_binary_bytes,
                "ask_chars": 1000,
            },
            "backends": {
                task: {key: value for key, value in entry.items() if value} for task, entry in backends.items()
            },
            "request_verbs": sorted(self._verbs()),
        }
        await self._messages.retained(self._topics.info, info)

    async def publish_library(self) -> None:
        payload = await self.library_payload()
        if payload != self._library:
            self._library = payload
            await self._messages.retained(self._topics.library, payload)
            self._tell("library", payload)

    async def publish_playlists(self) -> None:
        found = await self._database.read(playlist_rows.listed)
        items = [{"id": p.id, "name": p.name, "count": p.count, "updated": iso(p.updated_at)} for p in found if p.saved]
        playing = [
            {"id": p.id, "name": p.name, "count": p.count, "updated": iso(p.updated_at)} for p in found if not p.saved
        ]
        await self._messages.retained(self._topics.playlists, {"v": 1, "items": [*items, *playing][:100]})

    # -- what happens --------------------------------------------------------------------------------------------

    async def _library_changed(self, event: Any) -> None:
        self._changed.set()

    async def _step_changed(self, event: StepChanged) -> None:
        """What is left of the deeper looks changes with every photo, and is counted anew much less often."""
        if self._recount is None and event.step in {step.name for step in self._late.steps}:
            self._recount = asyncio.get_running_loop().call_later(DEEPER_S, self._deeper_changed)

    def _deeper_changed(self) -> None:
        self._recount = None
        self._changed.set()

    async def _scanned(self, event: ScanFinished) -> None:
        self._last_scan = time.time()
        self._changed.set()

    async def _playlists_changed(self, event: PlaylistChanged) -> None:
        await self.publish_playlists()
        self._tell("playlists", {})

    async def _frames_changed(self, event: Any) -> None:
        self._tell("frames", {})

    async def _job_changed(self, event: JobChanged) -> None:
        self._tell("job", event.job)

    async def _backend_changed(self, event: BackendChanged) -> None:
        await self.publish_info()

    async def _failed(self, event: Any) -> None:
        self._errors.append(time.monotonic())
        self._metrics.failures.labels(type(event).__name__).inc()

    def _tell(self, name: str, payload: dict[str, Any]) -> None:
        for hear in self.hear:
            hear(name, payload)

    # -- loops ---------------------------------------------------------------------------------------------------

    async def _say_health(self) -> None:
        while True:
            try:
                await self._messages.retained(self._topics.health, await self.health_payload(), qos=0, expiry_s=180)
                await self._messages.remember()
            except FramedError as error:
                log.warning("health could not be said", problem=error.message)
            await woken(self._health_now, HEALTH_S)

    async def _say_library(self) -> None:
        """At most every five seconds, and only when something changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.publish_library()
            except FramedError as error:
                log.warning("the library's state could not be said", problem=error.message)
            await asyncio.sleep(LIBRARY_S)

    def configuration_changed(self) -> None:
        """It was read again, or could not be: health says so at once."""
        self._log_level = None
        self._health_now.set()

    # -- metrics -------------------------------------------------------------------------------------------------

    @cached_property
    def _metrics(self) -> "Metrics":
        from framed.metrics import Metrics  # fifty milliseconds that the start can do without

        return Metrics()

    def metrics(self) -> bytes:
        """Prometheus text, from what is at hand: no query runs for it."""
        m = self._metrics
        for state in ("photos", "analysed", "pending", "failed"):
            m.photos.labels(state).set(self._library.get(state, 0))
        m.memory.set(self._process.memory_info().rss)
        m.connected.set(1 if self._mqtt().connected else 0)
        for host in self._pool.status():
            m.host_memory.labels(host["name"]).set(host["rss_mb"] * 1e6)
        for step, took in self._monitor.steps().items():
            m.step_seconds.labels(step).set(took["ms_each"] * took["photos"] / 1000)
            m.step_photos.labels(step).set(took["photos"])
        for kind, waiting in self._pool.queued().items():
            m.calls_waiting.labels(kind).set(waiting)
        for place, device in enumerate(self._monitor.devices):
            m.device(str(place), device)
        return m.text()
