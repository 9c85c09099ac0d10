"""Which backends can be used now: says when that changes, and has photos get the steps they had to do without."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import Unavailable
from framed.events import BackendChanged
from framed.models.catalogue import PACKAGED, Catalogue
from framed.models.pool import DeviceChanged, HostRestarted, PoolEvent
from framed.store import photos as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

LOOK_S = 60.0
"""How often it is looked whether a backend has appeared or gone: a package was installed, weights were put there."""
RETRY_S = 1800.0
"""A step whose backend is there and yet could not be had (its host crashed again and again) is tried again."""


class Backends:
    """`start`, `look` when a change is likely, `close`. `heard` is given to the compute hosts."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        choices: Callable[[], dict[str, str]],
        steps: Callable[[], Sequence[str]],
        reopened: Callable[[], None],
        follow: Callable[[str, str], Awaitable[int]],
        catalogue: Catalogue = PACKAGED,
    ) -> None:
        """`choices` is the configuration's backend per task, `steps` the names of those kept for every photo (a step is
        named after its task); `reopened` is called when photos want some of them again; `follow` has the photos of a
        task looked at again that another backend did."""
        self._database = database
        self._bus = bus
        self._choices = choices
        self._steps = steps
        self._reopened = reopened
        self._follow = follow
        self._catalogue = catalogue
        self._known: dict[str, BackendChanged] = {}
        self._tried_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._known = await asyncio.to_thread(self._states)
        await self._open_again(self._ready())
        self._task = asyncio.create_task(self._run(), name="backends")

    async def close(self) -> None:
        await end_tasks(self._task)

    def heard(self, event: PoolEvent) -> None:
        """What happened to a compute host; called on the event loop."""
        match event:
            case HostRestarted():
                self._bus.emit(BackendChanged(event.kind, event.host, "restarted", event.reason))
            case DeviceChanged():
                self._bus.emit(BackendChanged("model", event.device, "moved", event.reason))

    async def look(self) -> None:
        """Compares with what was known; what has become ready is used for the photos that lack it."""
        before, self._known = self._known, await asyncio.to_thread(self._states)
        changed = [said for task, said in self._known.items() if said != before.get(task)]
        for said in changed:
            log.info("a backend changed", task=said.task, backend=said.backend, state=said.state, reason=said.reason)
            self._bus.emit(said)
        due = time.monotonic() - self._tried_at > RETRY_S
        await self._open_again(self._ready() if due else [said.task for said in changed if said.state == "ready"])
        await self._follow_all(changed)

    async def _follow_all(self, said: Iterable[BackendChanged]) -> None:
        for backend in said:
            if backend.state == "ready":
                await self._follow(backend.task, backend.backend)

    async def _run(self) -> None:
        try:
            await self._follow_all(self._known.values())  # weights may have come while framed was off
        except Exception:
            log.exception("photos could not be given to their new backend")
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Exception:
                log.exception("the backends could not be looked at")

    def _ready(self) -> list[str]:
        self._tried_at = time.monotonic()
        return [task for task, said in self._known.items() if said.state == "ready"]

    async def _open_again(self, tasks: Sequence[str]) -> None:
        count = 0
        for step in set(tasks) & set(self._steps()):
            count += await self._database.write(lambda c, step=step: rows.reopen_unavailable(c, step))  # type: ignore[misc]
        if count:
            log.info("photos get what they had to do without", photos=count, tasks=tasks)
            self._reopened()

    def _states(self) -> dict[str, BackendChanged]:
        """Blocks: asks each backend whether it is usable."""
        wanted = self._choices()
        tasks = list(self._catalogue.report())
        return {task: self._state(task, wanted.get(task, "auto")) for task in tasks}

    def _state(self, task: str, wanted: str) -> BackendChanged:
        if wanted == "off":
            return BackendChanged(task, "", "off")
        try:
            choice = self._catalogue.choose(task, wanted)
        except Unavailable as error:
            return BackendChanged(task, "" if wanted == "auto" else wanted, "unavailable", error.message)
        return BackendChanged(task, choice.backend, "ready")
