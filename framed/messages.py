"""Between MQTT and the rest: requests to the router, what frames say to the bus, events and retained state out."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic_core import to_json

from framed import events
from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import Busy, FramedError, TooLarge
from framed.finals import Finals, final_answer
from framed.frames.publish import iso
from framed.frames.registry import Frame
from framed.handlers.frames import parse_command, parse_object
from framed.mqtt.client import MqttClient
from framed.mqtt.connection import Incoming
from framed.mqtt.topics import Topics
from framed.router import Door, Nothing, Router, decode, refusal
from framed.store import frames as rows
from framed.store.database import Database
from framed.store.jobs import FINISHED
from framed.strict_json import read_object

log = structlog.get_logger(__name__)

FRAME_MESSAGES = 1_000
"""What frames said and nobody has heard yet; past that they are talking faster than any frame should."""
BIRTH_S = (1.0, 5.0)
"""Home Assistant subscribes in bursts after its birth, and not every daemon of the house should answer at once."""
FOLD_S = 60.0
FOLD_LINES = 200
"""Lines that are remembered at a time: of more than these in one minute the oldest counts anew."""


class Messages:
    """The publisher of frames and of framed itself. `client` is set before `start` of the client."""

    client: MqttClient

    def __init__(
        self,
        *,
        topics: Topics,
        router: Router,
        bus: Bus,
        database: Database,
        job_answered: Callable[[str], Awaitable[None]],
        instance: str,
    ) -> None:
        """`job_answered` is given the id of a job whose final answer has reached the broker."""
        self._topics = topics
        self._router = router
        self._bus = bus
        self._database = database
        self._job_answered = job_answered
        self._instance = instance
        self._requests = Door()
        self._at_frames = Door(at_once=8, most=100)  # of their own: a flood of requests must not hold back a button
        self._finals = Finals()
        self._born: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self.hear: list[Callable[[str, str, Mapping[str, Any]], None]] = []
        """Called with frame id, event name and payload for whatever is published about a frame (the pages listen)."""
        self._before: set[str] = set()
        self._written: frozenset[str] = frozenset()

    def listen(self) -> None:
        for event in (
            events.PhotoAdded,
            events.PhotoAnalysed,
            events.PhotoFailed,
            events.PhotoGone,
            events.PlaylistChanged,
            events.FrameOnline,
            events.FrameOffline,
            events.FrameFailed,
            events.JobFailed,
            events.BackendChanged,
        ):
            self._bus.on(event, self._event)
        self._bus.on(events.JobChanged, self._job)

    async def start(self) -> None:
        self._before = await self._database.read(rows.retained_topics)

    async def close(self) -> None:
        await self.remember()
        await end_tasks(*self._tasks)

    # -- in ------------------------------------------------------------------------------------------------------

    async def incoming(self, message: Incoming) -> None:
        address = self._topics.parse(message.topic)
        if address is None:
            return
        try:
            if address.kind == "request":
                self._spawn(self._request(address.verb or "", message, self._requests.enter()))
            elif address.kind == "ask":
                self._spawn(self._frame_ask(address.frame or "", message, self._at_frames.enter()))
            elif address.kind == "cmd":
                self._spawn(self._frame_command(address.frame or "", message, self._at_frames.enter()))
            elif address.kind in ("hello", "report", "set", "availability"):
                self._frame_said(address.frame or "", address.kind, message)
            elif address.kind == "home_assistant" and message.payload == b"online":
                self._home_assistant_started()
        except Busy as busy:
            await self._turn_away(message, busy, spare=False)

    async def overflow(self, message: Incoming) -> None:
        """The client's queue is full: an answer goes out only where that costs no more room."""
        await self._turn_away(message, Busy("framed has too many requests waiting; try again in a moment."), spare=True)

    async def _turn_away(self, message: Incoming, busy: Busy, *, spare: bool) -> None:
        address = self._topics.parse(message.topic)
        if address is None or address.kind not in ("request", "ask", "cmd"):
            return
        verb = {"ask": "ask", "cmd": "frame/cmd"}.get(address.kind, address.verb or "")
        await self._respond(verb, refusal(busy, _transaction_of(message.payload)), message, spare=spare)

    def _home_assistant_started(self) -> None:
        if self.on_connected is not None and (self._born is None or self._born.done()):
            self._born = self._spawn(self._after_birth(self.on_connected))

    async def _after_birth(self, announce: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(random.uniform(*BIRTH_S))
        await announce()
        await self.client.say_online()

    async def _request(self, verb: str, message: Incoming, place: AbstractAsyncContextManager[None]) -> None:
        async with place, self._finals.held_back(_transaction_of(message.payload)):
            response = await self._router.call(verb, message.payload, source="mqtt", overheard=True)
            await self._respond(verb, response, message)
            if verb == "ask":
                await self._reply(response)

    async def _frame_ask(self, frame: str, message: Incoming, place: AbstractAsyncContextManager[None]) -> None:
        async with place:
            try:
                asked = {**decode(message.payload, bare_text=True), "frame": frame}
            except FramedError as error:
                response = refusal(error, None)
            else:
                response = await self._router.call("ask", asked, source="mqtt", overheard=True)
            await self._respond("ask", response, message)
            await self._reply(response)

    async def _frame_command(self, frame: str, message: Incoming, place: AbstractAsyncContextManager[None]) -> None:
        async with place:
            try:
                said = parse_command(message.payload)
                response = await self._router.call("frame/cmd", {**said, "frame": frame}, source="mqtt", overheard=True)
            except FramedError as error:
                response = refusal(error, None)
            if response["status"] == "error":
                log.warning("a frame command was refused", frame=frame, problem=response["error"]["message"])
            await self._respond("frame/cmd", response, message)

    def _frame_said(self, frame: str, what: str, message: Incoming) -> None:
        if not message.payload:
            return  # a cleared retained message
        if self._bus.waiting(events.FrameSaid) >= FRAME_MESSAGES:
            log.warning("frames say more than can be heard, dropping", what=what)
            return
        try:
            if what == "availability":
                payload: dict[str, Any] = {"online": message.payload.strip() == b"online"}
            else:
                payload = parse_object(message.payload)
        except FramedError as error:
            log.warning("a frame's message was refused", frame=frame, what=what, problem=error.message)
            return
        self._bus.emit(events.FrameSaid(frame, what, payload, kept=message.retain))

    # -- answers -------------------------------------------------------------------------------------------------

    async def _respond(self, verb: str, response: dict[str, Any], message: Incoming, *, spare: bool = False) -> None:
        await self._answer(self._topics.response(verb), response, spare=spare)
        answer_to = message.response_topic
        if answer_to and self._topics.may_answer(answer_to):
            await self._answer(answer_to, response, correlation=message.correlation, spare=spare)
            if response["status"] == "accepted":
                final = self._finals.wanted(response["data"]["job"], (answer_to, message.correlation))
                if final is not None:
                    await self._answer(answer_to, final, correlation=message.correlation)

    async def _answer(self, topic: str, response: Mapping[str, Any], **options: Any) -> None:
        try:
            await self.client.publish(topic, response, **options)
        except TooLarge as error:
            await self.client.publish(topic, _shortened(response, error), **options)

    async def _reply(self, response: dict[str, Any]) -> None:
        data = response.get("data") or {}
        error = response.get("error")
        reply: dict[str, Any] = {
            "v": 1,
            "status": response["status"],
            "speech": (error["message"] if error else data.get("speech", ""))[:250],
            "text": (data.get("plan") or {}).get("text", "")[:1000],
            "frame": data.get("frame"),
            "playlist": (data.get("playlist") or {}).get("id"),
            "count": data.get("count", 0),
            "time": iso(time.time()),
        }
        if "transaction" in response:
            reply["transaction"] = response["transaction"]
            await self._publish(self._topics.reply_to(response["transaction"]), reply, retain=True, expiry_s=60)
        await self._publish(self._topics.reply, reply)

    # -- events --------------------------------------------------------------------------------------------------

    async def _event(self, event: Any) -> None:
        said = event_payload(event)
        if said is not None:
            await self._publish(self._topics.event, said)

    async def _job(self, event: events.JobChanged) -> None:
        job = event.job
        await self._publish(self._topics.job(job["id"]), job)
        if job["state"] not in FINISHED:
            return
        response = final_answer(job)
        for topic, correlation in self._finals.ended(job["id"], response):
            self._spawn(self._answer(topic, response, correlation=correlation))
        if "transaction" in job:
            self._spawn(self._final(job["id"], self._topics.response(job["kind"].replace("_", "/", 1)), response))

    async def _final(self, job_id: str, topic: str, response: dict[str, Any]) -> None:
        """The answer to long work: owed until the broker has it, over restarts of either."""
        await self._finals.after_first(response["transaction"])
        try:
            await self._publish(topic, response, wait=True)
        except FramedError as error:
            log.warning("a final answer is still owed; the next start says it", job=job_id, problem=error.message)
            return
        await self._job_answered(job_id)

    # -- state ---------------------------------------------------------------------------------------------------

    async def retained(
        self, topic: str, payload: Mapping[str, Any], *, qos: int = 1, expiry_s: float | None = None
    ) -> None:
        await self._publish(topic, payload, retain=True, qos=qos, expiry_s=expiry_s)

    async def log_line(self, payload: Mapping[str, Any]) -> None:
        await self._publish(self._topics.log, payload, qos=0)

    async def show(self, frame: Frame, payload: Mapping[str, Any] | None) -> None:
        await self._frame_state(frame, "show", self._topics.show(frame.id), payload)

    async def playlist(self, frame: Frame, payload: Mapping[str, Any] | None) -> None:
        await self._frame_state(frame, "playlist", self._topics.playlist(frame.id), payload)

    async def state(self, frame: Frame, payload: Mapping[str, Any]) -> None:
        public = {key: value for key, value in payload.items() if key != "online"}
        await self._publish(self._topics.state(frame.id), public, retain=True)
        size = {"width": frame.panel.width, "height": frame.panel.height}
        self._tell(frame.id, "state", {**payload, **size, "frame": frame.id, "kind": frame.model or frame.source})
        if not frame.over_mqtt:
            word = "online" if payload.get("online") else "offline"
            await self._publish(self._topics.availability(frame.id), word, retain=True)

    async def missed(self, frame: Frame) -> None:
        """It slept through its wakes: its own `online` still stands at the broker, and nobody else can take it back."""
        if frame.over_mqtt:
            await self.client.say(self._topics.availability(frame.id), b"offline")

    async def thumb(self, frame: Frame, data: bytes) -> None:
        await self._publish(self._topics.thumb(frame.id), data, retain=True, qos=0, content_type="image/jpeg")

    async def image(self, frame: Frame, data: bytes | None, mime: str, sha256: str) -> None:
        if data is None:
            await self.client.clear(self._topics.image(frame.id))
            return
        await self._publish(
            self._topics.image(frame.id), data, retain=True, content_type=mime, user_properties={"sha256": sha256}
        )

    async def control(self, frame: Frame, payload: Mapping[str, Any]) -> None:
        await self._publish(self._topics.control(frame.id), payload, expiry_s=30)
        self._tell(frame.id, "control", payload)

    async def clear_frame(self, frame_id: str) -> None:
        """Everything that was retained about a removed frame."""
        for topic in self._topics.retained_of_frame(frame_id, instance=self._instance):
            await self.client.clear(topic)

    async def clear_leftovers(self) -> None:
        """Topics that an earlier run retained and this one does not: a frame or playlist that is gone."""
        for topic in self._before - set(self.client.retained_topics()):
            await self.client.clear(topic)
        self._before = set()
        await self.remember()

    async def remember(self) -> None:
        """Keeps the list of retained topics, so that a later version can clear what it no longer publishes."""
        now = self.client.retained_topics()
        if now != self._written:
            self._written = now
            try:
                await self._database.write(lambda c: rows.set_retained(c, set(now) | self._before))
            except FramedError as error:
                log.warning("the list of retained topics was not kept", problem=error.message)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _frame_state(self, frame: Frame, name: str, topic: str, payload: Mapping[str, Any] | None) -> None:
        if payload is None:
            await self.client.clear(topic)
        else:
            await self._publish(topic, payload, retain=True)
            self._tell(frame.id, name, payload)

    def _tell(self, frame_id: str, name: str, payload: Mapping[str, Any]) -> None:
        for hear in self.hear:
            hear(frame_id, name, payload)

    async def _publish(self, topic: str, payload: Any, **options: Any) -> None:
        try:
            await self.client.publish(topic, payload, **options)
        except TooLarge as error:
            self._could_not_send(topic, error)

    def refused(self, topic: str, payload: bytes, error: FramedError) -> None:
        """The broker itself does not take a message of this size: `MqttClient` calls this."""
        if topic.startswith(self._topics.response("")):
            short = _shortened(json.loads(payload), error)
            self._spawn(self.client.publish(topic, short))
        else:
            self._could_not_send(topic, error)

    def _could_not_send(self, topic: str, error: FramedError) -> None:
        """The frame still has the address of its picture in `show`; a picture of before must not stand beside that."""
        frame = self._topics.frame_of(topic)
        if frame is None:
            self._bus.emit(events.JobFailed(topic, "publish", error.message))
            return
        self._bus.emit(events.FrameFailed(frame, f"Too large for MQTT: {error.message}"))
        if topic == self._topics.image(frame):
            self._spawn(self.client.clear(topic))

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await work
            except Exception:
                log.exception("a message could not be handled")

        task = asyncio.create_task(run(), name="message")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _transaction_of(payload: bytes) -> str | None:
    """The transaction of a request that is not looked at further; None where finding it would be work too."""
    if len(payload) > 4_096 or b"transaction" not in payload:
        return None
    try:
        return Nothing.model_validate(read_object(payload)).transaction
    except (FramedError, ValidationError):
        return None  # it is turned away in any case


def _shortened(response: Mapping[str, Any], error: FramedError) -> dict[str, Any]:
    """The answer without its long lists: what did not fit can be had over HTTP."""
    data: dict[str, Any] = {}
    for key, value in (response.get("data") or {}).items():
        if len(to_json(value)) < 4_096 and len(data) < 8:
            data[key] = value
    return {**response, "data": {**data, "truncated": error.message}}


def event_payload(event: Any) -> dict[str, Any] | None:
    """`framed/event` for what happened, or None for what only framed itself cares about."""
    names: dict[type, str] = {
        events.PhotoAdded: "photo_added",
        events.PhotoAnalysed: "photo_analysed",
        events.PhotoFailed: "photo_failed",
        events.PhotoGone: "photo_gone",
        events.PlaylistChanged: "playlist_changed",
        events.FrameOnline: "frame_online",
        events.FrameOffline: "frame_offline",
        events.FrameFailed: "frame_error",
        events.JobFailed: "job_failed",
        events.BackendChanged: "backend_changed",
    }
    name = names.get(type(event))
    if name is None:
        return None
    said = {key: value for key, value in vars(event).items() if key != "photo_id" and value not in (None, "", [])}
    return {"v": 1, "event_type": name, "time": iso(time.time()), **said}


class Folded:
    """Warnings for `framed/log`: the same line again within a minute is counted, not repeated. Any thread may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[str, _Line] = {}  # in the order in which they were first said
        self._lock = threading.Lock()

    def take(self, level: str, message: str, logger: str) -> dict[str, Any] | None:
        with self._lock:
            count = self._count(f"{level}|{logger}|{message}")
        if count not in (1, 10, 100, 1000):
            return None
        return {"level": level, "message": message[:500], "logger": logger, "time": iso(time.time()), "count": count}

    def _count(self, key: str) -> int:
        now = self._clock()
        while self._lines and now - next(iter(self._lines.values())).since > FOLD_S:
            del self._lines[next(iter(self._lines))]
        line = self._lines.setdefault(key, _Line(now))
        if len(self._lines) > FOLD_LINES:
            del self._lines[next(iter(self._lines))]
        line.count += 1
        return line.count


@dataclass
class _Line:
    since: float
    count: int = 0
