"""What the web server asks of the rest of framed: five small protocols and the data that crosses them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

PictureFormat = Literal["jpg", "png", "bmp"]
PhotoSize = Literal["preview", "thumb", "original"]


@dataclass(frozen=True)
class PictureFile:
    """A picture on disk. `etag` is the bare validator, without quotes; same bytes, same etag."""

    path: Path
    mime: str
    etag: str


class Show(BaseModel):
    """What should be on the panel now: the payload of `framed/frame/<f>/show`."""

    model_config = ConfigDict(frozen=True)

    v: int = 1
    rev: int
    item: str
    photo: str
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int
    mime: str
    w: int
    h: int
    caption: str | None = None
    until: datetime | None = None


class FrameState(BaseModel):
    """How a frame is: the payload of `framed/frame/<f>/state`, with the frame's id and whether it is online."""

    model_config = ConfigDict(frozen=True)

    v: int = 1
    frame: str
    name: str
    kind: str = "browser"
    online: bool = False
    width: int | None = None
    height: int | None = None
    item: str | None = None
    photo: str | None = None
    caption: str | None = None
    why: str | None = None
    playlist: str | None = None
    playlist_name: str | None = None
    position: int | None = None
    count: int | None = None
    paused: bool = False
    on: bool = True
    brightness: int | None = None
    interval_s: int | None = None
    favourite: bool = False
    battery: float | None = None
    rssi: int | None = None
    shown_at: datetime | None = None
    next_wake: datetime | None = None
    late: bool = False
    error: str | None = None


class ServerEvent(BaseModel):
    """One server-sent event. A frame hears `show`, `state`, `control`; the console `library`, `frame` (a FrameState),
    `frames`, `playlists` (something was added or removed: read the list again) and `job` (the contract's payload)."""

    model_config = ConfigDict(frozen=True)

    event: str = Field(pattern=r"^[a-z_]{1,32}$")
    data: Mapping[str, Any]


class Api(Protocol):
    """The contract's verbs. The console reads `data.items` of every list verb; `frame/list` items are FrameState
    objects with `link`, the address that opens the frame page on a tablet (it holds the frame's token)."""

    async def call(self, verb: str, payload: dict[str, Any], *, source: str) -> dict[str, Any]:
        """Answer `{v, status, transaction?, data?, error?}`; a FramedError may be raised instead."""
        ...

    def verbs(self) -> Mapping[str, type[BaseModel]]: ...


class Pictures(Protocol):
    """Bytes by name. None where there is no such picture; nothing of the name becomes a path unchecked."""

    async def rendered(self, sha256: str) -> PictureFile | None: ...

    async def photo(self, photo_id: str, size: PhotoSize) -> PictureFile | None: ...

    async def face(self, photo_id: str, face: int) -> PictureFile | None:
        """A square cut around one face of a photo."""
        ...


class FrameGate(Protocol):
    """The frames, as a web page needs them. Every method raises UnknownFrame for a frame that is not there."""

    async def frames(self) -> list[FrameState]: ...

    async def state(self, frame: str) -> FrameState: ...

    async def show(self, frame: str) -> Show | None: ...

    async def playlist(self, frame: str) -> dict[str, Any]: ...

    async def hello(self, frame: str, payload: dict[str, Any]) -> None: ...

    async def report(self, frame: str, payload: dict[str, Any]) -> None: ...

    async def command(self, frame: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Answer the response envelope, or raise a FramedError."""
        ...

    async def presence(self, frame: str, online: bool) -> None:
        """A page of this frame has connected, or its last one has been gone for the grace period."""
        ...

    def events(self, frame: str) -> AsyncIterator[ServerEvent]:
        """Changes from now on; the server sends the present state itself. Closed with `aclose` where it has one."""
        ...

    async def current(
        self, frame: str, width: int | None, height: int | None, format: PictureFormat
    ) -> PictureFile | None:
        """The picture that is on the frame, for another size; None for a side means the panel's own."""
        ...

    async def may_see(self, frame: str, sha256: str) -> bool:
        """Whether this rendered picture belongs to what the frame shows or its playlist holds."""
        ...


class FrameTokens(Protocol):
    def check(self, frame: str, token: str) -> bool:
        """Whether `token` opens `frame` now. In constant time; False for a revoked token and an unknown frame."""
        ...

    def frame_of(self, token: str) -> str | None:
        """The frame that `token` opens now, told as `check` does. Each fetched picture asks, so no store is read."""
        ...


class Health(Protocol):
    async def health(self) -> dict[str, Any]:
        """`{uptime_s, …, problem?}`; raises NotReady while framed starts."""
        ...

    def metrics(self) -> bytes:
        """Prometheus text format 0.0.4."""
        ...

    def events(self) -> AsyncIterator[ServerEvent]:
        """For the console: the present `library` first, then changes."""
        ...
