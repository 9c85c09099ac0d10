"""What the web server asks of framed (`web.ports`), answered by the router, the player and the store."""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select

from framed.analysis.previews import Previews
from framed.errors import BadPhoto, UnknownPhoto
from framed.events import PhotoChanged
from framed.frames.base import Panel
from framed.frames.player import Player
from framed.frames.publish import picture_url
from framed.frames.registry import Registry
from framed.frames.rendered import RenderedPictures
from framed.handlers.frames import FrameHandler
from framed.router import Door, Router
from framed.store import frames as rows
from framed.store import people as people_rows
from framed.store import photos as photo_rows
from framed.store import playlists as playlist_rows
from framed.store.database import Database
from framed.store.tables import photos as photo_table
from framed.store.tables import playlist_items, renders
from framed.web.ports import FrameState, PhotoSize, PictureFile, PictureFormat, ServerEvent, Show

_QUEUE = 50


class Hub:
    """Tells open pages what changes; a page that does not read loses the oldest, and asks again when it returns."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[ServerEvent]]] = {}

    def tell(self, channel: str, event: str, data: Mapping[str, Any]) -> None:
        for queue in self._queues.get(channel, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(ServerEvent(event=event, data=data))

    async def listen(
        self, channel: str, first: Callable[[], Awaitable[ServerEvent]] | None = None
    ) -> AsyncIterator[ServerEvent]:
        """`first` is made once the channel is listened to, so that nothing said meanwhile is missed."""
        queue: asyncio.Queue[ServerEvent] = asyncio.Queue(_QUEUE)
        queues = self._queues.setdefault(channel, set())
        queues.add(queue)
        try:
            if first is not None:
                yield await first()
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)
            if not queues:
                self._queues.pop(channel, None)


class ApiPort:
    def __init__(self, router: Router) -> None:
        self._router = router
        self._door = Door()

    async def call(self, verb: str, payload: dict[str, Any], *, source: str) -> dict[str, Any]:
        async with self._door.enter():
            return await self._router.call(verb, payload, source=source)

    def verbs(self) -> Mapping[str, type[BaseModel]]:
        return self._router.verbs()


class PicturesPort:
    """`follows` are the photo folders whose links lead out of them with their owner's leave."""

    def __init__(
        self,
        *,
        database: Database,
        rendered: RenderedPictures,
        previews: Previews,
        follows: frozenset[bytes] = frozenset(),
    ) -> None:
        self._database = database
        self._rendered = rendered
        self._previews = previews
        self.follows = follows

    async def rendered(self, sha256: str) -> PictureFile | None:
        row = await self._database.read(lambda c: rows.render_of(c, sha256))
        if row is None:
            return None
        path = self._rendered.path(row["sha256"], row["ext"])
        if not await asyncio.to_thread(path.is_file):
            return None
        return PictureFile(path, row["mime"], row["sha256"])

    async def photo(self, photo_id: str, size: PhotoSize) -> PictureFile | None:
        if size != "original":
            try:
                path = await self._previews.ensure_uid(photo_id, size)
            except (UnknownPhoto, BadPhoto):
                return None  # the server answers 404
            return PictureFile(path, "image/jpeg", f"{photo_id}-{size}")
        return await self._original(photo_id)

    async def face(self, photo_id: str, face: int) -> PictureFile | None:
        box = await self._database.read(lambda c: people_rows.face_place(c, photo_id, face))
        if box is None:
            return None
        try:
            path = await self._previews.face(photo_id, box)
        except (UnknownPhoto, BadPhoto):
            return None
        return PictureFile(path, "image/jpeg", path.stem)

    async def _original(self, photo_id: str) -> PictureFile | None:
        def find(connection: Any) -> tuple[str, list[tuple[bytes, bytes, bytes]]] | None:
            ids = photo_rows.ids_of(connection, [photo_id])
            work = photo_rows.work_of(connection, list(ids.values()))
            row = connection.execute(select(photo_table.c.format).where(photo_table.c.uid == photo_id)).first()
            return (row.format or "", work[0].paths) if work and row else None

        found = await self._database.read(find)
        if found is None:
            return None
        for root, folder, name in found[1]:
            path = Path(os.fsdecode(b"/".join(part for part in (root, folder, name) if part)))
            if root in self.follows or await asyncio.to_thread(_inside, path, os.fsdecode(root)):
                return PictureFile(path, f"image/{found[0].lower() or 'jpeg'}", f"{photo_id}-original")
        return None


def _inside(path: Path, root: str) -> bool:
    """The file is there, and no link leads it out of its root."""
    return path.is_file() and path.resolve().is_relative_to(Path(root).resolve())


class FramesPort:
    """`web.ports.FrameGate` and `FrameTokens`."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        player: Player,
        rendered: RenderedPictures,
        handler: FrameHandler,
        router: Router,
        hub: Hub,
    ) -> None:
        self._database = database
        self._registry = registry
        self._player = player
        self._rendered = rendered
        self._handler = handler
        self._router = router
        self._hub = hub

    async def frames(self) -> list[FrameState]:
        return [await self.state(frame.id) for frame in self._registry.all()]

    async def state(self, frame: str) -> FrameState:
        known = self._registry.get(frame)
        payload = await self._player.state_payload(frame)
        size = {"width": known.panel.width, "height": known.panel.height}
        return FrameState.model_validate({**payload, **size, "frame": frame, "kind": known.model or known.source})

    async def show(self, frame: str) -> Show | None:
        self._registry.get(frame)
        state = await self._database.read(lambda c: rows.state(c, frame))
        return Show.model_validate(state["show"]) if state["show"] else None

    async def playlist(self, frame: str) -> dict[str, Any]:
        known = self._registry.get(frame)
        state = await self._database.read(lambda c: rows.state(c, frame))
        playlist_id = state["playlist_id"]
        listed = await self._database.read(lambda c: playlist_rows.get(c, playlist_id)) if playlist_id else None
        if listed is None:
            return {"v": 1, "id": None, "name": None, "count": 0, "interval_s": known.interval_s, "items": []}
        cards = await self._database.read(lambda c: photo_rows.cards(c, [item.photo_id for item in listed.items]))
        ready = dict(await self._rendered.ready(known, [item.photo_id for item in listed.items], state["position"]))
        items = []
        for place, entry in enumerate(listed.items):
            if entry.photo_id in cards:
                uid = cards[entry.photo_id]["uid"]
                item: dict[str, Any] = {"item": f"{uid}-{place}", "photo": uid, "why": entry.why}
                if (picture := ready.get(item["item"])) is not None:
                    url = picture_url(self._player.base_url(), known, picture)
                    item |= {"url": url, "sha256": picture["sha256"], "bytes": picture["bytes"]}
                items.append(item)
        return {
            "v": 1,
            "id": listed.id,
            "name": listed.name,
            "count": listed.count,
            "interval_s": known.interval_s,
            "position": state["position"],
            "items": items,
        }

    async def hello(self, frame: str, payload: dict[str, Any]) -> None:
        await self._handler.hello(frame, payload, "page")

    async def report(self, frame: str, payload: dict[str, Any]) -> None:
        await self._handler.report(frame, payload)

    async def command(self, frame: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._registry.get(frame)
        return await self._router.call("frame/cmd", {**payload, "frame": frame}, source="page")

    async def presence(self, frame: str, online: bool) -> None:
        await self._handler.availability(frame, online)

    def events(self, frame: str) -> AsyncIterator[ServerEvent]:
        self._registry.get(frame)
        return self._hub.listen(f"frame:{frame}")

    async def photo_changed(self, event: PhotoChanged) -> None:
        """A page that loses framed turns the pictures it has: a hidden one is not to be among them."""
        if event.what == "hidden":
            for frame in self._registry.all():
                self._hub.tell(f"frame:{frame.id}", "hidden", {"photo": event.photo})

    async def current(
        self, frame: str, width: int | None, height: int | None, format: PictureFormat
    ) -> PictureFile | None:
        known = self._registry.get(frame)
        state = await self._database.read(lambda c: rows.state(c, frame))
        if state["photo_id"] is None:
            return None
        card = (await self._database.read(lambda c: photo_rows.cards(c, [state["photo_id"]]))).get(state["photo_id"])
        if card is None or card["hidden"]:
            return None
        own = known.panel
        named = {"jpg": "jpeg", "png": "png", "bmp": "bmp"}[format]
        size = {"width": width or own.width, "height": height or own.height}
        panel = Panel.model_validate({**own.model_dump(), **size, "formats": (named,)})
        picture = await self._rendered.rendered_for(known, card, panel)
        path = self._rendered.path(picture["sha256"], picture["ext"])
        return PictureFile(path, picture["mime"], picture["sha256"])

    async def may_see(self, frame: str, sha256: str) -> bool:
        if not self._registry.knows(frame):
            return False

        def read(connection: Any) -> bool:
            state = rows.state(connection, frame)
            if state["sha256"] == sha256:
                return True
            in_playlist = select(playlist_items.c.photo_id).where(playlist_items.c.playlist_id == state["playlist_id"])
            seen = select(renders.c.key).where(
                renders.c.sha256 == sha256,
                (renders.c.photo_id == state["photo_id"]) | renders.c.photo_id.in_(in_playlist.scalar_subquery()),
            )
            return connection.execute(seen.limit(1)).first() is not None

        return await self._database.read(read)

    def check(self, frame: str, token: str) -> bool:
        own = self._registry.get(frame).token if self._registry.knows(frame) else ""
        return hmac.compare_digest(own.encode(), token.encode("utf-8", "replace")) and bool(own)

    def frame_of(self, token: str) -> str | None:
        opened = [frame.id for frame in self._registry.all() if self.check(frame.id, token)]
        return opened[0] if opened else None


class HealthPort:
    def __init__(
        self,
        *,
        health: Callable[[], Awaitable[dict[str, Any]]],
        library: Callable[[], Awaitable[dict[str, Any]]],
        metrics: Callable[[], bytes],
        hub: Hub,
    ) -> None:
        self._health = health
        self._library = library
        self._metrics = metrics
        self._hub = hub

    async def health(self) -> dict[str, Any]:
        return await self._health()

    def metrics(self) -> bytes:
        return self._metrics()

    def events(self) -> AsyncIterator[ServerEvent]:
        return self._hub.listen("console", first=self._standing)

    async def _standing(self) -> ServerEvent:
        return ServerEvent(event="library", data=await self._library())
