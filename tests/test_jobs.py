"""The durable queue: written before acknowledged, put back after a death, cancelled for real."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from framed.bus import Bus
from framed.errors import BadRequest, Busy
from framed.jobs import Job, JobQueue, Progress
from framed.store import jobs as rows
from framed.store.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


async def finished(queue: JobQueue, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            job = await queue.get(job_id)
            assert job is not None
            if job["state"] in rows.FINISHED:
                return job
            await asyncio.sleep(0.01)


async def test_a_job_runs_once_and_its_result_is_kept(database: Database) -> None:
    queue, ran = JobQueue(database=database, bus=Bus()), list[str]()

    async def work(job: Job, progress: Progress) -> dict[str, Any]:
        ran.append(job.id)
        progress(0.5, "half")
        return {"sum": job.payload["a"] + 1}

    queue.works("add", work)
    await queue.start()
    job_id = await queue.add("add", {"a": 1})

    job = await finished(queue, job_id)
    await queue.close()

    assert (job["state"], job["result"], ran) == ("succeeded", {"sum": 2}, [job_id])


async def test_the_same_wish_is_queued_once(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))

    first = await queue.add("scan", {}, dedupe_key="all")
    second = await queue.add("scan", {}, dedupe_key="all")
    third = await queue.add("scan", {}, transaction="t1")
    fourth = await queue.add("scan", {}, transaction="t1")

    assert first == second != third == fourth


async def test_a_job_of_a_dead_daemon_is_done_by_the_next(database: Database) -> None:
    dead = JobQueue(database=database, bus=Bus())
    dead.works("scan", lambda job, progress: asyncio.sleep(0))
    job_id = await dead.add("scan", {})
    await database.write(lambda c: rows.claim(c, ["scan"], "dead", 60.0))

    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0, {"attempt": job.attempt}))
    await queue.start()
    job = await finished(queue, job_id)
    await queue.close()

    assert (job["state"], job["result"]) == ("succeeded", {"attempt": 2})


async def test_a_running_job_is_cancelled_for_real(database: Database) -> None:
    queue, began = JobQueue(database=database, bus=Bus()), asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        began.set()
        await asyncio.Event().wait()

    queue.works("wait", work)
    await queue.start()
    job_id = await queue.add("wait", {})
    await asyncio.wait_for(began.wait(), 5)
    await queue.cancel(job_id)

    job = await finished(queue, job_id)
    await queue.close()

    assert job["state"] == "cancelled"


async def test_what_may_go_better_is_tried_again_and_then_failed(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    attempts: list[int] = []

    async def work(job: Job, progress: Progress) -> None:
        attempts.append(job.attempt)
        raise Busy("The disk is full.")

    queue.works("write", work)
    await queue.start()
    job_id = await queue.add("write", {}, max_attempts=2)

    job = await finished(queue, job_id)
    await queue.close()

    assert attempts == [1, 2]
    assert (job["state"], job["error"]["message"]) == ("failed", "The disk is full.")


async def test_an_unknown_kind_is_refused(database: Database) -> None:
    with pytest.raises(BadRequest):
        await JobQueue(database=database, bus=Bus()).add("paint", {})
