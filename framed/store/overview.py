"""What people ask about the whole library: how far each folder is, what was put aside and why, photos by state."""

from typing import Any

from sqlalchemy import Connection, Select, func, select

from framed.store.photos import SHOWN
from framed.store.tables import files, folders, photo_steps, photos, roots


def by_root(connection: Connection) -> list[dict[str, Any]]:
    """Each root with its files by state and its photos by state; a photo in two roots counts in both."""
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(select(roots).order_by(roots.c.id)):
        found[row.id] = {
            "path": row.path.decode(errors="replace"),
            "last_scan_at": row.last_scan_at,
            "problem": row.problem,
            "files": 0,
            "unread": 0,
            "parked": 0,
            "photos": {},
        }
    at = files.join(folders, folders.c.id == files.c.folder_id)
    per_file = select(folders.c.root_id, files.c.state, func.count().label("n")).select_from(at)
    for row in connection.execute(per_file.group_by(folders.c.root_id, files.c.state)):
        root = found[row.root_id]
        root["files"] += row.n
        root["unread"] += row.n if row.state == "new" else 0
        root["parked"] += row.n if row.state == "parked" else 0
    number = func.count(func.distinct(photos.c.id)).label("n")
    per_photo = select(folders.c.root_id, photos.c.state, number).select_from(
        at.join(photos, photos.c.id == files.c.photo_id)
    )
    for row in connection.execute(per_photo.group_by(folders.c.root_id, photos.c.state)):
        found[row.root_id]["photos"][row.state] = row.n
    return list(found.values())


def parked_reasons(connection: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Files that were put aside by reason, without their names, the most frequent first."""
    kinds: dict[str, int] = {}
    query = (
        select(files.c.problem, files.c.name)
        .where(files.c.state != "read", files.c.state == "parked")
        .order_by(files.c.id.desc())
    )
    for row in connection.execute(query):
        reason = (row.problem or "").replace(row.name.decode(errors="replace"), "…")
        kinds[reason] = kinds.get(reason, 0) + 1
    ordered = sorted(kinds.items(), key=lambda pair: -pair[1])
    return [{"problem": problem, "files": count} for problem, count in ordered[:limit]]


def unfinished_steps(connection: Connection) -> list[dict[str, Any]]:
    """Steps that failed or have no backend, with how many photos and one of the reasons."""
    why = func.max(photo_steps.c.problem).label("why")
    query = (
        select(photo_steps.c.step, photo_steps.c.state, func.count().label("n"), why)
        .where(photo_steps.c.state != "completed", photo_steps.c.state.in_(("failed", "unavailable")))
        .group_by(photo_steps.c.step, photo_steps.c.state)
        .order_by(photo_steps.c.step)
    )
    return [
        {"step": row.step, "state": row.state, "photos": row.n, "problem": row.why} for row in connection.execute(query)
    ]


def _in(state: str) -> Select[int]:
    there = photos.c.state != "gone"
    wanted = {
        "all": there,
        "hidden": there & photos.c.hidden.is_(True),
        "favourite": there & photos.c.favourite.is_(True),
        "new": photos.c.state.in_(SHOWN) & photos.c.hidden.is_(False),
    }
    return select(photos.c.id).where(wanted.get(state, photos.c.state == state))


def in_state(connection: Connection, state: str, limit: int, offset: int) -> list[int]:
    """Photos in a state, or hidden, favourite, new or all; the newest in the library first."""
    return list(connection.execute(_in(state).order_by(photos.c.id.desc()).limit(limit).offset(offset)).scalars())


def count_in_state(connection: Connection, state: str) -> int:
    return int(connection.execute(select(func.count()).select_from(_in(state).subquery())).scalar() or 0)


def problems(connection: Connection, ids: list[int]) -> dict[int, str]:
    """Why steps of these photos failed or were left undone: one sentence a photo."""
    query = select(photo_steps.c.photo_id, photo_steps.c.step, photo_steps.c.problem).where(
        photo_steps.c.photo_id.in_(ids), photo_steps.c.state.in_(("failed", "unavailable"))
    )
    found: dict[int, str] = {}
    for row in connection.execute(query):
        said = f"{row.step}: {row.problem or 'failed'}"
        found[row.photo_id] = f"{found[row.photo_id]} {said}" if row.photo_id in found else said
    return found
