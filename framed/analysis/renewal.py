"""Has photos looked at again by a better backend, or because somebody asked for the slower looks anew."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from framed.analysis.late import LateSteps
from framed.analysis.reanalysis import Pipeline
from framed.analysis.step import dependents
from framed.models import ocr_scripts
from framed.models.text_look import GLANCE_PX
from framed.store import late as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

FOLLOWING = ("tags", "ocr", "faces", "aesthetics")
"""Steps that are done again for every photo when another backend takes their task over. Captions are not: hours of a
slow model's work are not thrown away because of a setting; `library/reanalyse` does it on request."""
_CHUNK = 500


class Renewal:
    def __init__(self, *, database: Database, pipeline: Pipeline, late: Callable[[], LateSteps]) -> None:
        self._database = database
        self._pipeline = pipeline
        self._late = late

    async def follow(self, task: str, backend: str) -> int:
        """What another backend than this one found is looked for again; how many photos. For a task of `FOLLOWING`."""
        if task not in FOLLOWING:
            return 0
        if task == "ocr":
            await self.read_more()
        own = task in self._own()
        stale = [task, *dependents(self._pipeline.steps, {task})] if own else [task]
        redo = partial(rows.redo_by_another, step=task, backend=backend, stale=stale, reopen=own, limit=_CHUNK)
        count = await self._each_chunk(lambda c, after: redo(c, after=after))
        if count:
            log.info("photos are looked at again by another backend", step=task, backend=backend, photos=count)
        return count

    async def read_more(self) -> int:
        """What looked like text before the weights for a script came is looked at again; how many photos."""
        scripts = await asyncio.to_thread(ocr_scripts.here)
        if not scripts:
            return 0
        unread = partial(rows.ask_unread, scripts=scripts, looked=GLANCE_PX, limit=_CHUNK)
        count = await self._each_chunk(lambda c, after: unread(c, after=after))
        if count:
            log.info("photos are read again, in more scripts", scripts=list(scripts), photos=count)
        return count

    async def ask_anew(self, steps: Sequence[str], uid: str | None, since: float) -> int:
        """What these late steps found before `since`, of one photo or of all, is looked for again; of how many photos.

        It may be broken off and begun again: what is to be done again is in the rows, and so is what was since.
        """
        anew = partial(rows.ask_anew, steps=steps, uid=uid, since=since, limit=_CHUNK)
        return await self._each_chunk(lambda c, after: anew(c, after=after))

    async def _each_chunk(self, write: Callable[[Connection, int], list[int]]) -> int:
        """Calls it in small writes, so that others come between, until it gives no ids; how many it gave."""
        count, after = 0, 0
        while ids := await self._database.write(lambda c, after=after: write(c, after)):  # type: ignore[misc]
            count, after = count + len(ids), ids[-1]
            self._wake()
        return count

    def late_names(self) -> list[str]:
        return [step.name for step in self._late().steps]

    def _own(self) -> set[str]:
        return {step.name for step in self._pipeline.steps}

    def _wake(self) -> None:
        self._pipeline.wake()
        self._late().wake()
