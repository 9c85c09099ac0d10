"""Has photos looked at again by a better backend, or because somebody asked for the slower looks anew."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from framed.analysis.late import LateSteps
from framed.analysis.reanalysis import Pipeline
from framed.analysis.step import dependents
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
        stale = [task, *dependents(self._pipeline.steps, {task})] if task in self._own() else [task]
        count = 0
        while done := await self._database.write(
            partial(
                rows.drop_by_another, step=task, backend=backend, stale=stale, reopen=task in self._own(), limit=_CHUNK
            )
        ):
            count += done
            self._wake()
        if count:
            log.info("photos are looked at again by another backend", step=task, backend=backend, photos=count)
        return count

    async def forget(self, steps: Sequence[str], uid: str | None) -> int:
        """What these late steps found, of one photo or of all; how many photos get them anew."""
        count, after = 0, 0
        while True:
            ids = await self._database.write(partial(rows.drop, steps=steps, uid=uid, after=after, limit=_CHUNK))
            if not ids:
                self._wake()
                return count
            count, after = count + len(ids), ids[-1]

    def late_names(self) -> list[str]:
        return [step.name for step in self._late().steps]

    def _own(self) -> set[str]:
        return {step.name for step in self._pipeline.steps}

    def _wake(self) -> None:
        self._pipeline.wake()
        self._late().wake()
