"""Plays playlists on frames: which picture is next, rendered ahead, published, remembered.

One lock per frame; a change is in the store before it is published, so that a restart goes on where the panel is. A
failure never reaches a wall: whatever cannot be rendered is passed over and the last good picture stays.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import structlog
from sqlalchemy import RowMapping

from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import BadPhoto, CannotStore, FramedError, UnknownPlaylist
from framed.events import FrameFailed, FrameOffline, FrameOnline
from framed.frames.publish import (
    STATE_BYTES,
    Publisher,
    iso,
    picture_url,
    playlist_payload,
    shortened,
    show_payload,
)
from framed.frames.registry import Frame, Registry
from framed.frames.rendered import ROUGH, Quick, RenderedPictures
from framed.store import frames as rows
from framed.store import photos as photo_rows
from framed.store import playlists as playlist_rows
from framed.store.database import Database
from framed.wake import woken

log = structlog.get_logger(__name__)

AHEAD = 3
AHEAD_AT_ONCE = 2
"""Coming pictures rendered at a time for all frames together: one that is asked for now never waits behind many."""
SHARPENED_AT_ONCE = 3
"""Sharp pictures after a stand-in, for all frames together: enough for two busy cores, few enough to wait behind."""
MISSED_WAKES = 3
_TRIES = 8  # photos passed over in a row before a frame is left with what it has

Caption = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Step:
    """The outcome of a move: the photo now shown, or why nothing changed."""

    photo: str | None
    said: str


class Player:
    def __init__(
        self,
        *,
        database: Database,
        rendered: RenderedPictures,
        registry: Registry,
        publisher: Publisher,
        bus: Bus,
        base_url: Callable[[], str],
        caption: Caption,
        timezone: tzinfo,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._rendered = rendered
        self._registry = registry
        self._publisher = publisher
        self._bus = bus
        self.base_url = base_url
        self._caption = caption
        self._timezone = timezone
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._ahead: dict[str, asyncio.Task[None]] = {}
        self._spawned: set[asyncio.Task[None]] = set()
        self._ahead_room = asyncio.Semaphore(AHEAD_AT_ONCE)
        self._sharp_room = asyncio.Semaphore(SHARPENED_AT_ONCE)
        self._started = clock()
        self._tick_task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._dark: dict[str, bool] = {}
        self.when_finished: Callable[[str, str], Awaitable[None]] | None = None
        """Called with frame and playlist when a playlist has been played to its end: time to compose it anew."""
        self.when_empty: Callable[[str], Awaitable[None]] | None = None
        """Called for a frame that has nothing to show."""

    async def start(self) -> None:
        self._tick_task = asyncio.create_task(self._run(), name="frames:schedule")

    async def close(self) -> None:
        await end_tasks(self._tick_task, *self._spawned, *self._ahead.values())

    def reconfigure(self, timezone: tzinfo) -> None:
        """Another time zone was read; the schedule looks at once at what it changes."""
        self._timezone = timezone
        self._wake.set()

    # -- moves ---------------------------------------------------------------------------------------------------

    def begin(self, frame_id: str, photo_id: int) -> None:
        """Starts to render what `play` will show first: the playlist is written down meanwhile."""
        self._spawn(self._begin(self._registry.get(frame_id), photo_id), f"frames:begin:{frame_id}")

    async def _begin(self, frame: Frame, photo_id: int) -> None:
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo_id]))).get(photo_id)
        if card is not None:
            await self._rendered.get(frame, card, quick="always")

    async def play(self, frame_id: str, playlist_id: str, *, quick: bool = False) -> Step:
        """Starts a playlist at its beginning. `quick` shows a picture made from the preview first where the sharp one
        would take long, and the sharp one as soon as it is there."""
        frame = self._registry.get(frame_id)
        async with self._lock(frame_id):
            ids = await self._database.read(lambda c: playlist_rows.photo_ids(c, playlist_id))
            if not ids:
                raise UnknownPlaylist("That playlist is empty or gone.", field="id")
            begun = {"playlist_id": playlist_id, "position": -1, "paused": False, "next_at": self._clock()}
            # Due at once: should framed be killed over the rendering, the schedule shows it after the restart.
            await self._database.write(lambda c: rows.set_state(c, frame_id, **begun), durable=True)
            step = await self._move(frame, 1, quick="always" if quick else "never")
        self._look_ahead(frame_id)
        return step

    async def move(self, frame_id: str, by: int) -> Step:
        """The next picture, or the one before. Where a whole wall asks at once, stand-ins come first."""
        frame = self._registry.get(frame_id)
        async with self._lock(frame_id):
            step = await self._move(frame, by, quick="in a crowd")
        self._look_ahead(frame_id)
        return step

    async def refresh(self, frame_id: str) -> Step:
        """Renders and publishes what is on the frame again: its panel or options changed, or it asked."""
        frame = self._registry.get(frame_id)
        async with self._lock(frame_id):
            state = await self._database.read(lambda c: rows.state(c, frame_id))
            if state["photo_id"] is None:
                step = await self._move(frame, 1)
            else:
                shown = await self._show(frame, state["photo_id"], state["position"], state["playlist_id"], again=True)
                step = Step(shown, "Refreshed.") if shown else await self._move(frame, 1)
        self._look_ahead(frame_id)
        return step

    async def show_photo(self, frame_id: str, uid: str) -> Step:
        frame = self._registry.get(frame_id)
        async with self._lock(frame_id):
            found = await self._database.read(lambda c: photo_rows.ids_of(c, [uid]))
            if uid not in found:
                raise BadPhoto("There is no photo with that id.")
            state = await self._database.read(lambda c: rows.state(c, frame_id))
            shown = await self._show(frame, found[uid], state["position"], state["playlist_id"])
        return Step(shown, "Showing it.")

    async def pause(self, frame_id: str, paused: bool) -> Step:
        frame = self._registry.get(frame_id)
        next_at = None if paused else self._clock() + frame.interval_s
        await self._database.write(lambda c: rows.set_state(c, frame_id, paused=paused, next_at=next_at), durable=True)
        await self.publish_state(frame_id)
        self._wake.set()
        return Step(None, "Paused." if paused else "Going on.")

    async def reschedule(self, frame_id: str) -> None:
        """The interval is another: it counts from now."""
        frame = self._registry.get(frame_id)
        next_at = self._clock() + frame.interval_s
        await self._database.write(lambda c: rows.set_state(c, frame_id, next_at=next_at))
        self._wake.set()

    async def control(self, frame_id: str, action: str, value: Any = None) -> None:
        """Tells the frame itself to do something."""
        order = {"action": action, "id": str(int(self._clock()))} | ({} if value is None else {"value": value})
        await self._publisher.control(self._registry.get(frame_id), order)

    async def identify(self, frame_id: str) -> None:
        """Asks the frame to show who it is; a page does, others do what they can."""
        await self.control(frame_id, "identify", self._registry.get(frame_id).name)

    async def withdraw_image(self, frame_id: str) -> None:
        """The frame takes its pictures by HTTP from now on."""
        await self._publisher.image(self._registry.get(frame_id), None, "", "")

    async def preview(self, frame_id: str, photo_id: int) -> dict[str, Any]:
        frame = self._registry.get(frame_id)
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo_id])))[photo_id]
        picture, _ = await self._rendered.get(frame, card)
        return {key: picture[key] for key in ("sha256", "ext", "mime", "width", "height", "bytes")}

    async def current(self, frame_id: str) -> tuple[int | None, str | None]:
        """The photo on the frame, and its playlist."""
        state = await self._database.read(lambda c: rows.state(c, frame_id))
        return state["photo_id"], state["playlist_id"]

    # -- what frames say -----------------------------------------------------------------------------------------

    async def availability(self, frame_id: str, online: bool) -> None:
        before = await self._database.read(lambda c: rows.state(c, frame_id))
        if online and self._registry.get(frame_id).sleeps:  # it is awake now
            await self._database.write(lambda c: rows.set_state(c, frame_id, reported_at=self._clock()))
        if bool(before["online"]) == online:
            return
        await self._database.write(lambda c: rows.set_state(c, frame_id, online=online))
        self._bus.emit(FrameOnline(frame_id) if online else FrameOffline(frame_id))
        await self.publish_state(frame_id)

    async def told(self, frame_id: str, what: str) -> None:
        """The frame was told to change this: what it reported of it before holds no more."""
        state = await self._database.read(lambda c: rows.state(c, frame_id))
        left = {key: value for key, value in (state["report"] or {}).items() if key != what}
        await self._database.write(lambda c: rows.set_state(c, frame_id, report=left))

    async def report(self, frame_id: str, report: dict[str, Any]) -> None:
        """Keeps what the frame said of itself; a battery frame that only ever says the voltage keeps its last error."""
        state = await self._database.read(lambda c: rows.state(c, frame_id))
        kept = {**(state["report"] or {}), **report}
        if "error" not in report:
            kept.pop("error", None)
        await self._database.write(
            lambda c: rows.set_state(c, frame_id, report=kept, reported_at=self._clock(), online=True)
        )
        if report.get("error"):
            self._bus.emit(FrameFailed(frame_id, str(report["error"])[:200]))
        if not state["online"]:
            self._bus.emit(FrameOnline(frame_id))
        await self.publish_state(frame_id)

    # -- state ---------------------------------------------------------------------------------------------------

    async def state_payload(self, frame_id: str) -> dict[str, Any]:
        """`framed/frame/<f>/state`, under 2 KiB, with `online`, for pages and MQTT alike."""
        frame = self._registry.get(frame_id)

        def read(connection: Any) -> tuple[Any, Any, Any]:
            state = rows.state(connection, frame_id)
            listed = None
            if state["playlist_id"]:
                place = max(state["position"], 0)
                listed = playlist_rows.get(connection, state["playlist_id"], limit=1, offset=place)
            card = photo_rows.cards(connection, [state["photo_id"]]) if state["photo_id"] else {}
            return state, listed, card.get(state["photo_id"])

        state, listed, card = await self._database.read(read)
        report = state["report"] or {}
        item = listed.items[0] if listed and listed.items else None
        why = ", ".join(item.why) if item and item.photo_id == state["photo_id"] else ""
        payload: dict[str, Any] = {
            "v": 1,
            "name": frame.name,
            "online": bool(state["online"]),
            "item": state["item"],
            "photo": card["uid"] if card else None,
            "caption": self._caption(card)[:200] if card else "",
            "why": why[:200],
            "playlist": listed.id if listed else None,
            "playlist_name": listed.name if listed else None,
            "position": state["position"] + 1 if listed else 0,
            "count": listed.count if listed else 0,
            "paused": bool(state["paused"]),
            "on": frame.on and not self._is_quiet(frame) and report.get("on", True),
            "brightness": report.get("brightness", frame.brightness),
            "interval_s": frame.interval_s,
            "favourite": bool(card["favourite"]) if card else False,
            "shown_at": iso(state["shown_at"]),
        }
        if frame.sleeps and frame.wake_s:
            since = self._heard_at(state, self._clock())
            payload["next_wake"] = iso(since + frame.wake_s)
            payload["late"] = self._clock() > since + MISSED_WAKES * frame.wake_s
        for key in ("battery", "rssi", "error"):
            if report.get(key) is not None:
                payload[key] = report[key] if key != "error" else str(report[key])[:200]
        return shortened(payload, STATE_BYTES, "why", "caption", "error")

    async def publish_state(self, frame_id: str) -> None:
        if not self._registry.knows(frame_id):
            return
        await self._publisher.state(self._registry.get(frame_id), await self.state_payload(frame_id))

    async def republish(self, frame_id: str) -> None:
        """Everything retained about a frame, from the store: after a start, a reconnect, a new panel."""
        frame = self._registry.get(frame_id)
        state = await self._database.read(lambda c: rows.state(c, frame_id))
        if state["show"]:
            await self._republish_shown(frame, dict(state["show"]))
        await self._publish_playlist(frame)
        await self.publish_state(frame_id)

    async def _republish_shown(self, frame: Frame, show: dict[str, Any]) -> None:
        """Where the rendered picture is lost (a cleared cache), `show` stands as it was and the picture is remade;
        where framed was stopped over a stand-in, its sharp picture comes now."""
        found = await self._database.read(lambda c: rows.render_of(c, show["sha256"]))
        picture = await self._rendered.kept(found["key"]) if found is not None else None
        if picture is not None:
            show["url"] = picture_url(self.base_url(), frame, picture)
        await self._publisher.show(frame, show)
        if picture is not None:
            await self._publish_bytes(frame, picture)
        if picture is None or picture["key"].endswith(ROUGH):
            self._spawn(self.refresh(frame.id), f"frames:lost:{frame.id}")

    async def forget(self, frame_id: str) -> None:
        self._locks.pop(frame_id, None)
        self._dark.pop(frame_id, None)
        task = self._ahead.pop(frame_id, None)
        if task is not None:
            task.cancel()

    # -- moving --------------------------------------------------------------------------------------------------

    def _lock(self, frame_id: str) -> asyncio.Lock:
        return self._locks.setdefault(frame_id, asyncio.Lock())

    async def _move(self, frame: Frame, by: int, *, quick: Quick = "never") -> Step:
        state = await self._database.read(lambda c: rows.state(c, frame.id))
        playlist_id = state["playlist_id"]
        ids = await self._database.read(lambda c: playlist_rows.photo_ids(c, playlist_id)) if playlist_id else []
        if not ids:
            if self.when_empty is not None:
                self._spawn(self.when_empty(frame.id), f"frames:empty:{frame.id}")
            return Step(None, f"{frame.name} has no playlist yet.")
        position, finished = state["position"], False
        for _ in range(min(_TRIES, len(ids))):
            position += by
            if position >= len(ids):
                finished = True
            position %= len(ids)
            uid = await self._show(frame, ids[position], position, playlist_id, quick=quick)
            if uid is not None:
                if finished and self.when_finished is not None:
                    self._spawn(self.when_finished(frame.id, playlist_id), f"frames:finished:{frame.id}")
                return Step(uid, f"Picture {position + 1} of {len(ids)}.")
        log.warning("no picture of the playlist can be shown", frame=frame.id, playlist=playlist_id)
        self._bus.emit(FrameFailed(frame.id, "No picture of the playlist can be shown; the last one stays."))
        return Step(None, "None of those pictures can be shown; the last one stays.")

    async def _show(
        self,
        frame: Frame,
        photo_id: int,
        position: int,
        playlist_id: str | None,
        *,
        quick: Quick = "never",
        again: bool = False,
    ) -> str | None:
        """Puts a photo on the panel; its uid, or None where it cannot be rendered (said in the log)."""
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo_id]))).get(photo_id)
        if card is None or card["hidden"] or card["state"] == "gone":
            return None
        try:
            picture, rough = await self._rendered.get(frame, card, quick=quick)
        except FramedError as error:
            log.warning("a photo could not be rendered", photo=card["uid"], frame=frame.id, problem=error.message)
            return None
        await self._publish_shown(frame, card, picture, position, playlist_id, again=again)
        if rough:
            self._sharpen(frame, card, position, playlist_id)
        return str(card["uid"])

    async def _publish_shown(
        self,
        frame: Frame,
        card: Mapping[str, Any],
        picture: dict[str, Any],
        position: int,
        playlist_id: str | None,
        *,
        again: bool,
    ) -> None:
        now = self._clock()
        item = f"{card['uid']}-{position}"

        def store(connection: Any) -> dict[str, Any]:
            state = rows.state(connection, frame.id)
            next_at = state["next_at"] if again and state["next_at"] else now + frame.interval_s
            payload = show_payload(
                base=self.base_url(),
                frame=frame,
                rev=state["rev"] + 1,
                item=item,
                photo=card["uid"],
                picture=picture,
                caption=self._caption(card),
                until=None if state["paused"] else next_at,
            )
            rows.set_state(
                connection,
                frame.id,
                photo_id=card["id"],
                position=position,
                item=item,
                sha256=picture["sha256"],
                rev=state["rev"] + 1,
                shown_at=state["shown_at"] if again else now,
                next_at=next_at,
                show=payload,
            )
            rows.touch_render(connection, picture["key"])
            if not again:
                rows.note_shown(connection, frame.id, card["id"], playlist_id)
            return payload

        payload = await self._database.write(store)
        await self._publisher.show(frame, payload)
        await self._publish_bytes(frame, picture)
        await self.publish_state(frame.id)

    async def _publish_bytes(self, frame: Frame, picture: Mapping[str, Any]) -> None:
        if picture.get("thumb"):
            await self._publisher.thumb(frame, picture["thumb"])
        if frame.delivery != "mqtt":
            return
        data = await asyncio.to_thread(self._rendered.path(picture["sha256"], picture["ext"]).read_bytes)
        if frame.max_bytes is not None and len(data) > frame.max_bytes:
            self._bus.emit(FrameFailed(frame.id, f"The picture has {len(data):,} bytes, more than the frame takes."))
            return
        await self._publisher.image(frame, data, picture["mime"], picture["sha256"])

    async def _publish_playlist(self, frame: Frame) -> None:
        state = await self._database.read(lambda c: rows.state(c, frame.id))
        listed = (
            await self._database.read(lambda c: playlist_rows.get(c, state["playlist_id"]))
            if state["playlist_id"]
            else None
        )
        if listed is None:
            await self._publisher.playlist(frame, None)
            return
        ready = await self._rendered.ready(frame, [item.photo_id for item in listed.items], state["position"])
        payload = playlist_payload(
            base=self.base_url(),
            frame=frame,
            rev=int(listed.updated_at),
            id=listed.id,
            name=listed.name,
            count=listed.count,
            items=ready,
        )
        await self._publisher.playlist(frame, payload)

    def _sharpen(self, frame: Frame, card: Mapping[str, Any], position: int, playlist_id: str | None) -> None:
        async def sharpen() -> None:
            async with self._sharp_room:
                await self._rendered.stand_ins_done()
                if (await self.current(frame.id))[0] != card["id"]:
                    return
                picture = await self._rendered.sharp(frame, card)
            async with self._lock(frame.id):
                state = await self._database.read(lambda c: rows.state(c, frame.id))
                if state["photo_id"] == card["id"] and state["sha256"] != picture["sha256"]:
                    await self._publish_shown(frame, card, picture, position, playlist_id, again=True)

        self._spawn(sharpen(), f"frames:sharpen:{frame.id}")

    def _spawn(self, work: Awaitable[object], name: str) -> None:
        task = asyncio.create_task(_quietly(work), name=name)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def _look_ahead(self, frame_id: str) -> None:
        running = self._ahead.get(frame_id)
        if running is not None and not running.done():
            running.cancel()
        self._ahead[frame_id] = asyncio.create_task(self._prepare_quietly(frame_id), name=f"frames:ahead:{frame_id}")
        self._wake.set()

    async def _prepare_quietly(self, frame_id: str) -> None:
        """Who presses next twice ends the first before it began: nothing may be left that was never awaited."""
        await _quietly(self._prepare(frame_id))

    async def _prepare(self, frame_id: str) -> None:
        frame = self._registry.get(frame_id)

        def read(connection: Any) -> tuple[list[int], dict[int, dict[str, Any]]] | None:
            state = rows.state(connection, frame_id)
            if state["playlist_id"] is None:
                return None
            ids = playlist_rows.photo_ids(connection, state["playlist_id"])
            coming = [ids[(state["position"] + 1 + offset) % len(ids)] for offset in range(min(AHEAD, len(ids)))]
            return coming, photo_rows.cards(connection, coming)

        async with self._ahead_room:
            found = await self._database.read(read)
        if found is None:
            return
        coming, cards = found
        for photo_id in coming:
            if photo_id in cards:
                try:
                    async with self._ahead_room:
                        await self._rendered.get(frame, cards[photo_id], urgent=False)
                except FramedError as error:
                    log.info("a coming picture cannot be rendered", photo=cards[photo_id]["uid"], problem=error.message)
        async with self._ahead_room:
            await self._publish_playlist(frame)

    # -- schedule ------------------------------------------------------------------------------------------------

    def _is_quiet(self, frame: Frame) -> bool:
        if frame.quiet_hours is None:
            return False
        return frame.quiet_hours.holds(datetime.fromtimestamp(self._clock(), self._timezone))

    async def _run(self) -> None:
        while True:
            try:
                wait_s = await self._tick()
            except CannotStore as error:
                log.warning("the frames keep their pictures", problem=error.message)
                wait_s = 10.0
            except Exception:
                log.exception("the frames' schedule failed")
                wait_s = 10.0
            await woken(self._wake, wait_s)

    async def _tick(self) -> float:
        """Moves every frame that is due; the seconds until the next one is. A clock that jumped is put right here."""
        states = await self._database.read(rows.states)
        now, soonest, moving = self._clock(), 30.0, list[Frame]()
        for frame in self._registry.all():
            state = states.get(frame.id)
            if state is None:
                continue
            quiet = self._is_quiet(frame)
            soonest = min(soonest, await self._missed(frame, state, now))
            if self._dark.get(frame.id, False) != quiet:
                self._dark[frame.id] = quiet
                await self.told(frame.id, "on")
                await self.publish_state(frame.id)
                await self._publisher.control(frame, {"action": "off" if quiet else "on", "id": str(int(now))})
            if quiet or not frame.on or state["paused"] or state["playlist_id"] is None:
                continue
            due = _due(frame, state, now)
            if due > now:
                soonest = min(soonest, due - now)
                continue
            moving.append(frame)
            soonest = min(soonest, float(frame.interval_s))
        # Together: a wall of frames changes as one, and a slow render holds up no other frame.
        ends = await asyncio.gather(*map(self._move_if_due, moving), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return max(0.05, soonest)

    async def _missed(self, frame: Frame, state: RowMapping, now: float) -> float:
        """A frame that sleeps is gone once it has missed three wakes; the seconds until then."""
        if not (frame.sleeps and frame.wake_s and state["online"]):
            return math.inf
        left = self._heard_at(state, now) + MISSED_WAKES * frame.wake_s - now
        if left >= 0:
            return left
        await self.availability(frame.id, False)
        await self._publisher.missed(frame)
        return math.inf

    def _heard_at(self, state: RowMapping, now: float) -> float:
        """When a frame that sleeps was last awake. What it said while framed was away was heard by nobody, and a clock
        that was set back does not make it wait for years."""
        heard: float = state["reported_at"] or state["shown_at"] or now
        return min(max(heard, self._started), now)

    async def _move_if_due(self, frame: Frame) -> None:
        """Looks again once it is its turn: what somebody has just asked for stays for its whole interval."""
        async with self._lock(frame.id):
            state = await self._database.read(lambda c: rows.state(c, frame.id))
            now = self._clock()
            if state["paused"] or _due(frame, state, now) > now:
                return
            step = await self._move(frame, 1)
            if step.photo is None:  # nothing can be shown now; not again and again until the interval is over
                later = self._clock() + frame.interval_s
                await self._database.write(lambda c: rows.set_state(c, frame.id, next_at=later))
        self._look_ahead(frame.id)


def _due(frame: Frame, state: RowMapping, now: float) -> float:
    due: float = state["next_at"] or now
    return now if due > now + frame.interval_s else due  # the clock was set back


async def _quietly(work: Awaitable[object]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except FramedError as error:
        log.info("background work for a frame ended early", problem=error.message)
    except Exception:
        log.exception("background work for a frame failed")
