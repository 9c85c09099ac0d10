"""Playlists as rows: the plan they came from, and their photos in playing order with the reasons."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, select, update

from framed.store.tables import frame_states, playlist_items, playlists


@dataclass(frozen=True)
class Item:
    photo_id: int
    score: float
    why: list[str]


@dataclass(frozen=True)
class Playlist:
    id: str
    name: str
    plan: dict[str, Any] | None
    saved: bool
    relaxed: list[str]
    left_out: dict[str, int]
    updated_at: float
    count: int = 0
    items: list[Item] = field(default_factory=list)


def put(
    connection: Connection,
    *,
    id: str,
    name: str,
    plan: dict[str, Any] | None,
    items: Sequence[Item],
    relaxed: list[str],
    left_out: dict[str, int],
    saved: bool = False,
) -> None:
    """Makes the playlist, or replaces the one of that id; `saved` is never taken back here."""
    now = time.time()
    before = connection.execute(select(playlists).where(playlists.c.id == id)).first()
    values = {"name": name, "plan": plan, "relaxed": relaxed, "left_out": left_out, "updated_at": now}
    if before is None:
        connection.execute(insert(playlists).values(id=id, saved=saved, created_at=now, **values))
    else:
        connection.execute(
            update(playlists).where(playlists.c.id == id).values(saved=bool(before.saved or saved), **values)
        )
    set_items(connection, id, items)


def set_items(connection: Connection, playlist_id: str, items: Sequence[Item]) -> None:
    connection.execute(delete(playlist_items).where(playlist_items.c.playlist_id == playlist_id))
    if items:
        connection.execute(
            insert(playlist_items),
            [
                {
                    "playlist_id": playlist_id,
                    "position": position,
                    "photo_id": item.photo_id,
                    "score": item.score,
                    "why": item.why,
                }
                for position, item in enumerate(items)
            ],
        )
    connection.execute(update(playlists).where(playlists.c.id == playlist_id).values(updated_at=time.time()))


def get(connection: Connection, playlist_id: str, *, limit: int | None = None, offset: int = 0) -> Playlist | None:
    """The playlist with its items from `offset` on, at most `limit` of them; `count` is of all."""
    row = connection.execute(select(playlists).where(playlists.c.id == playlist_id)).first()
    if row is None:
        return None
    query = (
        select(playlist_items.c.photo_id, playlist_items.c.score, playlist_items.c.why)
        .where(playlist_items.c.playlist_id == playlist_id)
        .order_by(playlist_items.c.position)
    )
    items = [
        Item(*found) for found in connection.execute(query.limit(limit).offset(offset) if limit is not None else query)
    ]
    total = connection.execute(
        select(func.count()).select_from(playlist_items).where(playlist_items.c.playlist_id == playlist_id)
    ).scalar()
    return Playlist(
        row.id, row.name, row.plan, row.saved, row.relaxed, row.left_out, row.updated_at, int(total or 0), items
    )


def photo_ids(connection: Connection, playlist_id: str) -> list[int]:
    query = select(playlist_items.c.photo_id).where(playlist_items.c.playlist_id == playlist_id)
    return list(connection.execute(query.order_by(playlist_items.c.position)).scalars())


def listed(connection: Connection) -> list[Playlist]:
    query = (
        select(playlists, func.count(playlist_items.c.position).label("n"))
        .outerjoin(playlist_items, playlist_items.c.playlist_id == playlists.c.id)
        .group_by(playlists.c.id)
        .order_by(playlists.c.updated_at.desc())
    )
    return [
        Playlist(row.id, row.name, row.plan, row.saved, row.relaxed, row.left_out, row.updated_at, row.n)
        for row in connection.execute(query)
    ]


def by_name(connection: Connection, name: str, *, saved: bool = False) -> str | None:
    """The playlist of this name in any case; a saved one, else (where `saved` is not asked for) the newest."""
    query = select(playlists.c.id).where(func.lower(playlists.c.name) == name.lower())
    if saved:
        query = query.where(playlists.c.saved.is_(True))
    query = query.order_by(playlists.c.saved.desc(), playlists.c.updated_at.desc()).limit(1)
    found: str | None = connection.execute(query).scalar()
    return found


def save(connection: Connection, playlist_id: str, name: str | None) -> bool:
    values: dict[str, Any] = {"saved": True}
    if name:
        values["name"] = name
    return connection.execute(update(playlists).where(playlists.c.id == playlist_id).values(**values)).rowcount > 0


def remove(connection: Connection, playlist_id: str) -> bool:
    connection.execute(
        update(frame_states).where(frame_states.c.playlist_id == playlist_id).values(playlist_id=None, position=0)
    )
    return connection.execute(delete(playlists).where(playlists.c.id == playlist_id)).rowcount > 0


def prune(connection: Connection, keep: int = 20) -> list[str]:
    """Unsaved playlists that no frame plays, but for the newest few (somebody may go back to them)."""
    playing = select(frame_states.c.playlist_id).where(frame_states.c.playlist_id.is_not(None))
    query = (
        select(playlists.c.id)
        .where(playlists.c.saved.is_(False), playlists.c.id.not_in(playing.scalar_subquery()))
        .order_by(playlists.c.updated_at.desc())
        .offset(keep)
    )
    old = list(connection.execute(query).scalars())
    if old:
        connection.execute(delete(playlists).where(playlists.c.id.in_(old)))
    return old


def holding(connection: Connection, photo_id: int) -> list[str]:
    query = select(playlist_items.c.playlist_id).distinct().where(playlist_items.c.photo_id == photo_id)
    return list(connection.execute(query).scalars())


def without_photo(connection: Connection, photo_id: int, playlist_ids: Sequence[str]) -> None:
    """Takes a photo out of these playlists."""
    for playlist_id in playlist_ids:
        kept = get(connection, playlist_id)
        ids = [item.photo_id for item in kept.items] if kept is not None else []
        if kept is not None and photo_id in ids:
            _shift_positions(connection, playlist_id, ids.index(photo_id))
            set_items(connection, playlist_id, [item for item in kept.items if item.photo_id != photo_id])


def replace(connection: Connection, read: Playlist, items: Sequence[Item], plan: dict[str, Any]) -> bool:
    """Gives a playlist other items, composed from what was `read`; False, and nothing changes, where a person has
    edited it since, a photo has left it, or it is gone."""
    now = get(connection, read.id)
    if now is None or (now.plan, now.items) != (read.plan, read.items):
        return False
    set_items(connection, read.id, items)
    connection.execute(update(playlists).where(playlists.c.id == read.id).values(plan=plan))
    keep_places(connection, read.id, [item.photo_id for item in items])
    return True


def move(connection: Connection, old: str, new: str) -> None:
    """Gives the playlist another id; frames that play it go on with that."""
    columns = [column.name for column in playlists.c if column.name != "id"]
    row = select(literal(new), *(playlists.c[name] for name in columns)).where(playlists.c.id == old)
    connection.execute(insert(playlists).from_select(["id", *columns], row))
    for table in (playlist_items, frame_states):
        connection.execute(update(table).where(table.c.playlist_id == old).values(playlist_id=new))
    connection.execute(delete(playlists).where(playlists.c.id == old))


def _shift_positions(connection: Connection, playlist_id: str, removed: int) -> None:
    connection.execute(
        update(frame_states)
        .where(frame_states.c.playlist_id == playlist_id, frame_states.c.position >= removed)
        .values(position=func.max(frame_states.c.position - 1, -1))
    )


def keep_places(connection: Connection, playlist_id: str, photo_ids: Sequence[int]) -> None:
    """Frames that play a list of other photos than before go on behind what they show."""
    query = select(frame_states.c.frame_id, frame_states.c.photo_id, frame_states.c.position).where(
        frame_states.c.playlist_id == playlist_id
    )
    places = {photo: place for place, photo in enumerate(photo_ids)}
    for row in connection.execute(query).all():
        place = places.get(row.photo_id, min(row.position, len(photo_ids)) - 1)
        connection.execute(
            update(frame_states).where(frame_states.c.frame_id == row.frame_id).values(position=max(place, -1))
        )
