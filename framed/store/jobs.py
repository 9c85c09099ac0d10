"""Job and transaction rows: what has been asked for and how far it is."""

import json
import time
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from framed.store.tables import jobs, transactions

FINISHED = ("succeeded", "failed", "cancelled")


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
) -> tuple[str, bool]:
    """The job's id and whether it is new: a waiting job with the same key, or any with the same transaction, serves."""
    same = []
    if dedupe_key is not None:
        same.append((jobs.c.kind == kind) & (jobs.c.dedupe_key == dedupe_key) & (jobs.c.state == "queued"))
    if transaction is not None:
        same.append((jobs.c.kind == kind) & (jobs.c.transaction == transaction))
    if same:
        found: str | None = connection.execute(select(jobs.c.id).where(or_(*same)).limit(1)).scalar()
        if found is not None:
            return found, False
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
            created_at=time.time(),
        )
    )
    return id, True


def claim(connection: Connection, kinds: list[str], owner: str, lease_s: float) -> RowMapping | None:
    now = time.time()
    job_id = connection.execute(
        select(jobs.c.id)
        .where(jobs.c.state == "queued", jobs.c.kind.in_(kinds), jobs.c.run_after <= now)
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
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == "running")
        .values(progress=progress, step=step, lease_until=time.time() + lease_s)
    )


def finish(
    connection: Connection, job_id: str, state: str, result: dict[str, Any] | None, error: dict[str, Any] | None
) -> None:
    values: dict[str, Any] = {"state": state, "result": result, "error": error, "finished_at": time.time()}
    if state == "succeeded":
        values["progress"] = 1.0
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(lease_owner=None, lease_until=None, **values))


def retry(connection: Connection, job_id: str, run_after: float, error: dict[str, Any]) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(state="queued", run_after=run_after, error=error, lease_owner=None, lease_until=None, dedupe_key=None)
    )


def request_cancel(connection: Connection, job_id: str) -> RowMapping | None:
    """A waiting job is cancelled at once; a running one is marked, and its worker stops it."""
    job = get(connection, job_id)
    if job is None or job["state"] in FINISHED:
        return job
    if job["state"] == "queued":
        finish(connection, job_id, "cancelled", None, {"code": "cancelled", "message": "It was cancelled."})
    else:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(cancel_requested=True))
    return get(connection, job_id)


def release_orphans(connection: Connection, owner: str) -> int:
    """Puts back what a dead daemon was working on. An attempt that ended with the process counts as one."""
    now = time.time()
    orphan = (jobs.c.state == "running") & ((jobs.c.lease_owner != owner) | (jobs.c.lease_until < now))
    connection.execute(
        update(jobs)
        .where(orphan & (jobs.c.attempts >= jobs.c.max_attempts))
        .values(
            state="failed",
            finished_at=now,
            error={"code": "internal", "message": "framed stopped each time while this job ran; it was given up."},
        )
    )
    released = connection.execute(
        update(jobs).where(orphan).values(state="queued", lease_owner=None, lease_until=None, dedupe_key=None)
    )
    return int(released.rowcount)


def prune(connection: Connection, older_than: float) -> None:
    connection.execute(delete(jobs).where(jobs.c.state.in_(FINISHED), jobs.c.finished_at < older_than))


# -- transactions ----------------------------------------------------------------------------------------------------


def first_answer(connection: Connection, transaction: str, since: float) -> dict[str, Any] | None:
    row = connection.execute(
        select(transactions.c.response).where(transactions.c.id == transaction, transactions.c.at >= since)
    ).first()
    return dict(row[0]) if row is not None and row[0] is not None else None


def keep_answer(connection: Connection, transaction: str, verb: str, response: dict[str, Any], before: float) -> None:
    connection.execute(delete(transactions).where(or_(transactions.c.at < before, transactions.c.id == transaction)))
    plain = json.loads(json.dumps(response, default=str))
    connection.execute(insert(transactions).values(id=transaction, verb=verb, response=plain, at=time.time()))
