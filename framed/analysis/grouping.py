"""Keeps faces grouped into people: soon after new ones came, cheaply; the whole library by night or when asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.analysis import clusters
from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import FramedError
from framed.events import StepChanged
from framed.store import faces as rows
from framed.store import photos
from framed.store.database import Database

log = structlog.get_logger(__name__)

_SOON_S = 2.0
_PATIENCE = 30.0
"""The next grouping waits this many times as long as the last one took, so that it never eats a processor."""
_LONGEST_WAIT_S = 900.0
_SMALL = 5_000
"""Up to so many faces everything is grouped anew each time: it takes a second."""


class Grouping:
    """`start`, `wake`, `close`. `regroup` is what a request waits for."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        model: Callable[[], str | None],
        changed: Callable[[list[int], list[int]], Awaitable[None]],
    ) -> None:
        """`model`: the face model in use now. `changed` hears the photos whose faces changed hands, and those of them
        that show other named people than before."""
        self._database = database
        self._bus = bus
        self._model = model
        self._changed = changed
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()
        self._took = 0.0
        self._looked: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._bus.on(StepChanged, self._step_changed)
        self._task = asyncio.create_task(self._run(), name="grouping")

    async def close(self) -> None:
        await end_tasks(self._task)

    def wake(self) -> None:
        self._woken.set()

    async def _step_changed(self, event: StepChanged) -> None:
        if event.step == "faces" and event.state == "completed":
            self._looked.add(event.photo)
            self._woken.set()

    async def _run(self) -> None:
        model: str | None = None
        while True:
            await self._woken.wait()
            await asyncio.sleep(min(_LONGEST_WAIT_S, max(_SOON_S, self._took * _PATIENCE)))
            self._woken.clear()
            try:
                anew = model != (model := self._model())
                await self.regroup(whole=anew)
            except FramedError as error:
                log.warning("faces wait to be grouped", problem=error.message)
            except Exception:
                log.exception("faces could not be grouped")

    async def nightly(self) -> None:
        await self.regroup()

    async def regroup(self, *, whole: bool = True) -> dict[str, int]:
        """Groups every face anew, or only lets the new ones join; how many faces, people and changes there are."""
        model = self._model()
        if model is None or model not in clusters.LIMITS:
            return {"faces": 0, "people": 0, "changed": 0}
        async with self._lock:
            began = time.monotonic()
            loaded = await self._database.read(partial(rows.load, model=model))
            whole = whole or len(loaded.ids) <= _SMALL
            found = await asyncio.to_thread(_grouped, loaded, clusters.LIMITS[model], whole)
            write = partial(_write, model=model, loaded=loaded, person=found.person, core=found.core if whole else None)
            looked, self._looked = self._looked, set()
            touched, changed = await self._database.write(write)
            new = await self._database.read(lambda c: list(photos.ids_of(c, list(looked)).values()))
            self._took = time.monotonic() - began
        if touched or changed or new:
            await self._changed(sorted({*touched, *new}), changed)
        people = len(np.unique(found.person[found.person != 0]))
        log.info("faces are grouped", faces=len(loaded.ids), people=people, seconds=round(self._took, 2), whole=whole)
        return {"faces": len(loaded.ids), "people": people, "changed": len(touched)}


def _grouped(loaded: rows.Loaded, limits: clusters.Limits, whole: bool) -> clusters.Grouping:
    faces = clusters.Faces(
        photo=loaded.photo,
        vectors=loaded.vectors,
        quality=loaded.quality,
        strict=(loaded.quality < clusters.GOOD) | (loaded.child > 0.5),
        said=loaded.said,
        before=loaded.person,
        refused=loaded.refused,
        apart=loaded.apart,
        named=loaded.named,
    )
    if whole:
        return clusters.group(faces, limits)
    person = clusters.joined(faces, loaded.person.copy(), limits)
    return clusters.Grouping(person, np.zeros(len(person), np.bool_))


def _write(
    connection: Connection, *, model: str, loaded: rows.Loaded, person: clusters.Ids, core: NDArray[np.bool_] | None
) -> tuple[list[int], list[int]]:
    return rows.regroup(connection, model, loaded, person, core)
