"""The known frames: from the configuration, from their own hello, and from what was set at run time."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from framed.errors import BadRequest, UnknownFrame
from framed.frames.base import Box, Colour, Dither, Fit, Format, Matte, Overlay, PaletteName, Panel, Rotation
from framed.store import frames as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
Inks = Annotated[list[Colour], Field(min_length=2, max_length=64)]
MAX_FRAMES = 500


class QuietHours(BaseModel):
    """The panel is dark from `start` to `end` by the home's clock; it may run past midnight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: time
    end: time

    @field_validator("start", "end", mode="before")
    @classmethod
    def _clock(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):  # YAML 1.1 reads 22:30 as 22 * 60 + 30
            return time(value // 60 % 24, value % 60)
        if isinstance(value, str) and not re.fullmatch(r"\d{1,2}:\d{2}", value):
            raise ValueError("write a time of day such as 22:30")
        hour, _, minute = value.partition(":") if isinstance(value, str) else ("", "", "")
        return time(int(hour), int(minute)) if hour else value

    def holds(self, now: datetime) -> bool:
        clock = now.time()
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


class FrameConfig(BaseModel):
    """One entry under `frames:`; what is not given comes from the frame's hello, or a sensible default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Slug
    name: str | None = Field(None, max_length=80)
    aliases: list[str] = []
    width: int | None = Field(None, ge=16, le=20_000)
    height: int | None = Field(None, ge=16, le=20_000)
    rotation: Rotation | None = None
    fit: Fit | None = None
    matte: Matte | None = None
    palette: PaletteName | Inks | None = None
    wire_palette: Inks | None = None
    dither: Dither | None = None
    overlay: Overlay | None = None
    formats: Annotated[list[Format], Field(min_length=1)] | None = None
    quality: int | None = Field(None, ge=30, le=100)
    max_bytes: int | None = Field(None, ge=1_000)
    delivery: Literal["url", "mqtt"] | None = None
    interval_s: int | None = Field(None, ge=5, le=31 * 86_400)
    quiet_hours: QuietHours | None = None
    filter: str | None = Field(None, max_length=500)
    default: str | None = Field(None, max_length=500)


class Hello(BaseModel):
    """What a frame says of itself: retained on `framed/frame/<f>/hello`, or posted by a frame page."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    v: int = 1
    name: str | None = Field(None, max_length=80)
    model: str | None = Field(None, max_length=80)
    fw: str | None = Field(None, max_length=40)
    width: int = Field(ge=16, le=20_000)
    height: int = Field(ge=16, le=20_000)
    rotation: Rotation = 0
    palette: str | list[str] | None = None
    wire_palette: list[str] | None = None
    formats: list[str] = ["jpeg"]
    delivery: Literal["url", "mqtt"] = "url"
    max_bytes: int | None = Field(None, ge=1_000)
    sleeps: bool = False
    wake_s: int | None = Field(None, ge=10, le=31 * 86_400)
    via: str | None = None

    @field_validator("formats")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        names = [name.lower().replace("jpg", "jpeg").replace("image/", "") for name in value]
        known = [name for name in names if name in ("jpeg", "png", "bmp")]
        if not known:
            raise ValueError("framed can send jpeg, png and bmp; name at least one of them")
        return known


class FrameOptions(BaseModel):
    """What `framed/frame/<f>/set` and `frame/…` requests may change; null takes a change back."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str | None = Field(None, min_length=1, max_length=80)
    paused: bool | None = None
    on: bool | None = None
    brightness: int | None = Field(None, ge=0, le=100)
    interval_s: int | None = Field(None, ge=5, le=31 * 86_400)
    fit: Fit | None = None
    overlay: Overlay | None = None
    playlist: str | None = Field(None, max_length=200)


@dataclass(frozen=True)
class Frame:
    """A frame as everything together makes it."""

    id: str
    name: str
    aliases: tuple[str, ...]
    panel: Panel
    interval_s: int
    quiet_hours: QuietHours | None
    delivery: Literal["url", "mqtt"]
    max_bytes: int | None
    sleeps: bool
    wake_s: int | None
    token: str
    filter: str
    default: str
    on: bool
    brightness: int
    source: str
    model: str | None
    over_mqtt: bool
    """It speaks MQTT itself: its own will says whether it is online, and framed does not."""


class Registry:
    """`load` at start; `hello`, `add`, `set`, `remove` change; `get` and `all` tell. Every change is in the store."""

    def __init__(
        self,
        *,
        database: Database,
        configured: Sequence[FrameConfig],
        interval_s: int,
        fit: Fit,
        default: str,
    ) -> None:
        self._database = database
        self._configured = {entry.id: entry for entry in configured}
        self._interval_s = interval_s
        self._fit = fit
        self._default = default
        self._frames: dict[str, Frame] = {}
        self._rows: dict[str, dict[str, Any]] = {}

    async def load(self) -> None:
        """A home that never had a frame gets one, so that any browser can be it at once."""
        entries = list(self._configured.values())
        if not entries and not await self._database.read(rows.ever):
            entries = [FrameConfig(id="first", name="First frame")]
        for entry in entries:
            token = secrets.token_urlsafe(18)

            def add(connection: Any, entry: FrameConfig = entry, token: str = token) -> None:
                known = {row["id"] for row in rows.every(connection)}
                name = entry.name or _title(entry.id)
                if entry.id not in known:
                    source = "config" if entry.id in self._configured else "request"
                    rows.put(connection, entry.id, name=name, source=source, token=token)

            await self._database.write(add, durable=True)
        await self._database.write(self._drop_unnamed, durable=True)
        self._rows = {row["id"]: dict(row) for row in await self._database.read(rows.every)}
        self._frames = {frame_id: self._build(row) for frame_id, row in self._rows.items()}

    def _drop_unnamed(self, connection: Any) -> None:
        """Frames that were in the configuration and are not any more: gone, but for those that spoke for themselves."""
        for row in rows.every(connection):
            if row["source"] == "config" and row["id"] not in self._configured:
                if row["hello"]:
                    rows.put(connection, row["id"], source="hello")
                else:
                    rows.remove(connection, row["id"])

    def configure(self, *, configured: Sequence[FrameConfig], interval_s: int, fit: Fit, default: str) -> None:
        """Another configuration was read; call `load` afterwards."""
        self._configured = {entry.id: entry for entry in configured}
        self._interval_s, self._fit, self._default = interval_s, fit, default

    def all(self) -> list[Frame]:
        return sorted(self._frames.values(), key=lambda frame: frame.id)

    def get(self, frame_id: str) -> Frame:
        frame = self._frames.get(frame_id)
        if frame is None:
            known = ", ".join(sorted(self._frames)) or "none yet"
            raise UnknownFrame(f"There is no frame {frame_id[:40]!r}. The frames are: {known}.", field="frame")
        return frame

    def find(self, said: str) -> Frame:
        """By id, name or alias, in any case."""
        wanted = said.strip().lower()
        for frame in self._frames.values():
            if wanted in (frame.id, frame.name.lower(), *(alias.lower() for alias in frame.aliases)):
                return frame
        return self.get(wanted)

    def knows(self, frame_id: str) -> bool:
        return frame_id in self._frames

    async def hello(self, frame_id: str, payload: dict[str, Any], source: str) -> tuple[Frame, bool]:
        """The frame and whether its panel is another than before. BadRequest names the field that is wrong."""
        try:
            said = Hello.model_validate(payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise BadRequest(f"The hello of {frame_id} is not usable: {field}: {first['msg']}.", field=field) from error
        before = self._frames.get(frame_id)
        if before is None and len(self._frames) >= MAX_FRAMES:
            raise BadRequest(f"framed serves at most {MAX_FRAMES} frames; remove one first.")
        row = dict(self._rows.get(frame_id) or self._new_row(frame_id, said.name, source))
        row["hello"] = {**said.model_dump(mode="json", exclude_none=True), "via": source}
        frame = await self._keep(row)
        return frame, before is None or before.panel != frame.panel or before.delivery != frame.delivery

    async def add(self, frame_id: str, name: str | None, source: str, hello: dict[str, Any] | None = None) -> Frame:
        row = dict(self._rows.get(frame_id) or self._new_row(frame_id, name, source))
        if name:
            row["name"] = name
        if hello is not None:
            row["hello"] = Hello.model_validate(hello).model_dump(mode="json", exclude_none=True)
        return await self._keep(row)

    async def set(self, frame_id: str, options: FrameOptions) -> Frame:
        self.get(frame_id)
        row = dict(self._rows[frame_id])
        changes = options.model_dump(mode="json", exclude_unset=True, exclude={"paused", "playlist"})
        row["options"] = {key: value for key, value in {**row["options"], **changes}.items() if value is not None}
        if options.name:
            row["name"] = options.name
        return await self._keep(row)

    async def new_token(self, frame_id: str) -> Frame:
        """Revokes the token that is out there: every link to this frame stops working."""
        self.get(frame_id)
        self._rows[frame_id]["token"] = secrets.token_urlsafe(18)
        return await self._keep(self._rows[frame_id])

    async def remove(self, frame_id: str) -> None:
        self.get(frame_id)
        await self._database.write(lambda c: rows.remove(c, frame_id), durable=True)
        del self._frames[frame_id], self._rows[frame_id]

    # -- inside --------------------------------------------------------------------------------------------------

    def _new_row(self, frame_id: str, name: str | None, source: str) -> dict[str, Any]:
        return {
            "id": frame_id,
            "name": name or _title(frame_id),
            "source": source,
            "hello": None,
            "options": {},
            "token": secrets.token_urlsafe(18),
        }

    async def _keep(self, row: dict[str, Any]) -> Frame:
        frame = self._build(row)
        values = {key: row[key] for key in ("name", "source", "hello", "options", "token")}
        await self._database.write(lambda c: rows.put(c, row["id"], **values), durable=True)
        self._rows[row["id"]] = row
        self._frames[row["id"]] = frame
        return frame

    def _build(self, row: dict[str, Any]) -> Frame:
        entry = self._configured.get(row["id"]) or FrameConfig(id=row["id"])
        hello = Hello.model_validate(row["hello"]) if row["hello"] else None
        options = FrameOptions.model_validate(row["options"] or {})
        said = hello.model_dump(exclude_none=True) if hello else {}
        set_up = entry.model_dump(exclude_none=True)

        def pick(key: str, default: Any) -> Any:
            return set_up.get(key, said.get(key, default))

        panel: dict[str, Any] = {
            "width": pick("width", 1920),
            "height": pick("height", 1080),
            "rotation": pick("rotation", 0),
            "fit": options.fit or set_up.get("fit", self._fit),
            "overlay": options.overlay or set_up.get("overlay", "none"),
            "formats": tuple(pick("formats", ["png" if pick("palette", None) else "jpeg"])),  # JPEG blurs exact inks
            "max_bytes": pick("max_bytes", None),
        }
        for key in ("palette", "wire_palette", "matte", "dither", "quality"):
            value = pick(key, None)
            if value is not None:
                panel[key] = tuple(value) if isinstance(value, list) else value
        try:
            made = Panel.model_validate(panel)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise BadRequest(
                f"The panel of frame {row['id']} is not usable: {first['msg']}.", field=".".join(map(str, first["loc"]))
            ) from error
        name = options.name or entry.name or (hello.name if hello and hello.name else None) or row["name"]
        return Frame(
            id=row["id"],
            name=name,
            aliases=tuple(entry.aliases),
            panel=made,
            interval_s=options.interval_s or entry.interval_s or self._interval_s,
            quiet_hours=entry.quiet_hours,
            delivery=pick("delivery", "url"),
            max_bytes=pick("max_bytes", None),
            sleeps=bool(said.get("sleeps", False)),
            wake_s=said.get("wake_s"),
            token=row["token"],
            filter=entry.filter or "",
            default=entry.default or self._default,
            on=True if options.on is None else options.on,
            brightness=100 if options.brightness is None else options.brightness,
            source=row["source"],
            model=said.get("model"),
            over_mqtt=said.get("via") == "hello",
        )


def _title(frame_id: str) -> str:
    return frame_id.replace("_", " ").replace("-", " ").strip().capitalize() or frame_id


def focus_of(people: Sequence[dict[str, Any]]) -> tuple[Box, ...]:
    """The boxes of faces that a crop must keep."""
    boxes = []
    for person in people:
        if person.get("box"):
            x, y, w, h = (min(1.0, max(0.0, float(side))) for side in person["box"])
            boxes.append(Box(x=x, y=y, w=min(w, 1 - x), h=min(h, 1 - y)))
    return tuple(boxes)
