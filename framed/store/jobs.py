"""Job and transaction rows: what has been asked for and how far it is."""

import json
from typing import Any

from sqlalchemy import Connection, RowMapping, case, delete, func, insert, or_, select, update

from framed.clock import steady
from framed.store.tables import jobs, transactions

LONGEST_WAIT_S = 3600.0
"""A job that is put off further than any is was written under another clock, and is due."""
FINISHED = ("succeeded", "failed", "cancelled")
ANSWER_DUE = "answer"
"""`lease_owner` of a finished job whose final answer has not reached the broker yet: a restart says it again."""


def add(
    connection: Connection,
    *,
    id: str,
    kind: str,
    payload: dict[str, Any],
    priority: int,
    dedupe_key: str | None,
    transaction: str | None,
    max_attempts: int,
    run_after: float,
    transaction_s: float,
) -> tuple[str, bool]:
    """The job's id and whether it is new: a waiting job with the same key, or any with the same transaction, serves.

    A transaction is the same for `transaction_s` after it was first seen, and while its job is not done. Each
    transaction is owed a final answer of its own, so a waiting job that already answers another does not serve.
    """
    now = steady()
    if transaction is not None:
        recent = jobs.c.state.not_in(FINISHED) | jobs.c.created_at.between(now - transaction_s, now + transaction_s)
        query = select(jobs.c.id).where(jobs.c.kind == kind, jobs.c.transaction == transaction, recent)
        found: str | None = connection.execute(query.order_by(jobs.c.created_at.desc()).limit(1)).scalar()
        if found is not None:
            return found, False
    if dedupe_key is not None:
        waiting = (jobs.c.kind == kind) & (jobs.c.dedupe_key == dedupe_key) & (jobs.c.state == "queued")
        row = connection.execute(select(jobs.c.id, jobs.c.transaction).where(waiting)).first()
        if row is not None and transaction is None:
            return str(row.id), False
        if row is not None and row.transaction is None:
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(transaction=transaction))
            return str(row.id), False
        if row is not None:
            dedupe_key = None
    connection.execute(
        insert(jobs).values(
            id=id,
            kind=kind,
            payload=payload,
            state="queued",
            priority=priority,
            dedupe_key=dedupe_key,
            transaction=transaction,
            attempts=0,
            max_attempts=max_attempts,
            run_after=run_after,
            created_at=now,
        )
    )
    return id, True


def claim(connection: Connection, kinds: list[str], owner: str, lease_s: float) -> RowMapping | None:
    now = steady()
    job_id = connection.execute(
        select(jobs.c.id)
        .where(jobs.c.state == "queued", jobs.c.kind.in_(kinds))
        .where(or_(jobs.c.run_after <= now, jobs.c.run_after > now + LONGEST_WAIT_S))
        .order_by(jobs.c.priority, jobs.c.created_at)
        .limit(1)
    ).scalar()
    if job_id is None:
        return None
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(state="running", attempts=jobs.c.attempts + 1, lease_owner=owner, lease_until=now + lease_s)
    )
    return get(connection, job_id)


def next_due(connection: Connection, kinds: list[str]) -> float | None:
    due: float | None = connection.execute(
        select(func.min(jobs.c.run_after)).where(jobs.c.state == "queued", jobs.c.kind.in_(kinds))
    ).scalar()
    return due


def get(connection: Connection, job_id: str) -> RowMapping | None:
    return connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()


def listed(connection: Connection, limit: int) -> list[RowMapping]:
    query = select(jobs).order_by(jobs.c.created_at.desc()).limit(limit)
    return list(connection.execute(query).mappings())


def counts(connection: Connection) -> dict[str, int]:
    return {
        state: count for state, count in connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
    }


def set_progress(connection: Connection, job_id: str, progress: float, step: str | None, lease_s: float) -> None:
    """A job that gets further than ever before is not what keeps killing framed: its attempts count anew."""
    further = case((jobs.c.progress < progress, 1), else_=jobs.c.attempts)
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == "running")
        .values(
            progress=case((jobs.c.progress < progress, progress), else_=jobs.c.progress),
            attempts=further,
            step=step,
            lease_until=steady() + lease_s,
        )
    )


def renew(connection: Connection, job_id: str, lease_s: float) -> None:
    running = (jobs.c.id == job_id) & (jobs.c.state == "running")
    connection.execute(update(jobs).where(running).values(lease_until=steady() + lease_s))


def finish(
    connection: Connection, job_id: str, state: str, result: dict[str, Any] | None, error: dict[str, Any] | None
) -> None:
    values: dict[str, Any] = {"state": state, "result": result, "error": error, "finished_at": steady()}
    if state == "succeeded":
        values["progress"] = 1.0
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**_LEFT, **values))


_LEFT: dict[str, Any] = {
    "lease_owner": case((jobs.c.transaction.is_not(None), ANSWER_DUE), else_=None),
    "lease_until": None,
}
"""What becomes of the lease of a job that ends."""


def answers_due(connection: Connection) -> list[str]:
    """Finished jobs whose final answer nobody has been given, in the order in which they ended."""
    due = (jobs.c.lease_owner == ANSWER_DUE) & jobs.c.state.in_(FINISHED)
    return list(connection.execute(select(jobs.c.id).where(due).order_by(jobs.c.finished_at)).scalars())


def answered(connection: Connection, job_id: str) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(FINISHED)).values(lease_owner=None))


def retry(connection: Connection, job_id: str, run_after: float, error: dict[str, Any]) -> None:
    """Puts it back for another attempt; where it was to be cancelled meanwhile it is."""
    job = get(connection, job_id)
    if job is not None and job["cancel_requested"]:
        finish(connection, job_id, "cancelled", None, _CANCELLED)
        return
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(state="queued", run_after=run_after, error=error, lease_owner=None, lease_until=None, dedupe_key=None)
    )


def request_cancel(connection: Connection, job_id: str) -> tuple[RowMapping | None, bool]:
    """The job, and whether this ended it: a waiting one is cancelled at once, a running one when its worker stops."""
    job = get(connection, job_id)
    if job is None or job["state"] in FINISHED:
        return job, False
    waiting = job["state"] == "queued"
    if waiting:
        finish(connection, job_id, "cancelled", None, _CANCELLED)
    else:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(cancel_requested=True))
    return get(connection, job_id), waiting


def release_orphans(connection: Connection) -> int:
    """Puts back what a dead daemon was working on: the data folder's lock says that nobody else is. An attempt that
    ended with the process counts as one; one that was to be cancelled is."""
    orphan, now = jobs.c.state == "running", steady()
    for ends, state, said in (
        (jobs.c.cancel_requested.is_(True), "cancelled", _CANCELLED),
        (jobs.c.attempts >= jobs.c.max_attempts, "failed", {"code": "internal", "message": _GIVEN_UP}),
    ):
        connection.execute(update(jobs).where(orphan & ends).values(state=state, finished_at=now, error=said, **_LEFT))
    return _put_back(connection)


_CANCELLED = {"code": "cancelled", "message": "It was cancelled."}
_GIVEN_UP = "framed was killed each time while this job ran; it was given up. Ask again once framed runs well."


def put_back(connection: Connection) -> int:
    """framed stops: the running jobs begin again with the next start, and this attempt does not count."""
    running = jobs.c.state == "running"
    connection.execute(update(jobs).where(running).values(attempts=jobs.c.attempts - 1))
    return _put_back(connection)


def _put_back(connection: Connection) -> int:
    back = {"state": "queued", "lease_owner": None, "lease_until": None, "dedupe_key": None}
    return int(connection.execute(update(jobs).where(jobs.c.state == "running").values(**back)).rowcount)


def prune(connection: Connection, older_than: float) -> None:
    connection.execute(delete(jobs).where(jobs.c.state.in_(FINISHED), jobs.c.finished_at < older_than))


# -- transactions ----------------------------------------------------------------------------------------------------


def first_answer(connection: Connection, transaction: str, since: float) -> dict[str, Any] | None:
    """What was answered since then; a time as far ahead was written under another clock."""
    window = transactions.c.at.between(since, 2 * steady() - since)
    row = connection.execute(select(transactions.c.response).where(transactions.c.id == transaction, window)).first()
    return dict(row[0]) if row is not None and row[0] is not None else None


def keep_answer(connection: Connection, transaction: str, verb: str, response: dict[str, Any], before: float) -> None:
    connection.execute(delete(transactions).where(or_(transactions.c.at < before, transactions.c.id == transaction)))
    plain = json.loads(json.dumps(response, default=str))
    connection.execute(insert(transactions).values(id=transaction, verb=verb, response=plain, at=steady()))
