"""Playlists that are kept: under which id and name, in which order, and what a person has changed in them."""

import hashlib
import itertools
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from framed.bus import Bus
from framed.errors import BadRequest, UnknownPhoto, UnknownPlaylist
from framed.events import PlaylistChanged
from framed.playlists.ask import Answer, Asker
from framed.playlists.plan import QueryPlan
from framed.playlists.spoken import headline
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database
from framed.store.playlists import Item, Playlist

BY_HAND = "Chosen by hand"
PATIENCE_S = 10.0
"""A list that is kept waits longer for the model that looks at pictures: without it photos would leave a wall that the
next look puts back."""
_DATED = ("dates", "dates_none", "yearly", "yearly_none")
_KEPT_BY_HAND = ("photos_none", "by_hand")
_ABOUT_WORDS = (
    "spans", "problems", "labels", "read_as", "unknown_names", "unknown_places", "unknown_frame", "steer", "steer_to",
    "question",
)  # fmt: skip


class Kept:
    """`keep` what was composed, `by_hand` what a person lists, `edit`, `rename`; every change is emitted."""

    def __init__(self, *, database: Database, bus: Bus, asker: Asker) -> None:
        self._database = database
        self._bus = bus
        self._asker = asker

    async def compose(self, plan: QueryPlan, *, frame_id: str | None = None, frame_filter: str = "") -> Answer:
        """The answer to a kept plan: without the photos that a person took out of its list."""
        if not plan.photos_none:
            return await self._asker.answer(plan, frame_id=frame_id, frame_filter=frame_filter, patience_s=PATIENCE_S)
        wider = plan.count + len(plan.photos_none) if plan.count else None
        answer = await self._asker.answer(
            plan.model_copy(update={"count": wider}),
            frame_id=frame_id,
            frame_filter=frame_filter,
            patience_s=PATIENCE_S,
        )
        out = set((await self._database.read(lambda c: photo_rows.ids_of(c, plan.photos_none))).values())
        left = [photo for photo in answer.composed.ids if photo not in out]
        answer.plan, answer.composed.ids = plan, left[: plan.count] if plan.count else left
        return answer

    async def keep(
        self,
        answer: Answer,
        *,
        saved: bool = False,
        name: str | None = None,
        id: str | None = None,
        frame_id: str | None = None,
    ) -> str:
        """Stores an answer as a playlist, in the place of the one that has this id or this given name, or of what this
        frame was asked for before in the same sense; its id."""
        plan = answer.plan
        called = name or plan.named or name_of(plan)
        same = await self._database.read(lambda c: rows.by_name(c, called)) if plan.named or name else None
        if id:
            playlist_id = await self._usable(id)
        elif same or plan.named or name:
            playlist_id = same or new_id(called)
        else:
            playlist_id = await self._asked_again(plan, called, frame_id)
        items = answer.items()

        def store(connection: Connection) -> None:
            rows.put(
                connection,
                id=playlist_id,
                name=called,
                plan=plan.model_dump(mode="json"),
                items=items,
                relaxed=answer.found.relaxed,
                left_out=answer.composed.left_out,
                saved=saved or plan.named is not None,
            )
            rows.prune(connection)

        await self._database.write(store)
        self._bus.emit(PlaylistChanged(playlist_id, called, len(items)))
        return playlist_id

    async def by_hand(self, uids: Sequence[str], name: str | None, *, id: str | None = None) -> str:
        """Stores these photos as a playlist; with the id of an existing one that is edited, and still gets new photos
        where it has a plan, but none that were taken out."""
        found = await self._found(uids, field="photos")
        playlist_id = await self._usable(id) if id else new_id(name or BY_HAND)
        wanted = list(dict.fromkeys(uids))
        self._bus.emit(
            await self._database.write(lambda c: _put_by_hand(c, playlist_id, name, wanted, found), durable=True)
        )
        return playlist_id

    async def edit(self, playlist_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Puts these photos in at the end and takes those out. It is read and written in one: of two edits at once
        neither undoes the other."""
        added = await self._found(add, field="add")

        def store(connection: Connection) -> PlaylistChanged:
            if rows.get(connection, playlist_id, limit=0) is None:
                raise UnknownPlaylist("There is no playlist with that id.", field="id")
            ids = rows.photo_ids(connection, playlist_id)
            names = photo_rows.uids_of(connection, ids)
            left = {names[photo]: photo for photo in ids if photo in names and names[photo] not in {*add, *remove}}
            found = left | {uid: photo for uid, photo in added.items() if uid not in remove}
            wanted = [*left, *(uid for uid in dict.fromkeys(add) if uid in found)]
            if not wanted:
                raise BadRequest("A playlist needs a photo; delete it instead.", field="remove")
            return _put_by_hand(connection, playlist_id, None, wanted, found)

        self._bus.emit(await self._database.write(store, durable=True))

    async def _found(self, uids: Sequence[str], *, field: str) -> dict[str, int]:
        found = await self._database.read(lambda c: photo_rows.ids_of(c, uids)) if uids else {}
        missing = [uid for uid in uids if uid not in found]
        if missing:
            raise UnknownPhoto(f"There is no photo {missing[0][:40]!r}.", field=field)
        return found

    async def rename(self, playlist_id: str, name: str | None) -> str:
        """Saves the playlist, under another name where one is given; its id, a new one for a frame's default list."""
        if name is not None:
            other = await self._database.read(lambda c: rows.by_name(c, name, saved=True))
            if other not in (None, playlist_id):
                raise BadRequest(f"There is another playlist called {name}; choose another name.", field="name")
        fork = new_id(name or "playlist") if playlist_id.startswith("default-") else None

        def store(connection: Connection) -> Playlist | None:
            if fork is not None:
                rows.move(connection, playlist_id, fork)
            rows.save(connection, fork or playlist_id, name)
            return rows.get(connection, fork or playlist_id, limit=0)

        listed = await self._database.write(store, durable=True)
        if listed is None:
            raise UnknownPlaylist("There is no playlist with that id.", field="id")
        self._bus.emit(PlaylistChanged(listed.id, listed.name, listed.count))
        return listed.id

    async def as_of_today(self, plan: QueryPlan) -> QueryPlan:
        """The plan with what its words mean now: "this week" has moved on, an unknown name may be known since.

        A plan that a person has edited is left alone: its words and its fields say different things.
        """
        about_time = any(getattr(plan, key) for key in _DATED)
        if not plan.text or not (about_time or plan.unknown_names or plan.unknown_places):
            return plan
        read = await self._asker.plan(plan.text)
        learned = _unknown(read) < _unknown(plan)
        if not learned and _core(read) != _core(plan):
            return plan
        now = read.model_copy(update={key: getattr(plan, key) for key in _KEPT_BY_HAND})
        return now if learned or any(getattr(now, key) != getattr(plan, key) for key in _DATED) else plan

    async def _asked_again(self, plan: QueryPlan, called: str, frame_id: str | None) -> str:
        """The same id for the same wish of the same frame, as long as nobody has saved or changed what was made of it:
        asking again makes no second list."""
        wish = json.dumps([frame_id, plan.model_dump(mode="json", exclude={"text", *_ABOUT_WORDS})], sort_keys=True)

        def first_free(connection: Connection) -> str:
            for turn in itertools.count():
                mark = hashlib.sha256(f"{turn} {wish}".encode()).hexdigest()[:6]
                known = rows.get(connection, f"{_stem(called)}-{mark}", limit=0)
                if known is None or not (known.saved or _changed(known)):
                    break
            return f"{_stem(called)}-{mark}"

        return await self._database.read(first_free)

    async def _usable(self, id: str) -> str:
        """An id from outside: of a playlist that is there, or one that may become one."""
        known = await self._database.read(lambda c: rows.get(c, id, limit=0))
        if known is None and not re.fullmatch(r"[a-z0-9_-]{1,32}", id):
            raise BadRequest("The id of a new playlist has 1 to 32 of a-z, 0-9, - and _.", field="id")
        return id


def _core(plan: QueryPlan) -> dict[str, Any]:
    return plan.model_dump(exclude={*_DATED, *_KEPT_BY_HAND, *_ABOUT_WORDS})


def _unknown(plan: QueryPlan) -> int:
    return len(plan.unknown_names) + len(plan.unknown_places)


def _put_by_hand(
    connection: Connection, playlist_id: str, name: str | None, wanted: Sequence[str], found: dict[str, int]
) -> PlaylistChanged:
    before = rows.get(connection, playlist_id)
    called = name or (before.name if before else BY_HAND)
    items, plan = _edited(connection, before, wanted, found)
    rows.put(
        connection,
        id=playlist_id,
        name=called,
        plan=plan,
        items=items,
        relaxed=before.relaxed if before else [],
        left_out=before.left_out if before else {},
        saved=name is not None or (before is not None and before.saved),
    )
    rows.keep_places(connection, playlist_id, [item.photo_id for item in items])
    return PlaylistChanged(playlist_id, called, len(items))


def _edited(
    connection: Connection, before: Playlist | None, wanted: Sequence[str], found: dict[str, int]
) -> tuple[list[Item], dict[str, Any] | None]:
    """The items in the order wanted, with the reasons they had; and the plan, which knows what was taken out."""
    known = {item.photo_id: item for item in before.items} if before else {}
    items = [known.get(found[uid]) or Item(found[uid], 1.0, ["chosen by hand"]) for uid in wanted]
    if before is None or before.plan is None:
        return items, None
    plan = QueryPlan.model_validate(before.plan)
    out = photo_rows.uids_of(connection, [photo for photo in known if photo not in set(found.values())])
    none = [uid for uid in dict.fromkeys([*plan.photos_none, *out.values()]) if uid not in found]
    return items, plan.model_copy(update={"photos_none": none, "by_hand": True}).model_dump(mode="json")


def name_of(plan: QueryPlan) -> str:
    said = headline(plan)
    return (said[0].upper() + said[1:])[:80] if said else "Photos"


def new_id(name: str) -> str:
    """A readable id that no other playlist has."""
    return f"{_stem(name)}-{secrets.token_hex(3)}"


def _stem(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24].rstrip("-") or "playlist"


def _changed(playlist: Playlist) -> bool:
    """Whether a person has put other photos in, or taken some out."""
    return playlist.plan is None or any(playlist.plan.get(key) for key in _KEPT_BY_HAND)
