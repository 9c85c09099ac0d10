"""The durable job queue: rows that say what to do, and workers that do it.

A job is written down before it is acknowledged. A worker claims a row under a lease and renews it while it works; a
daemon that died leaves rows that its successor puts back. Work must therefore be safe to begin again; `transaction`
and `dedupe_key` keep the same wish from being queued twice.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, RowMapping

from framed.background import end_tasks
from framed.bus import Bus
from framed.clock import steady
from framed.errors import BadRequest, Busy, Cancelled, CannotStore, FramedError, NotReady, TimedOut
from framed.events import JobChanged, JobFailed
from framed.store import jobs as rows
from framed.store.database import Database
from framed.wake import woken

log = structlog.get_logger(__name__)

LEASE_S = 60.0
TRANSACTION_S = 600.0
KEEP_FINISHED_S = 7 * 86400
RETRIED = (Busy, TimedOut, NotReady, OSError)
"""What may go better next time; anything else fails the job at once."""

Progress = Callable[[float, str | None], None]
Work = Callable[["Job", Progress], Awaitable[dict[str, Any] | None]]


@dataclass(frozen=True)
class Job:
    id: str
    kind: str
    payload: dict[str, Any]
    transaction: str | None
    attempt: int


class JobQueue:
    """`works` says who does a kind of job; `add` queues one. `lanes` workers run side by side.

    `stumbled_s` is the pause where the store takes nothing, which is a full disk as a rule.
    """

    def __init__(self, *, database: Database, bus: Bus, lanes: int = 4, stumbled_s: float = 5.0) -> None:
        self._database = database
        self._bus = bus
        self._lanes = lanes
        self._stumbled_s = stumbled_s
        self._work: dict[str, Work] = {}
        self._owner = secrets.token_hex(8)
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[dict[str, Any] | None]] = {}
        self._cancelled: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._last_said: dict[str, float] = {}
        self._telling: dict[str, set[asyncio.Task[None]]] = {}

    def works(self, kind: str, work: Work) -> None:
        self._work[kind] = work

    async def start(self) -> None:
        released = await self._database.write(rows.release_orphans)
        if released:
            log.info("jobs of the last run were put back", jobs=released)
        for job_id in await self._database.read(rows.answers_due):
            await self._say(job_id)
        await self.prune()
        self._tasks = [asyncio.create_task(self._lane(), name=f"jobs:{lane}") for lane in range(self._lanes)]

    async def close(self) -> None:
        """Running jobs are interrupted and put back: the next start goes on with them."""
        await end_tasks(*self._tasks, *self._running.values())
        if self._tasks:
            await self._database.write(rows.put_back)

    async def add(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        priority: int = 50,
        dedupe_key: str | None = None,
        transaction: str | None = None,
        max_attempts: int = 3,
        delay_s: float = 0.0,
    ) -> str:
        """The id of the job that will do it: a new one, or the one that already waits for the same thing."""
        if kind not in self._work:
            raise BadRequest(f"There is no job of the kind {kind}.")
        new_id = secrets.token_hex(6)

        def write(connection: Connection) -> tuple[str, bool]:
            return rows.add(
                connection,
                id=new_id,
                kind=kind,
                payload=payload,
                priority=priority,
                dedupe_key=dedupe_key,
                transaction=transaction,
                max_attempts=max_attempts,
                run_after=steady() + delay_s,
                transaction_s=TRANSACTION_S,
            )

        job_id, new = await self._database.write(write, durable=True)
        if new:
            await self._say(job_id)
            self._wake.set()
        return job_id

    async def cancel(self, job_id: str) -> dict[str, Any] | None:
        job, ended = await self._database.write(lambda c: rows.request_cancel(c, job_id), durable=True)
        if job is None:
            return None
        task = self._running.get(job_id)
        if ended:
            await self._say(job_id)
        elif job["state"] == "running":
            self._cancelled.add(job_id)
            if task is not None:
                task.cancel()
        return public(job)

    async def answered(self, job_id: str) -> None:
        """The job's final answer has reached the broker: no restart says it again."""
        await self._database.write(lambda c: rows.answered(c, job_id), durable=True)

    async def prune(self) -> None:
        """Forgets jobs that finished long ago."""
        before = steady() - KEEP_FINISHED_S
        await self._database.write(lambda c: rows.prune(c, before))

    async def get(self, job_id: str) -> dict[str, Any] | None:
        job = await self._database.read(lambda c: rows.get(c, job_id))
        return public(job) if job is not None else None

    async def listed(self, limit: int = 50) -> list[dict[str, Any]]:
        return [public(job) for job in await self._database.read(lambda c: rows.listed(c, limit))]

    # -- workers -------------------------------------------------------------------------------------------------

    async def _lane(self) -> None:
        while True:
            try:
                await self._next()
            except CannotStore as error:
                log.info("jobs wait", problem=error.message)
                await asyncio.sleep(self._stumbled_s)
            except Exception:
                log.exception("a job worker stumbled; it goes on", seconds=self._stumbled_s)
                await asyncio.sleep(self._stumbled_s)

    async def _next(self) -> None:
        """Does the next job, or waits until one may be due."""
        kinds = list(self._work)
        row = await self._database.write(lambda c: rows.claim(c, kinds, self._owner, LEASE_S))
        if row is not None:
            self._wake.set()  # two that were added at once have woken one idle lane perhaps: it wakes the next
            await self._run(row)
            return
        due = await self._database.read(lambda c: rows.next_due(c, kinds))
        wait_s = 30.0 if due is None else min(30.0, max(0.05, due - steady()))
        await woken(self._wake, wait_s)

    async def _run(self, row: RowMapping) -> None:
        job = Job(row["id"], row["kind"], dict(row["payload"]), row["transaction"], row["attempts"])
        began = time.monotonic()
        await self._say(job.id)
        task = asyncio.create_task(self._do(job), name=f"job:{job.kind}:{job.id}")
        self._running[job.id] = task
        if job.id in self._cancelled:  # asked for while the row was being claimed
            task.cancel()
        renew = asyncio.create_task(self._renew(job.id), name=f"job-lease:{job.id}")
        try:
            result = await asyncio.shield(task)
            await self._finish(job, "succeeded", result, None)
            log.info("job done", job=job.id, kind=job.kind, seconds=round(time.monotonic() - began, 2))
        except asyncio.CancelledError:
            if job.id in self._cancelled:
                await self._finish(job, "cancelled", None, _error(Cancelled("It was cancelled.")))
            elif _is_stopping():
                task.cancel()
                raise
            else:
                await self._again(job, row["max_attempts"], Busy("What it waited for was broken off."))
        except RETRIED as error:
            await self._again(job, row["max_attempts"], error)
        except FramedError as error:
            await self._finish(job, "failed", None, _error(error))
        except Exception as error:
            log.exception("a job failed", job=job.id, kind=job.kind)
            await self._finish(job, "failed", None, _error(error))
        finally:
            renew.cancel()
            self._running.pop(job.id, None)
            self._cancelled.discard(job.id)
            self._last_said.pop(job.id, None)
            self._telling.pop(job.id, None)

    async def _do(self, job: Job) -> dict[str, Any] | None:
        loop = asyncio.get_running_loop()

        def progress(fraction: float, step: str | None = None) -> None:
            now = loop.time()
            if now - self._last_said.get(job.id, 0.0) < 0.5 and fraction < 1.0:
                return  # the contract: at most twice a second
            self._last_said[job.id] = now
            telling = self._telling.setdefault(job.id, set())
            told = loop.create_task(self._progress(job.id, fraction, step), name=f"job-progress:{job.id}")
            telling.add(told)
            told.add_done_callback(telling.discard)

        return await self._work[job.kind](job, progress)

    async def _progress(self, job_id: str, fraction: float, step: str | None) -> None:
        try:
            await self._database.write(lambda c: rows.set_progress(c, job_id, fraction, step, LEASE_S))
        except CannotStore as error:
            log.info("the progress of a job cannot be written down", job=job_id, problem=error.message)
        else:
            await self._say(job_id)

    async def _renew(self, job_id: str) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            try:
                await self._database.write(lambda c: rows.renew(c, job_id, LEASE_S))
            except CannotStore as error:
                log.info("the lease of a job cannot be renewed", job=job_id, problem=error.message)

    async def _again(self, job: Job, max_attempts: int, error: Exception) -> None:
        if job.attempt >= max_attempts:
            await self._finish(job, "failed", None, _error(error))
            return
        delay_s = min(300.0, 2.0**job.attempt)
        log.warning("a job will be tried again", job=job.id, kind=job.kind, problem=str(error), seconds=delay_s)
        await asyncio.shield(self._written(lambda c: rows.retry(c, job.id, steady() + delay_s, _error(error))))
        await self._say(job.id)

    async def _finish(self, job: Job, state: str, result: dict[str, Any] | None, error: dict[str, Any] | None) -> None:
        # Progress that is on its way comes first: the end of a job is said once, and last.
        await asyncio.gather(*self._telling.pop(job.id, ()), return_exceptions=True)
        await asyncio.shield(self._written(lambda c: rows.finish(c, job.id, state, result, error)))
        await self._say(job.id)
        if state == "failed" and error is not None:
            self._bus.emit(JobFailed(job.id, job.kind, error["message"]))

    async def _written(self, work: Callable[[Connection], None]) -> None:
        """However long the disk is full: a job that is done must not be done again."""
        while True:
            try:
                return await self._database.write(work, durable=True)
            except FramedError as error:
                log.warning("the end of a job cannot be written down yet", problem=error.message)
                await asyncio.sleep(self._stumbled_s)

    async def _say(self, job_id: str) -> None:
        job = await self.get(job_id)
        if job is not None:
            self._bus.emit(JobChanged(job))


def _is_stopping() -> bool:
    """Whether it is the worker itself that is cancelled, and not what its job waited for."""
    lane = asyncio.current_task()
    return lane is not None and lane.cancelling() > 0


def _error(error: Exception) -> dict[str, Any]:
    if isinstance(error, FramedError):
        return {"code": error.code, "message": error.message}
    if isinstance(error, OSError):
        return {"code": "busy", "message": f"The system refused: {error.strerror or type(error).__name__}."}
    return {"code": "internal", "message": "Something went wrong inside framed; its log says what."}


def public(job: RowMapping) -> dict[str, Any]:
    """The contract's `framed/job/<id>` payload."""
    said: dict[str, Any] = {"v": 1, "id": job["id"], "kind": job["kind"], "state": job["state"]}
    said["progress"] = round(job["progress"], 3)
    for key in ("step", "transaction", "result", "error"):
        if job[key] is not None:
            said[key] = job[key]
    return said
