"""What frames say and what people tell them: hello, report, commands, settings; and the frame requests."""

import re
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from itertools import count, islice
from typing import Any, Literal, get_args

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framed.bus import Bus
from framed.errors import BadRequest, FramedError, TooLarge, UnknownPhoto
from framed.events import FrameOffline, FrameOnline, FrameSaid, FrameWishesChanged
from framed.frames.base import Fit
from framed.frames.player import Player
from framed.frames.registry import MAX_FRAMES, Frame, FrameConfig, FrameOptions, Registry
from framed.mqtt.topics import check_slug
from framed.playlists.vocabulary import Names
from framed.router import Request, Router, answers, bad_request, decode
from framed.store import frames as rows
from framed.store import photos as photo_rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

_SKIPPED_S = 15.0

Action = Literal[
    "next", "previous", "pause", "resume", "refresh", "favourite", "hide", "more_like_this", "undo", "identify"
]


class Command(BaseModel):
    """`framed/frame/<f>/cmd`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    action: Action
    transaction: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Report(BaseModel):
    """`framed/frame/<f>/report`: what the frame saw itself do."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    v: int = 1
    item: str | None = Field(None, max_length=100)
    shown_at: str | float | None = None
    battery: float | None = Field(None, ge=0, le=100)
    rssi: int | None = Field(None, ge=-200, le=0)
    brightness: int | None = Field(None, ge=0, le=100)
    on: bool | None = None
    error: str | None = Field(None, max_length=500)
    button: str | None = Field(None, max_length=40)


class FrameId(Request):
    frame: str = Field(min_length=1, max_length=80)


class FrameAdd(Request):
    """A new frame; without an id it gets one from its name."""

    frame: str | None = Field(None, min_length=1, max_length=32)
    name: str | None = Field(None, min_length=1, max_length=80)
    width: int = Field(1920, ge=16, le=20_000)
    height: int = Field(1080, ge=16, le=20_000)
    rotation: Literal[0, 90, 180, 270] = 0


class FrameRename(Request):
    frame: str = Field(min_length=1, max_length=80)
    name: str = Field(min_length=1, max_length=80)


class FrameSet(FrameOptions, Request):
    """Settings of a frame, the same as on `framed/frame/<f>/set`; null takes one back to the configuration's."""

    frame: str = Field(min_length=1, max_length=80)


class FramePreview(Request):
    frame: str = Field(min_length=1, max_length=80)
    photo: str | None = Field(None, max_length=64)


class FrameCommand(Request):
    frame: str = Field(min_length=1, max_length=80)
    action: Action


class FrameHandler:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        registry: Registry,
        player: Player,
        router: Router,
        names: Names,
        base_url: Callable[[], str],
        removed: Callable[[str], Awaitable[None]],
    ) -> None:
        """`removed` is given the id of a removed frame, to clear what is retained about it."""
        self._database = database
        self._bus = bus
        self._registry = registry
        self._player = player
        self._router = router
        self._names = names
        self._base_url = base_url
        self._removed = removed

    def listen(self) -> None:
        self._bus.on(FrameSaid, self._said)

    async def reconfigure(self, *, configured: Sequence[FrameConfig], interval_s: int, fit: Fit, default: str) -> None:
        """Other settings were read: frames come, go, and show their picture in another way."""
        before = {frame.id: frame for frame in self._registry.all()}
        self._registry.configure(configured=configured, interval_s=interval_s, fit=fit, default=default)
        await self._registry.load()
        now = {frame.id: frame for frame in self._registry.all()}
        self._names.changed(now=True)
        for frame_id in before.keys() - now.keys():
            await self._left(frame_id)
        for frame_id, frame in now.items():
            if frame_id not in before:
                await self._player.move(frame_id, 1)
            elif frame != before[frame_id]:
                await self._changed(before[frame_id], frame)

    async def _left(self, frame_id: str) -> None:
        await self._player.forget(frame_id)
        await self._removed(frame_id)
        self._bus.emit(FrameOffline(frame_id))

    async def _changed(self, before: Frame, frame: Frame) -> None:
        if before.delivery == "mqtt" and frame.delivery == "url":
            await self._player.withdraw_image(frame.id)
        if frame.interval_s != before.interval_s:
            await self._player.reschedule(frame.id)
        if (frame.panel, frame.delivery) != (before.panel, before.delivery):
            await self._player.refresh(frame.id)
        else:
            await self._player.republish(frame.id)
        if (frame.filter, frame.default) != (before.filter, before.default):
            self._bus.emit(FrameWishesChanged(frame.id))

    # -- what frames say -----------------------------------------------------------------------------------------

    async def _said(self, event: FrameSaid) -> None:
        """From MQTT: nobody waits for an answer, so what is wrong goes to the log."""
        try:
            if event.what == "hello":
                await self.hello(event.frame, event.payload, "hello", kept=event.kept)
            elif event.what == "availability":
                await self.availability(event.frame, bool(event.payload["online"]), kept=event.kept)
            elif event.what == "report":
                await self.report(event.frame, event.payload)
            elif event.what == "set":
                await self.set(event.frame, event.payload)
        except FramedError as error:
            log.warning("a frame's message was refused", frame=event.frame, what=event.what, problem=error.message)

    async def hello(self, frame_id: str, payload: dict[str, Any], source: str, *, kept: bool = False) -> Frame:
        """`kept`: of old, as the broker gives it to who subscribes; whether the frame is there, others say."""
        check_slug(frame_id)
        new = not self._registry.knows(frame_id)
        before = None if new else self._registry.get(frame_id)
        frame, changed = await self._registry.hello(frame_id, payload, source)
        if new:
            log.info("a new frame", frame=frame_id, width=frame.panel.width, height=frame.panel.height, source=source)
            self._names.changed(now=True)
        if new or not kept:
            await self._player.availability(frame_id, True)
        if before is not None and before.delivery == "mqtt" and frame.delivery == "url":
            await self._player.withdraw_image(frame_id)
        if changed:
            await self._player.refresh(frame_id)
        else:
            await self._player.republish(frame_id)
        return frame

    async def availability(self, frame_id: str, online: bool, *, kept: bool = False) -> None:
        """A frame that sleeps leaves its `online` at the broker: of old, that says nothing."""
        if not self._registry.knows(frame_id) or (online and kept and self._registry.get(frame_id).sleeps):
            return
        await self._player.availability(frame_id, online)

    async def report(self, frame_id: str, payload: dict[str, Any]) -> None:
        self._registry.get(frame_id)
        try:
            said = Report.model_validate(payload)
        except ValidationError as error:
            raise bad_request(error) from error
        report = said.model_dump(exclude_none=True, exclude={"v", "button"})
        await self._player.report(frame_id, report)
        if said.button in ("next", "previous", "pause", "resume", "favourite", "hide"):
            await self.command(frame_id, {"action": said.button})

    async def set(self, frame_id: str, payload: dict[str, Any]) -> dict[str, Any]:
        """`framed/frame/<f>/set`: a partial object."""
        before = self._registry.get(frame_id)
        try:
            options = FrameOptions.model_validate(payload)
        except ValidationError as error:
            raise bad_request(error) from error
        frame = await self._registry.set(frame_id, options)
        if "name" in options.model_fields_set:
            self._names.changed(now=True)
        if options.paused is not None:
            await self._player.pause(frame_id, options.paused)
        if frame.interval_s != before.interval_s:
            await self._player.reschedule(frame_id)
        # Also where the setting stays: the frame's own knob may have been turned since.
        if options.brightness is not None or frame.brightness != before.brightness:
            await self._player.told(frame_id, "brightness")
            await self._player.control(frame_id, "brightness", frame.brightness)
        if options.on is not None or frame.on != before.on:
            await self._player.told(frame_id, "on")
            await self._player.control(frame_id, "on" if frame.on else "off")
        if options.playlist is not None:
            answer = await self._router.call("playlist/set", {"frame": frame_id, "id": options.playlist}, source="set")
            if answer["status"] == "error":
                raise BadRequest(answer["error"]["message"], field="playlist")
        if frame.panel != before.panel:
            await self._player.refresh(frame_id)
        await self._player.publish_state(frame_id)
        return {"frame": frame_id}

    async def command(self, frame_id: str, payload: dict[str, Any]) -> dict[str, Any]:
        frame = self._registry.get(frame_id)
        try:
            said = Command.model_validate(payload)
        except ValidationError as error:
            raise BadRequest(f"action: framed knows {', '.join(get_args(Action))}.", field="action") from error
        if said.action in ("next", "previous"):
            if said.action == "next":
                await self._note_skip(frame_id)
            step = await self._player.move(frame_id, 1 if said.action == "next" else -1)
            return {"frame": frame_id, "photo": step.photo, "speech": step.said}
        if said.action in ("pause", "resume"):
            step = await self._player.pause(frame_id, said.action == "pause")
            return {"frame": frame_id, "speech": step.said}
        if said.action == "refresh":
            step = await self._player.refresh(frame_id)
            return {"frame": frame_id, "photo": step.photo, "speech": step.said}
        if said.action == "identify":
            await self._player.identify(frame_id)
            return {"frame": frame_id, "speech": f"{frame.name} shows its name."}
        return await self._about_photo(frame, said.action)

    async def _note_skip(self, frame_id: str) -> None:
        """A picture that is sent away as soon as it came is liked less; framed learns from it."""
        state = await self._database.read(lambda c: rows.state(c, frame_id))
        if state["photo_id"] is not None and state["shown_at"] and time.time() - state["shown_at"] < _SKIPPED_S:
            skipped, playlist = state["photo_id"], state["playlist_id"]
            await self._database.write(lambda c: rows.note(c, frame_id, skipped, playlist, "skip"))

    async def _about_photo(self, frame: Frame, action: str) -> dict[str, Any]:
        if action == "undo":
            return await self._undo(frame)
        photo_id, playlist_id = await self._player.current(frame.id)
        if photo_id is None:
            raise UnknownPhoto(f"{frame.name} shows no photo yet.")
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo_id])))[photo_id]
        if action == "more_like_this":
            found = await self._asked("photo/similar", {"id": card["uid"]})
            alike = [item["photo"] for item in found["items"]]
            if not alike:
                return {"frame": frame.id, "speech": found.get("problem") or "Nothing else looks like it."}
            await self._asked("playlist/set", {"frame": frame.id, "photos": [card["uid"], *alike]})
            return {"frame": frame.id, "speech": f"Showing {len(alike)} more like it."}
        on = True if action == "hide" else not card["favourite"]
        await self._database.write(lambda c: rows.note(c, frame.id, photo_id, playlist_id, action), durable=True)
        await self._asked(f"photo/{action}", {"id": card["uid"], "on": on})
        if action != "hide":
            await self._player.publish_state(frame.id)
        said = {
            "hide": "It will not be shown again.",
            "favourite": "A favourite now." if on else "No favourite any more.",
        }
        return {"frame": frame.id, "photo": card["uid"], "speech": said[action]}

    async def _undo(self, frame: Frame) -> dict[str, Any]:
        """Takes back the last thing decided at the frame (hide, favourite), else goes to the picture before."""
        recent = await self._database.read(lambda c: rows.recent(c, frame.id, 20))
        last = next((row for row in recent if row["action"] in ("hide", "favourite")), None)
        if last is None:
            step = await self._player.move(frame.id, -1)
            return {"frame": frame.id, "photo": step.photo, "speech": step.said}
        hidden = last["action"] == "hide"
        card = (await self._database.read(lambda c: photo_rows.cards(c, [last["photo_id"]])))[last["photo_id"]]
        on = False if hidden else not card["favourite"]
        await self._asked(f"photo/{last['action']}", {"id": last["uid"], "on": on})
        done = {"frame_id": frame.id, "photo_id": last["photo_id"], "playlist_id": last["playlist_id"]}
        await self._database.write(lambda c: rows.note(c, **done, action="undo"))
        await self._database.write(lambda c: rows.drop_note(c, last["id"]))
        if hidden:
            await self._player.show_photo(frame.id, last["uid"])
        else:
            await self._player.publish_state(frame.id)
        return {"frame": frame.id, "photo": last["uid"], "speech": "Taken back."}

    async def _asked(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]:
        """As everybody asks, by a request of that family; its data, or its error as ours."""
        answer = await self._router.call(verb, payload, source="frame")
        if answer["status"] == "error":
            raise BadRequest(answer["error"]["message"])
        data: dict[str, Any] = answer["data"]
        return data

    # -- requests ------------------------------------------------------------------------------------------------

    @answers("frame/list", Request)
    async def listed(self, request: Request) -> dict[str, Any]:
        items = []
        for frame in self._registry.all():
            state = await self._player.state_payload(frame.id)
            items.append(
                {
                    **state,
                    "frame": frame.id,
                    "width": frame.panel.width,
                    "height": frame.panel.height,
                    "rotation": frame.panel.rotation,
                    "fit": frame.panel.fit,
                    "overlay": frame.panel.overlay,
                    "model": frame.model,
                    "source": frame.source,
                    "link": f"{self._base_url()}/frame/{frame.id}?k={frame.token}",
                }
            )
        return {"items": items}

    @answers("frame/add", FrameAdd)
    async def add(self, request: FrameAdd) -> dict[str, Any]:
        frame_id = request.frame or self._id_from(request.name)
        check_slug(frame_id)
        if self._registry.knows(frame_id):
            raise BadRequest(f"There is a frame {frame_id!r} already.", field="frame")
        hello = {"width": request.width, "height": request.height, "rotation": request.rotation}
        frame = await self._registry.add(frame_id, request.name, "request", hello)
        self._names.changed(now=True)
        await self._player.move(frame.id, 1)
        self._bus.emit(FrameOnline(frame.id))
        return {"frame": frame.id, "name": frame.name, "link": f"{self._base_url()}/frame/{frame.id}?k={frame.token}"}

    def _id_from(self, name: str | None) -> str:
        """A free id that looks like the name."""
        if name is None:
            raise BadRequest("Give the frame a name.", field="name")
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:28].rstrip("-") or "frame"
        numbers = (f"{stem}-{number}" for number in count(2))
        return next(one for one in (stem, *islice(numbers, MAX_FRAMES)) if not self._registry.knows(one))

    @answers("frame/remove", FrameId)
    async def remove(self, request: FrameId) -> dict[str, Any]:
        frame = self._registry.find(request.frame)
        if frame.source == "config":
            raise BadRequest(f"{frame.name} is in config.yaml; take it out there.", field="frame")
        await self._registry.remove(frame.id)
        self._names.changed(now=True)
        await self._left(frame.id)
        return {"frame": frame.id}

    @answers("frame/rename", FrameRename)
    async def rename(self, request: FrameRename) -> dict[str, Any]:
        frame = self._registry.find(request.frame)
        await self.set(frame.id, {"name": request.name})
        return {"frame": frame.id, "name": request.name}

    @answers("frame/set", FrameSet)
    async def change(self, request: FrameSet) -> dict[str, Any]:
        frame = self._registry.find(request.frame)
        await self.set(frame.id, request.model_dump(mode="json", exclude_unset=True, exclude={"frame", "transaction"}))
        return {"frame": frame.id}

    @answers("frame/preview", FramePreview)
    async def preview(self, request: FramePreview) -> dict[str, Any]:
        """What a photo would look like on this frame: the address of the rendered picture, shown on no panel."""
        frame = self._registry.find(request.frame)
        photo_id, _ = await self._player.current(frame.id)
        if request.photo is not None:
            found = await self._database.read(lambda c: photo_rows.ids_of(c, [str(request.photo)]))
            photo_id = found.get(request.photo)
        if photo_id is None:
            raise UnknownPhoto("There is no photo with that id.", field="photo")
        picture = await self._player.preview(frame.id, photo_id)
        return {"frame": frame.id, "url": f"{self._base_url()}/p/{picture['sha256']}.{picture['ext']}", **picture}

    @answers("frame/cmd", FrameCommand)
    async def cmd(self, request: FrameCommand) -> dict[str, Any]:
        return await self.command(self._registry.find(request.frame).id, {"action": request.action})

    @answers("frame/link", FrameId)
    async def link(self, request: FrameId) -> dict[str, Any]:
        """A new link for this frame; every older one stops working."""
        frame = await self._registry.new_token(self._registry.find(request.frame).id)
        await self._player.republish(frame.id)
        return {"frame": frame.id, "link": f"{self._base_url()}/frame/{frame.id}?k={frame.token}"}


def parse_command(payload: bytes) -> dict[str, Any]:
    """`{"action": …}` or the bare word."""
    if len(payload) > 4096:
        raise TooLarge("A command is a word or a small JSON object.")
    text = payload.decode("utf-8", errors="replace").strip()
    if text.startswith("{"):
        return parse_object(payload)
    return {"action": text.strip('"')[:40]}


def parse_object(payload: bytes, limit: int = 65_536) -> dict[str, Any]:
    if len(payload) > limit:
        raise TooLarge(f"The message has {len(payload):,} bytes; at most {limit:,} are taken.")
    return decode(payload)
