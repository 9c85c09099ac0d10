"""Frames as rows: who they are, what is on them, what they have shown, and the pictures rendered for them."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store.tables import frame_states, frames, history, photos, renders, retained, shown


def every(connection: Connection) -> list[RowMapping]:
    return list(connection.execute(select(frames).where(frames.c.removed.is_(False))).mappings())


def ever(connection: Connection) -> bool:
    """Whether there has been any frame, removed ones included."""
    return connection.execute(select(frames.c.id).limit(1)).first() is not None


def put(connection: Connection, frame_id: str, **values: Any) -> None:
    """Adds the frame or changes it; a removed one comes back. `name`, `source` and `token` are needed for a new one."""
    if connection.execute(select(frames.c.id).where(frames.c.id == frame_id)).first() is not None:
        connection.execute(update(frames).where(frames.c.id == frame_id).values(removed=False, **values))
        return
    values = {"options": {}, "created_at": time.time(), **values}
    connection.execute(insert(frames).values(id=frame_id, **values))
    connection.execute(upsert(frame_states).values(frame_id=frame_id).on_conflict_do_nothing())


def remove(connection: Connection, frame_id: str) -> None:
    """The row stays, without its token and hello, so that what it has shown is remembered should it come back."""
    connection.execute(update(frames).where(frames.c.id == frame_id).values(removed=True, token="", hello=None))
    connection.execute(
        update(frame_states)
        .where(frame_states.c.frame_id == frame_id)
        .values(
            playlist_id=None,
            position=0,
            photo_id=None,
            item=None,
            sha256=None,
            show=None,
            paused=False,
            next_at=None,
            report=None,
            reported_at=None,
            online=False,
        )
    )


def state(connection: Connection, frame_id: str) -> RowMapping:
    return connection.execute(select(frame_states).where(frame_states.c.frame_id == frame_id)).mappings().one()


def states(connection: Connection) -> dict[str, RowMapping]:
    return {row["frame_id"]: row for row in connection.execute(select(frame_states)).mappings()}


def set_state(connection: Connection, frame_id: str, **values: Any) -> None:
    connection.execute(update(frame_states).where(frame_states.c.frame_id == frame_id).values(**values))


# -- what was shown --------------------------------------------------------------------------------------------------


def note_shown(connection: Connection, frame_id: str, photo_id: int, playlist_id: str | None) -> None:
    now = time.time()
    statement = upsert(shown).values(frame_id=frame_id, photo_id=photo_id, count=1, last_at=now)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["frame_id", "photo_id"], set_={"count": shown.c.count + 1, "last_at": now}
        )
    )
    note(connection, frame_id, photo_id, playlist_id, "shown")


def note(connection: Connection, frame_id: str, photo_id: int, playlist_id: str | None, action: str) -> None:
    connection.execute(
        insert(history).values(
            frame_id=frame_id, photo_id=photo_id, playlist_id=playlist_id, action=action, at=time.time()
        )
    )


def recent(connection: Connection, frame_id: str, limit: int) -> list[RowMapping]:
    query = (
        select(history, photos.c.uid)
        .join(photos, photos.c.id == history.c.photo_id)
        .where(history.c.frame_id == frame_id)
        .order_by(history.c.id.desc())
        .limit(limit)
    )
    return list(connection.execute(query).mappings())


def drop_note(connection: Connection, note_id: int) -> None:
    connection.execute(delete(history).where(history.c.id == note_id))


def prune_history(connection: Connection, keep: int = 5000) -> None:
    newest = connection.execute(select(func.max(history.c.id))).scalar() or 0
    connection.execute(delete(history).where(history.c.id < newest - keep))


# -- rendered pictures -----------------------------------------------------------------------------------------------


def render(connection: Connection, key: str) -> RowMapping | None:
    return connection.execute(select(renders).where(renders.c.key == key)).mappings().first()


_RENDERED = select(*(column for column in renders.c if column is not renders.c.thumb)).where(
    renders.c.photo_id.in_(bindparam("b_photos", expanding=True))
)


def renders_of(connection: Connection, photo_ids: Sequence[int]) -> dict[str, RowMapping]:
    """Every picture rendered of these photos by its key, without the thumbnails."""
    return {row["key"]: row for row in connection.execute(_RENDERED, {"b_photos": list(photo_ids)}).mappings()}


def render_of(connection: Connection, sha256: str) -> RowMapping | None:
    return connection.execute(select(renders).where(renders.c.sha256 == sha256).limit(1)).mappings().first()


def keep_render(connection: Connection, key: str, **values: Any) -> None:
    statement = upsert(renders).values(key=key, used_at=time.time(), **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={**values, "used_at": time.time()}))


def touch_render(connection: Connection, key: str) -> None:
    """It is shown: it leaves later than those that were not for longer."""
    connection.execute(update(renders).where(renders.c.key == key).values(used_at=time.time()))


def forget_render(connection: Connection, key: str) -> None:
    connection.execute(delete(renders).where(renders.c.key == key))


def oldest_renders(connection: Connection, over_bytes: int) -> list[RowMapping]:
    """What to delete so that the rendered pictures fit: least lately used first; never what a frame shows now."""
    total = connection.execute(select(func.coalesce(func.sum(renders.c.bytes), 0))).scalar() or 0
    if total <= over_bytes:
        return []
    on_panels = select(frame_states.c.sha256).where(frame_states.c.sha256.is_not(None))
    needed = select(renders.c.key, renders.c.sha256, renders.c.ext, renders.c.bytes)  # thumbnails would fill the memory
    query = needed.where(renders.c.sha256.not_in(on_panels.scalar_subquery())).order_by(renders.c.used_at)
    chosen = []
    for row in connection.execute(query.limit(2000)).mappings():
        if total <= over_bytes * 0.9:
            break
        chosen.append(row)
        total -= row["bytes"]
    return chosen


# -- what is retained at the broker ----------------------------------------------------------------------------------


def retained_topics(connection: Connection) -> set[str]:
    return set(connection.execute(select(retained.c.topic)).scalars())


def set_retained(connection: Connection, topics: set[str]) -> None:
    before = retained_topics(connection)
    if topics - before:
        connection.execute(insert(retained), [{"topic": topic} for topic in topics - before])
    if before - topics:
        connection.execute(delete(retained).where(retained.c.topic.in_(before - topics)))
