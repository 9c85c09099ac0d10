"""In-memory stand-ins for what the web server asks of the rest of framed."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from pydantic import BaseModel, Field

from framed.errors import UnknownFrame
from framed.web.ports import FrameState, PictureFile, PictureFormat, ServerEvent, Show
from tests.installed import sample

ADMIN = "admin-token-0123456789abcdef"
KITCHEN = "kitchen-token-0123456789"
HALL = "hall-token-0123456789"


class Ask(BaseModel):
    """A sentence; the answer is a playlist with its reasons."""

    text: str = Field(min_length=1)
    frame: str | None = None
    dry_run: bool = False


class Empty(BaseModel):
    pass


class Folder:
    """Real pictures on disk, by hash and by id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rendered: dict[str, PictureFile] = {}
        self._photos: dict[str, PictureFile] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def add(self, image: Image.Image, *, photo: str | None = None, quality: int = 85) -> str:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        body = buffer.getvalue()
        sha256 = hashlib.sha256(body).hexdigest()
        path = self._path / f"{sha256}.jpg"
        path.write_bytes(body)
        picture = PictureFile(path, "image/jpeg", sha256)
        self._rendered[sha256] = picture
        self.sizes[sha256] = image.size
        if photo is not None:
            self._photos[photo] = picture
        return sha256

    def file(self, sha256: str) -> PictureFile:
        return self._rendered[sha256]

    async def rendered(self, sha256: str) -> PictureFile | None:
        return self._rendered.get(sha256)

    async def photo(self, photo_id: str, size: str) -> PictureFile | None:
        return self._photos.get(photo_id)

    async def face(self, photo_id: str, face: int) -> PictureFile | None:
        return self._photos.get(photo_id) if face == 1 else None


class Gate:
    """Frames that are told what to show and remember what they were told."""

    def __init__(self, pictures: Folder, *frames: FrameState) -> None:
        self.pictures = pictures
        self.states = {state.frame: state for state in frames}
        self.shows: dict[str, Show] = {}
        self.playlists: dict[str, list[str]] = {}
        self.hellos: list[tuple[str, dict[str, Any]]] = []
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.seen: list[tuple[str, bool]] = []
        self.changed = asyncio.Condition()
        self._listeners: dict[str, list[asyncio.Queue[ServerEvent]]] = {}

    def listeners(self, frame: str) -> int:
        return len(self._listeners.get(frame, []))

    async def put(self, frame: str, sha256: str, *, caption: str | None = None, photo: str = "p1") -> Show:
        width, height = self.pictures.sizes[sha256]
        previous = self.shows.get(frame)
        show = Show(
            rev=previous.rev + 1 if previous else 1,
            item=f"i{previous.rev + 1 if previous else 1}",
            photo=photo,
            url=f"http://framed.local:8480/p/{sha256}.jpg",
            sha256=sha256,
            bytes=1000,
            mime="image/jpeg",
            w=width,
            h=height,
            caption=caption,
        )
        self.shows[frame] = show
        self.playlists.setdefault(frame, []).append(sha256)
        self.tell(frame, ServerEvent(event="show", data=show.model_dump(mode="json")))
        return show

    def change(self, frame: str, **what: Any) -> None:
        self.states[frame] = self.states[frame].model_copy(update=what)
        self.tell(frame, ServerEvent(event="state", data=self.states[frame].model_dump(mode="json")))

    def tell(self, frame: str, event: ServerEvent) -> None:
        for queue in self._listeners.get(frame, []):
            queue.put_nowait(event)

    async def until(self, condition: Any, seconds: float = 40) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(condition)

    async def frames(self) -> list[FrameState]:
        return list(self.states.values())

    async def state(self, frame: str) -> FrameState:
        if frame not in self.states:
            raise UnknownFrame("There is no frame of this name.")
        return self.states[frame]

    async def show(self, frame: str) -> Show | None:
        await self.state(frame)
        return self.shows.get(frame)

    async def playlist(self, frame: str) -> dict[str, Any]:
        await self.state(frame)
        return {
            "v": 1,
            "rev": 1,
            "id": "pl1",
            "name": "Beach",
            "items": [
                {"item": f"i{place}", "url": f"/p/{sha256}.jpg", "sha256": sha256}
                for place, sha256 in enumerate(self.playlists.get(frame, [])[:20], 1)
            ],
        }

    async def hello(self, frame: str, payload: dict[str, Any]) -> None:
        await self._note(frame, self.hellos, (frame, payload))

    async def report(self, frame: str, payload: dict[str, Any]) -> None:
        await self._note(frame, self.reports, (frame, payload))

    async def command(self, frame: str, payload: dict[str, Any]) -> dict[str, Any]:
        await self._note(frame, self.commands, (frame, payload))
        return {"v": 1, "status": "ok"}

    async def presence(self, frame: str, online: bool) -> None:
        await self._note(frame, self.seen, (frame, online))

    async def events(self, frame: str) -> AsyncIterator[ServerEvent]:
        queue: asyncio.Queue[ServerEvent] = asyncio.Queue()
        self._listeners.setdefault(frame, []).append(queue)
        try:
            async with self.changed:
                self.changed.notify_all()
            while True:
                yield await queue.get()
        finally:
            self._listeners[frame].remove(queue)

    async def current(
        self, frame: str, width: int | None, height: int | None, format: PictureFormat
    ) -> PictureFile | None:
        await self.state(frame)
        show = self.shows.get(frame)
        return self.pictures.file(show.sha256) if show else None

    async def may_see(self, frame: str, sha256: str) -> bool:
        return sha256 in self.playlists.get(frame, [])

    async def _note(self, frame: str, notes: list[Any], what: Any) -> None:
        await self.state(frame)
        notes.append(what)
        async with self.changed:
            self.changed.notify_all()


class Tokens:
    def __init__(self, **tokens: str) -> None:
        self.tokens = tokens

    def check(self, frame: str, token: str) -> bool:
        return self.tokens.get(frame) == token

    def frame_of(self, token: str) -> str | None:
        return next((frame for frame in self.tokens if self.check(frame, token)), None)


class Verbs:
    """Answers by verb: a dict, an exception, or a function of the payload."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers = answers or {}
        self.calls: list[tuple[str, dict[str, Any], str]] = []

    async def call(self, verb: str, payload: dict[str, Any], *, source: str) -> dict[str, Any]:
        self.calls.append((verb, payload, source))
        unknown = {"v": 1, "status": "error", "data": {}, "error": {"code": "unknown_verb", "message": "No such verb."}}
        answer = self.answers.get(verb, {"v": 1, "status": "ok", "data": {}} if verb in self.verbs() else unknown)
        if isinstance(answer, Exception):
            raise answer
        return answer(payload) if callable(answer) else answer

    def verbs(self) -> Mapping[str, type[BaseModel]]:
        return {"ask": Ask, **{verb: Empty for verb in self.answers if verb != "ask"}, "frame/list": Empty}


class Vitals:
    def __init__(self) -> None:
        self.vitals: dict[str, Any] = {"uptime_s": 5, "memory_mb": 90}
        self.first: list[ServerEvent] = []
        self.queue: asyncio.Queue[ServerEvent] = asyncio.Queue()

    async def health(self) -> dict[str, Any]:
        return self.vitals

    def metrics(self) -> bytes:
        return b"framed_photos 12\n"

    async def events(self) -> AsyncIterator[ServerEvent]:
        for event in self.first:
            yield event
        while True:
            yield await self.queue.get()


def picture(number: int, size: tuple[int, int] = (320, 200)) -> Image.Image:
    """One of a few real pictures, marked so that each number is another file."""
    sources = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
    image = sample(sources[number % len(sources)]).resize(size)
    ImageDraw.Draw(image).rectangle((0, 0, 4 + number % 200, 4), fill=(number % 256, 40, 90))
    return image
