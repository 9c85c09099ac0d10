"""Brings every photo through every step: new files are examined in the cpu hosts, then batches take the other steps.

What is left to do is read from the rows; nothing here must survive a restart. Two loops run side by side: `_read_files`
keeps the cpu hosts busy, `_finish_photos` the models. Each result is stored as it comes, so a kill costs only what was
in flight.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from framed.analysis.previews import Previews
from framed.analysis.step import BatchStep, ExaminedStep, Outcome, Step, attempted, dependents, ordered
from framed.analysis.steps.metadata import together
from framed.bus import Bus
from framed.errors import (
    BadPhoto,
    Busy,
    CannotStore,
    FramedError,
    HostCrashed,
    NotReady,
    PhotoChanging,
    PhotoForbidden,
    TimedOut,
    Unavailable,
)
from framed.events import PhotoAdded, PhotoAnalysed, PhotoFailed, PhotoGone, ScanFinished, StepChanged
from framed.library.lane import Lane, NoAnswer
from framed.library.sidecars import sidecar_paths
from framed.library.walk import display_name
from framed.models.base import Call, Compute
from framed.store import files
from framed.store import photos as rows
from framed.store.database import Database
from framed.store.photos import PhotoWork, StepRow
from framed.wake import woken

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
"""A step that failed this often is left alone until somebody asks for it or its version rises."""
BATCH = 48
_WORTH_IT = 16
_GATHER_S = 0.5
"""While files are read, a batch of fewer photos waits once so long for more: models and store cost less for many."""
_LOOKS_AT_CHANGING = 6
_WITHOUT_ROOM_S = 5.0
_FILES_AHEAD = 3  # examine calls in flight per cpu host: one running, one travelling, one being stored


class FileToRead(Protocol):
    id: int
    path: bytes
    name: bytes
    sidecars: list[bytes]
    seen: tuple[int, int, int, int | None]


class Files(Protocol):
    """What the pipeline needs from the scanner."""

    async def todo(self, limit: int, *, busy: Collection[int] = ()) -> Sequence[Any]: ...
    async def retry_later(self, file_id: int, seconds: float) -> None: ...
    async def park(
        self,
        file_id: int,
        problem: str,
        *,
        seen: tuple[int, int, int, int | None] | None = None,
        again_s: float | None = None,
    ) -> None: ...


@dataclass(frozen=True)
class _Aside:
    """Why a file is put aside; with `again_s` it is looked at again after that time although it has not changed."""

    problem: str
    again_s: float | None = None


@dataclass
class Rate:
    """Photos finished lately, for the estimate of what is left."""

    since: float = 0.0
    done: int = 0

    def count(self) -> None:
        now = time.monotonic()
        if now - self.since > 120:
            self.since, self.done = now, 0
        self.done += 1

    def per_s(self) -> float:
        elapsed = time.monotonic() - self.since
        return self.done / elapsed if self.done >= 5 and elapsed > 1 else 0.0


class Pipeline:
    def __init__(
        self,
        *,
        database: Database,
        compute: Compute,
        files: Files,
        previews: Previews,
        bus: Bus,
        steps: Sequence[Step],
        cpu_hosts: int,
        limits: dict[str, Any] | None = None,
    ) -> None:
        self._database = database
        self._compute = compute
        self._files = files
        self._previews = previews
        self._bus = bus
        self.steps = ordered(steps)
        self._examined = {step.name: step for step in self.steps if isinstance(step, ExaminedStep)}
        self._batched = [step for step in self.steps if isinstance(step, BatchStep)]
        self._versions = {step.name: step.version for step in self.steps}
        self._limits = limits or {}
        self.cpu_hosts = cpu_hosts
        self._new_files = asyncio.Event()
        self._new_photos = asyncio.Event()
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._changing: dict[int, int] = {}
        self.problem: str | None = None
        """Why new photos wait, where that is for somebody to mend."""
        self._finishing: set[int] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._missed: int | None = None  # a photo that is to be examined anew, and whose files were away
        self.rate = Rate()
        self.step_ms: Counter[str] = Counter()
        self.step_photos: Counter[str] = Counter()
        self.paused = False

    def reconfigure(self, *, steps: Sequence[Step], limits: dict[str, Any]) -> None:
        """Other settings were read: these steps replace those of their names; batches in flight end as begun."""
        fresh = {step.name: step for step in steps}
        self.steps = [fresh.get(step.name, step) for step in self.steps]
        self._batched = [step for step in self.steps if isinstance(step, BatchStep)]
        self._limits = limits

    async def start(self) -> None:
        reopened = await self._database.write(lambda c: rows.reopen_outdated(c, self._versions))
        if reopened:
            log.info("photos want newer steps", photos=reopened)
        self._bus.on(ScanFinished, self._scanned)
        self._new_files.set()
        self._new_photos.set()
        self._tasks = [
            asyncio.create_task(self._read_files(), name="pipeline:read"),
            asyncio.create_task(self._finish_photos(), name="pipeline:finish"),
        ]

    async def _scanned(self, event: ScanFinished) -> None:
        """Files that were away when their photos were to be examined anew may be back; one is looked for first."""
        if event.problems or self._missed is None:
            return
        missed = self._missed
        for photo in await self._database.read(lambda c: rows.work_of(c, [missed])):
            if photo.paths and not await self._is_there(photo):
                return
        self._missed = None
        if await self._database.write(lambda c: rows.reopen_outdated(c, self._versions)):
            self.wake()

    async def _is_there(self, photo: PhotoWork) -> bool:
        try:
            return await Lane().run(lambda: any(os.path.isfile(_joined(place)) for place in photo.paths), limit_s=5.0)
        except NoAnswer:
            return False

    async def close(self) -> None:
        tasks = [*self._tasks, *self._reading.values(), *self._batches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        self._new_files.set()
        self._new_photos.set()

    @property
    def busy(self) -> bool:
        return bool(self._reading or self._finishing)

    # -- files ---------------------------------------------------------------------------------------------------

    async def _read_files(self) -> None:
        room = self.cpu_hosts * _FILES_AHEAD
        while True:
            try:
                found = list(await self._files.todo(room * 4, busy=list(self._reading)))
            except FramedError as error:
                log.warning("the list of new files cannot be read", problem=error.message)
                found = []
            if not found:
                await woken(self._new_files, 2.0)
                continue
            for file in found:
                while len(self._reading) >= room:
                    await asyncio.wait(self._reading.values(), return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._read_file(file), name=f"read:{file.id}")
                self._reading[file.id] = task
                task.add_done_callback(partial(self._read, file.id))

    def _read(self, file_id: int, _: Any) -> None:
        self._reading.pop(file_id, None)

    async def _read_file(self, file: Any) -> None:
        try:
            aside = await self._take(file)
            if aside is not None:
                await self._park(file, aside)
        except CannotStore as error:
            self.problem = error.message
            log.warning("files wait for room", problem=error.message)
            await self._later(file, _WITHOUT_ROOM_S)
        except (Unavailable, NotReady, Busy) as error:
            log.warning("a file waits", file=file.id, problem=error.message)
            await self._later(file, 30.0)
        except Exception:
            log.exception("a file could not be taken in", file=file.id)
            await self._later(file, 60.0)

    async def _take(self, file: Any) -> _Aside | None:
        """Reads one file into the store, or says why it must be put aside. Raises what may pass by itself."""
        name = display_name(file.name)
        try:
            answer = await self._compute.run(self._examine(file))
        except PhotoChanging as error:
            return await self._not_settled(file, error)
        except PhotoForbidden as error:
            return _Aside(error.message, again_s=0.0)
        except BadPhoto as error:
            return _Aside(error.message)
        except (Unavailable, NotReady, Busy):
            raise
        except HostCrashed:
            return _Aside(f"{name} makes the decoder crash, twice in a row; it is damaged. Copy it here again.")
        except TimedOut:
            return _Aside(f"{name} took longer to decode than one photo may. Save it again in a common format.")
        except FramedError as error:
            log.error("a file could not be decoded", path=file.path.decode(errors="replace"), problem=error.message)
            return _Aside(f"{name} could not be decoded; framed's log has the details.")
        self._changing.pop(file.id, None)
        await self._keep(file, answer)
        self.problem = None
        return None

    async def _not_settled(self, file: Any, error: PhotoChanging) -> _Aside | None:
        """Waits twice as long each time; a file that never comes to rest is put aside, and looked at in an hour."""
        looks = self._changing[file.id] = self._changing.get(file.id, 0) + 1
        if looks > _LOOKS_AT_CHANGING:
            del self._changing[file.id]
            return _Aside(error.message, again_s=3600.0)
        await self._files.retry_later(file.id, 5.0 * 2 ** (looks - 1))
        return None

    async def _later(self, file: Any, seconds: float) -> None:
        try:
            await self._files.retry_later(file.id, seconds)
        except Exception as error:  # the store takes nothing; the place in the line is kept, so that nothing spins
            log.warning("the store cannot be written", problem=str(error))
            await asyncio.sleep(_WITHOUT_ROOM_S)

    def _examine(self, file: Any) -> Call:
        return Call(
            task="examine",
            backend="pillow",
            inputs={
                "path": file.path,
                "name": file.name.decode(errors="replace"),
                "sidecars": list(file.sidecars),
                "steps": list(self._examined),
                "preview": os.fsencode(self._previews.folder / "preview"),
                "thumb": os.fsencode(self._previews.folder / "thumb"),
                "by_content": True,
                "limits": self._limits,
            },
            label=f"file {file.id}",
            timeout_s=90.0,
        )

    async def _park(self, file: Any, aside: _Aside) -> None:
        problem = aside.problem
        await self._files.park(file.id, problem, seen=file.seen, again_s=aside.again_s)
        path = file.path.decode(errors="replace")
        log.warning("a file cannot be shown", path=path, problem=problem)
        self._bus.emit(PhotoFailed(None, path, problem))

    async def _keep(self, file: Any, answer: dict[str, Any]) -> None:
        for step, ms in answer["ms"].items():
            self.step_ms[step] += ms
            self.step_photos[step] += 1
        uid, new, outcomes, gone = await self._database.write(lambda c: self._take_in(c, file, answer))
        for photo in gone:
            self._bus.emit(PhotoGone(photo.uid, photo.photo_id))
        if new:
            self._bus.emit(PhotoAdded(uid, file.path.decode(errors="replace")))
        for row in outcomes:
            self._bus.emit(StepChanged(uid, row.step, row.state, row.problem))
        self._new_photos.set()

    def _take_in(
        self, connection: Connection, file: Any, answer: dict[str, Any]
    ) -> tuple[str, bool, list[StepRow], list[files.Gone]]:
        facts = {"width": answer["width"], "height": answer["height"], "format": answer["format"]}
        photo_id, uid, new = rows.intake(connection, answer["sha256"], facts)
        if not new:
            # The same content under another name or with another sidecar: only what can differ is told apart.
            before = rows.work_of(connection, [photo_id])[0].results.get("metadata")
            found = answer["results"].get("metadata")
            if before and found and file.photo_id != photo_id and files.held(connection, photo_id):
                found = answer["results"]["metadata"] = together(before, found)
            if before is not None and before == found:
                back, gone = self._mark_read(connection, file, photo_id)
                if back:  # nothing searches for it yet, and it has lost its place among duplicates and in its burst
                    rows.drop_steps(connection, photo_id, dependents(self.steps, {"hash"}))
                    rows.set_values(connection, photo_id, {"state": "pending"})
                return uid, back, [], gone
            rows.drop_steps(connection, photo_id, dependents(self.steps, {"metadata"}))
        done = [StepRow(step, self._versions[step], "completed", result) for step, result in answer["results"].items()]
        done += [StepRow(step, self._versions[step], "failed", None, why) for step, why in answer["problems"].items()]
        rows.set_steps(connection, photo_id, done)
        for step, result in answer["results"].items():
            self._examined[step].keep(connection, photo_id, result)
        _, gone = self._mark_read(connection, file, photo_id)
        if not files.held(connection, photo_id):  # the file went, or changed, while it was read: this is no photo
            return uid, False, [], [each for each in gone if each.photo_id != photo_id or not new]
        rows.set_values(connection, photo_id, {"state": "pending"})
        return uid, new, done, gone

    def _mark_read(self, connection: Connection, file: Any, photo_id: int) -> tuple[bool, list[files.Gone]]:
        return files.mark_read(
            connection, file.id, photo_id, now=time.time(), seen=file.seen, steps=list(self._versions)
        )

    # -- photos --------------------------------------------------------------------------------------------------

    async def _finish_photos(self) -> None:
        """Two batches at a time: while one waits for a model, the other is stored or described. Never more, however
        slow the models: what is in flight is what a kill costs, and what memory holds."""
        while True:
            batch: list[PhotoWork] = []
            if not self.paused and len(self._batches) < 2:
                batch = await self._more_work()
                if 0 < len(batch) < _WORTH_IT and self._reading:
                    await asyncio.sleep(_GATHER_S)
                    batch = await self._more_work()
            if batch:
                self._finishing.update(photo.id for photo in batch)
                task = asyncio.create_task(self._finish_batch(batch), name="pipeline:batch")
                self._batches.add(task)  # `close` must end it, or it would take the ending hosts for missing ones
                task.add_done_callback(self._batches.discard)
            elif self._batches:
                await asyncio.wait(self._batches, timeout=5.0, return_when=asyncio.FIRST_COMPLETED)
            else:
                await woken(self._new_photos, 5.0)

    async def _more_work(self) -> list[PhotoWork]:
        return await self._database.read(partial(rows.work, limit=BATCH, after=0, skip=list(self._finishing)))

    async def _finish_batch(self, batch: list[PhotoWork]) -> None:
        try:
            away = await self._examine_again(batch)
            for step in self._batched:
                wanting = [photo for photo in batch if self._wants(photo, step)]
                for start in range(0, len(wanting), step.batch):
                    await self._run_step(step, wanting[start : start + step.batch])
            await self._settle(batch, away)
        except FramedError as error:
            log.warning("a batch of photos waits", problem=error.message)
            await asyncio.sleep(5.0)
        except Exception:
            log.exception("a batch of photos failed")
            await asyncio.sleep(5.0)
        finally:
            self._finishing.difference_update(photo.id for photo in batch)

    def _wants(self, photo: PhotoWork, step: Step) -> bool:
        for need in step.needs:
            state = photo.steps.get(need)
            if state is None or state[0] < self._versions[need]:
                return False
            if state[1] == "failed" and need in ("preview", "hash", "description") and need not in photo.results:
                return False
        version, state_now, attempts = photo.steps.get(step.name, (0, "", 0))
        if version < step.version:
            return True
        return state_now == "unavailable" or (state_now == "failed" and attempts < MAX_ATTEMPTS)

    async def _examine_again(self, batch: list[PhotoWork]) -> set[int]:
        """Examined steps that are missing or outdated (a new version, a lost row) run on the file once more. Gives the
        photos of which no file can be had now: what is known of them holds."""
        missing = {photo.id: self._missing(photo) for photo in batch}
        away = await asyncio.gather(*(self._again(photo, missing[photo.id]) for photo in batch if missing[photo.id]))
        return {photo_id for photo_id in away if photo_id is not None}

    def _missing(self, photo: PhotoWork) -> list[str]:
        return [name for name, step in self._examined.items() if self._wants(photo, step)] if photo.paths else []

    async def _again(self, photo: PhotoWork, missing: list[str]) -> int | None:
        """The photo's id where none of its files can be had."""
        for place in photo.paths:
            try:
                answer = await self._compute.run(await self._look_again(photo, place, missing))
            except (Unavailable, NotReady, Busy):
                raise  # no fault of the photo: the batch waits, and nothing counts as an attempt
            except (PhotoChanging, PhotoForbidden) as error:
                answer = {"results": {}, "problems": dict.fromkeys(missing, error.message), "away": True}
                continue
            except FramedError as error:
                answer = {"results": {}, "problems": dict.fromkeys(missing, error.message)}
            break
        if answer.get("away") and "preview" in photo.results:
            return photo.id
        await self._store_examined(photo, answer)
        return None

    async def _look_again(self, photo: PhotoWork, place: tuple[bytes, bytes, bytes], missing: list[str]) -> Call:
        path = _joined(place)
        return Call(
            task="examine",
            backend="pillow",
            inputs={
                "path": path,
                "name": place[-1].decode(errors="replace"),
                "sidecars": await asyncio.to_thread(sidecar_paths, path),
                "steps": missing,
                "preview": os.fsencode(self._previews.path(photo.uid)),
                "thumb": os.fsencode(self._previews.path(photo.uid, "thumb")),
                "only": photo.uid,
                "limits": self._limits,
            },
            label=photo.uid,
        )

    async def _store_examined(self, photo: PhotoWork, answer: dict[str, Any]) -> None:
        def store(connection: Connection) -> None:
            for step, result in answer["results"].items():
                self._examined[step].keep(connection, photo.id, result)
                rows.set_steps(connection, photo.id, [StepRow(step, self._versions[step], "completed", result)])
            for step, why in answer["problems"].items():
                rows.set_steps(connection, photo.id, [StepRow(step, self._versions[step], "failed", None, why)])

        await self._database.write(store)
        for step, result in answer["results"].items():
            self._note(photo, step, Outcome("completed", result))
        for step, why in answer["problems"].items():
            self._note(photo, step, Outcome("failed", problem=why))

    async def _run_step(self, step: BatchStep, photos: list[PhotoWork]) -> None:
        began = time.monotonic()
        outcomes = await attempted(step.name, step.run, photos)
        self.step_ms[step.name] += round((time.monotonic() - began) * 1000)
        self.step_photos[step.name] += len(photos)

        def store(connection: Connection) -> None:
            done = []
            for photo, outcome in zip(photos, outcomes, strict=True):
                if outcome.store is not None:
                    outcome.store(connection)
                row = StepRow(step.name, step.version, outcome.state, outcome.result, outcome.problem)
                done.append((photo.id, row))
            rows.put_steps(connection, done)

        await self._database.write(store)
        for photo, outcome in zip(photos, outcomes, strict=True):
            self._note(photo, step.name, outcome)

    def _note(self, photo: PhotoWork, step: str, outcome: Outcome) -> None:
        attempts = photo.steps.get(step, (0, "", 0))[2] + 1
        photo.steps[step] = (self._versions[step], outcome.state, attempts)
        if outcome.result is not None:
            photo.results[step] = outcome.result
        self._bus.emit(StepChanged(photo.uid, step, outcome.state, outcome.problem))

    async def _settle(self, batch: list[PhotoWork], away: set[int]) -> None:
        """Says of each photo whether it is complete; a step that may still be tried again leaves it open, but for those
        whose files are away: they wait until a folder was looked through without a problem."""
        states = {photo.id: self._state(photo) for photo in batch}
        states |= {photo_id: "partial" for photo_id in away}
        if away and self._missed is None:
            self._missed = min(away)
            log.info("photos stay as they are until their files are back", photos=len(away))

        settled = await self._database.write(lambda c: rows.settle(c, states))
        for photo in (photo for photo in batch if photo.id in settled):
            state = states[photo.id]
            self.rate.count()
            if state == "failed":
                problem = next((f"{name} failed" for name, row in photo.steps.items() if row[1] == "failed"), "failed")
                self._bus.emit(PhotoFailed(photo.uid, "", problem))
            elif state in rows.SHOWN:
                self._bus.emit(PhotoAnalysed(photo.uid, photo.id, state))

    def _state(self, photo: PhotoWork) -> str:
        states = {step.name: photo.steps.get(step.name, (0, "missing", 0)) for step in self.steps}
        if states["preview"][1] != "completed" and "preview" not in photo.results:
            return "failed" if states["preview"][2] >= MAX_ATTEMPTS or not photo.paths else "pending"
        if any(state == "failed" and attempts < MAX_ATTEMPTS for _, state, attempts in states.values()):
            return "pending"
        if all(state in ("completed", "skipped") for _, state, _ in states.values()):
            return "completed"
        return "partial"


def _joined(place: tuple[bytes, bytes, bytes]) -> bytes:
    """The path of a file in its root and folder."""
    return b"/".join(part for part in place if part)
