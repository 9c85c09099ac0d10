"""The durable queue: written before acknowledged, put back after a death, cancelled for real."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from framed.bus import Bus
from framed.clock import steady
from framed.errors import BadRequest, Busy, CannotStore
from framed.events import JobChanged
from framed.jobs import Job, JobQueue, Progress
from framed.store import jobs as rows
from framed.store.database import Database
from framed.store.tables import transactions

T = TypeVar("T")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "framed.db")
    await database.start()
    yield database
    await database.close()


async def finished(queue: JobQueue, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(40):
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


async def test_jobs_that_come_together_run_side_by_side(database: Database) -> None:
    queue, begun, all_at_work = JobQueue(database=database, bus=Bus()), 0, asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        nonlocal begun
        begun += 1
        if begun == 4:
            all_at_work.set()
        await all_at_work.wait()

    queue.works("wait", work)
    await queue.start()
    ids = await asyncio.gather(*(queue.add("wait", {}) for _ in range(4)))

    for job_id in ids:
        assert (await finished(queue, job_id))["state"] == "succeeded"
    await queue.close()


async def test_a_running_job_is_cancelled_for_real(database: Database) -> None:
    queue, began = JobQueue(database=database, bus=Bus()), asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        began.set()
        await asyncio.Event().wait()

    queue.works("wait", work)
    await queue.start()
    job_id = await queue.add("wait", {})
    await asyncio.wait_for(began.wait(), 40)
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


async def test_a_job_whose_help_was_broken_off_is_tried_again_and_its_worker_lives(database: Database) -> None:
    queue, attempts = JobQueue(database=database, bus=Bus(), lanes=1), list[int]()

    async def work(job: Job, progress: Progress) -> None:
        attempts.append(job.attempt)
        if len(attempts) == 1:
            helper = asyncio.create_task(asyncio.Event().wait())
            helper.cancel()
            await helper

    queue.works("scan", work)
    await queue.start()
    job = await finished(queue, await queue.add("scan", {}))
    other = await finished(queue, await queue.add("scan", {}))
    await queue.close()

    assert (job["state"], other["state"], attempts) == ("succeeded", "succeeded", [1, 2, 1])


class FullDisk(Database):
    """Takes none of the next `full_for` writes."""

    full_for = 0

    async def write(self, work: Callable[[Connection], T], *, durable: bool = False) -> T:
        if self.full_for:
            self.full_for -= 1
            raise CannotStore("The disk that holds framed's data is full.")
        return await super().write(work, durable=durable)


async def test_a_job_that_fails_while_the_disk_is_full_is_tried_again_when_there_is_room(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path / "framed.db")
    await disk.start()
    queue, attempts = JobQueue(database=disk, bus=Bus(), stumbled_s=0.01), list[int]()

    async def work(job: Job, progress: Progress) -> None:
        attempts.append(job.attempt)
        if len(attempts) == 1:
            disk.full_for = 10
            progress(0.5)
            raise Busy("There is no room.")

    queue.works("write", work)
    await queue.start()
    job = await finished(queue, await queue.add("write", {}))
    await queue.close()
    await disk.close()

    assert (job["state"], attempts) == ("succeeded", [1, 2])


async def test_a_cancel_that_comes_as_the_attempt_fails_still_holds(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())

    async def work(job: Job, progress: Progress) -> None:
        await database.write(lambda c: rows.request_cancel(c, job.id))  # the worker has not heard of it yet
        raise Busy("Try again.")

    queue.works("scan", work)
    await queue.start()
    job = await finished(queue, await queue.add("scan", {}))
    await queue.close()

    assert (job["state"], job["error"]["code"]) == ("cancelled", "cancelled")


async def test_an_unknown_kind_is_refused(database: Database) -> None:
    with pytest.raises(BadRequest):
        await JobQueue(database=database, bus=Bus()).add("paint", {})


async def test_each_transaction_is_owed_an_answer_of_its_own(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))

    silent = await queue.add("scan", {}, dedupe_key="all")
    first = await queue.add("scan", {}, dedupe_key="all", transaction="t1")
    second = await queue.add("scan", {}, dedupe_key="all", transaction="t2")

    assert silent == first != second


async def test_a_transaction_of_long_ago_is_a_new_wish(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))
    old = await queue.add("scan", {}, transaction="nightly")
    await database.write(lambda c: rows.finish(c, old, "succeeded", {}, None))
    again = await queue.add("scan", {}, transaction="nightly")
    await database.write(lambda c: c.exec_driver_sql("update jobs set created_at = created_at - 601"))

    assert old == again != await queue.add("scan", {}, transaction="nightly")


async def test_a_final_answer_that_nobody_got_is_said_after_the_restart_and_then_no_more(database: Database) -> None:
    bus, heard = Bus(), list[dict[str, Any]]()

    async def hear(event: JobChanged) -> None:
        heard.append(event.job)

    bus.on(JobChanged, hear)
    dead = JobQueue(database=database, bus=Bus())
    dead.works("scan", lambda job, progress: asyncio.sleep(0))
    job_id = await dead.add("scan", {}, transaction="t1")
    await database.write(lambda c: rows.finish(c, job_id, "succeeded", {"files": 3}, None))

    bus.start()
    for _ in range(2):
        queue = JobQueue(database=database, bus=bus)
        await queue.start()
        await queue.answered(job_id)
        await queue.close()
    await bus.settle()
    await bus.close()

    assert [(job["id"], job["result"]) for job in heard] == [(job_id, {"files": 3})]


async def test_the_end_of_a_job_is_said_once_and_last(database: Database) -> None:
    bus, states, ended = Bus(), list[str](), asyncio.Event()

    async def hear(event: JobChanged) -> None:
        states.append(event.job["state"])
        if states[-1] == "succeeded":
            ended.set()

    async def work(job: Job, progress: Progress) -> None:
        progress(0.5, "half")
        progress(1.0, "all")

    bus.on(JobChanged, hear)
    bus.start()
    queue = JobQueue(database=database, bus=bus)
    queue.works("scan", work)
    await queue.start()
    await queue.add("scan", {})
    await ended.wait()  # the row says so a moment before anybody is told
    await queue.close()
    await bus.settle()
    await bus.close()

    assert states.count("succeeded") == 1
    assert states[-1] == "succeeded"


async def test_progress_is_said_at_most_twice_a_second(database: Database) -> None:
    bus, heard, ended = Bus(), list[float](), asyncio.Event()

    async def hear(event: JobChanged) -> None:
        heard.append(event.job["progress"])
        if event.job["state"] == "succeeded":
            ended.set()

    async def work(job: Job, progress: Progress) -> None:
        for percent in (10, 11, 12, 13):
            progress(percent / 100, None)

    bus.on(JobChanged, hear)
    bus.start()
    queue = JobQueue(database=database, bus=bus)
    queue.works("scan", work)
    await queue.start()
    await queue.add("scan", {})
    await ended.wait()
    await queue.close()
    await bus.close()

    assert set(heard) == {0.0, 0.1, 1.0}


async def test_clean_stops_are_no_failed_attempts_and_kills_are(database: Database) -> None:
    queue, began = JobQueue(database=database, bus=Bus()), asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        began.set()
        await asyncio.Event().wait()

    queue.works("scan", work)
    job_id = await queue.add("scan", {}, max_attempts=2)
    for _ in range(3):
        began.clear()
        await queue.start()
        await asyncio.wait_for(began.wait(), 40)
        await queue.close()
    stopped = await database.read(lambda c: rows.get(c, job_id))
    for _ in range(2):
        await database.write(lambda c: rows.claim(c, ["scan"], "killed", 60.0))
        await database.write(rows.release_orphans)
    killed = await queue.get(job_id)

    assert (stopped["state"], stopped["attempts"]) == ("queued", 0)  # type: ignore[index]
    assert killed is not None
    assert killed["state"] == "failed"
    assert "given up" in killed["error"]["message"]


async def test_a_job_that_gets_further_each_time_is_never_given_up(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))
    job_id = await queue.add("scan", {}, max_attempts=2)
    for turn in range(1, 6):
        await database.write(lambda c: rows.claim(c, ["scan"], "killed", 60.0))
        await database.write(partial(rows.set_progress, job_id=job_id, progress=turn / 10, step=None, lease_s=60.0))
        await database.write(rows.release_orphans)

    assert (await queue.get(job_id) or {})["state"] == "queued"


async def test_a_cancel_that_a_kill_overtook_still_holds(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))
    job_id = await queue.add("scan", {})
    await database.write(lambda c: rows.claim(c, ["scan"], "killed", 60.0))
    await queue.cancel(job_id)
    await database.write(rows.release_orphans)

    assert (await queue.get(job_id) or {})["state"] == "cancelled"


async def test_a_job_put_off_under_another_clock_is_done(database: Database) -> None:
    queue = JobQueue(database=database, bus=Bus())
    queue.works("scan", lambda job, progress: asyncio.sleep(0))
    job_id = await queue.add("scan", {}, delay_s=365 * 86_400)  # as a clock that ran a year ahead wrote it

    await queue.start()
    job = await finished(queue, job_id)
    await queue.close()

    assert job["state"] == "succeeded"


@pytest.mark.parametrize(("ahead_s", "known"), [(-601, False), (-5, True), (30, True), (365 * 86_400, False)])
async def test_a_transaction_is_known_for_ten_minutes_whatever_the_clock_did(
    database: Database, ahead_s: float, known: bool
) -> None:
    def keep(connection: Connection) -> dict[str, Any] | None:
        rows.keep_answer(connection, "t1", "ask", {"v": 1}, 0.0)
        connection.execute(transactions.update().values(at=steady() + ahead_s))
        return rows.first_answer(connection, "t1", steady() - 600)

    assert (await database.write(keep) is not None) is known
