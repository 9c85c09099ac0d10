"""The reference frame: what a Raspberry Pi behind a panel runs. It lives on the contract alone."""

import asyncio
import hashlib
import os
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator

from framed import __version__
from framed.background import end_tasks
from framed.errors import BadPhoto, ConfigError, FramedError, Refused, TimedOut, TooLarge, Unavailable
from framed.frames.base import PaletteName
from framed.mqtt.client import MqttClient
from framed.mqtt.connection import Incoming
from framed.mqtt.settings import MqttSettings
from framed.mqtt.topics import Topics

log = structlog.get_logger(__name__)

Format = Literal["jpeg", "png", "bmp"]

_FORMATS: Final[dict[str, Format]] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp"}
_MAGIC: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"BM", "bmp"),
)
_MAX_PIXELS: Final = 50_000_000
_TRIES_BEFORE_REPORT: Final = 3
_IMAGE_WAIT_S: Final = 15.0


class FrameClientOptions(BaseModel):
    """`size` is the panel's own raster, `out` the file that the panel's viewer reads: PNG, JPEG or BMP by its name.

    `once` shows one picture and ends, as a frame does that is woken by a timer; with `wake_s` it tells the daemon so.
    Where no picture was announced for `silence_s`, the log says what to look at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
    size: tuple[Annotated[int, Field(ge=16, le=20_000)], Annotated[int, Field(ge=16, le=20_000)]]
    out: Path
    broker: SecretStr = SecretStr("mqtt://127.0.0.1:1883")
    title: str = Field(default="", max_length=80)
    base: str = "framed"
    delivery: Literal["url", "mqtt"] = "url"
    rotation: Literal[0, 90, 180, 270] = 0
    palette: PaletteName | None = None
    max_bytes: int = Field(default=8_000_000, ge=10_000, le=100_000_000)
    once: bool = False
    once_timeout_s: float = Field(default=120.0, gt=0)
    wake_s: int | None = Field(default=None, ge=60)
    silence_s: float = Field(default=30.0, gt=0)
    retry_s: tuple[float, float] = (1.0, 120.0)

    @field_validator("size", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """`800x480`, as on the command line."""
        found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", value) if isinstance(value, str) else None
        return found.groups() if found else value

    @field_validator("out")
    @classmethod
    def _known_format(cls, value: Path) -> Path:
        if value.suffix.lower() not in _FORMATS:
            raise ValueError("the output file must end in .png, .jpg, .jpeg or .bmp")
        return value

    @property
    def format(self) -> Format:
        return _FORMATS[self.out.suffix.lower()]


class Show(BaseModel):
    """`framed/frame/<f>/show`: what should be on the panel now."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    rev: int = 0
    item: str
    url: str = ""
    sha256: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]
    bytes: int = Field(ge=1)
    mime: str = ""
    caption: str = ""


class Hello(BaseModel):
    """`framed/frame/<f>/hello`: what this frame is."""

    v: int = 1
    name: str
    model: str = "framed reference frame"
    fw: str = __version__
    width: int
    height: int
    rotation: int
    palette: str | None = None
    formats: tuple[Format, ...]
    delivery: Literal["url", "mqtt"]
    max_bytes: int
    sleeps: bool
    wake_s: int | None = None


class Control(BaseModel):
    """`framed/frame/<f>/control`: what the daemon tells the frame to do."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    action: str
    value: Any = None
    id: str | None = None


class Report(BaseModel):
    """`framed/frame/<f>/report`: what the frame has done."""

    v: int = 1
    item: str | None = None
    shown_at: datetime | None = None
    brightness: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on the panel now."""

    item: str
    sha256: str
    path: Path
    caption: str
    at: datetime


class _TryAgain(Exception):
    """A failure that may pass, as a sentence; `say` it at once where it is not just the network."""

    def __init__(self, sentence: str, *, say: bool = False) -> None:
        super().__init__(sentence)
        self.say = say


async def run_frame(
    options: FrameClientOptions,
    *,
    shown: Callable[[Shown], Awaitable[None]] | None = None,
    controlled: Callable[[str, Any], Awaitable[None]] | None = None,
) -> None:
    """Show what the daemon says until cancelled; with `once` until one picture stands.

    `shown` is called after each new picture, `controlled` with the action and value of each control message. With
    `once` what kept the picture away is raised, or TimedOut; else it is reported, and the last picture stays.
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=180, connect=10, sock_read=30),
        headers={"User-Agent": f"framed-frame/{__version__}", "Accept-Encoding": "identity"},
    ) as session:
        frame = _Frame(options, session, shown=shown, controlled=controlled)
        if not options.once:
            await frame.run()
        try:
            async with asyncio.timeout(options.once_timeout_s):
                await frame.run()
        except TimeoutError as error:
            raise frame.trouble or TimedOut(f"No picture came for frame {options.name!r}.") from error


class _Frame:
    def __init__(
        self,
        options: FrameClientOptions,
        session: aiohttp.ClientSession,
        *,
        shown: Callable[[Shown], Awaitable[None]] | None,
        controlled: Callable[[str, Any], Awaitable[None]] | None,
    ) -> None:
        self.trouble: FramedError | None = None
        self._options = options
        self._session = session
        self._on_shown = shown
        self._on_control = controlled
        self._topics = Topics(options.base)
        self._wanted: Show | None = None
        self._image: bytes | None = None
        self._changed = asyncio.Event()
        self._image_came = asyncio.Event()
        self._on_panel: Shown | None = None
        sleeps = options.wake_s is not None
        self._client = MqttClient(
            MqttSettings.from_url(
                options.broker.get_secret_value(),
                client_id=f"framed-frame-{options.name}",
                max_binary_bytes=options.max_bytes,
            ),
            status_topic=None if sleeps else self._topics.availability(options.name),
            subscriptions=self._topics.frame_subscriptions(options.name, delivery=options.delivery),
            on_message=self._take,
            rival_remedy="give each frame a name of its own",
        )

    async def run(self) -> None:
        await asyncio.to_thread(_make_ready, self._options.out)
        await self._client.publish(self._topics.hello(self._options.name), self._hello(), retain=True)
        async with self._client:
            await self._first_word()
            while True:
                await self._changed.wait()
                self._changed.clear()
                if (show := self._wanted) is not None:
                    await self._bring_up_unless_changed(show)
                if self._options.once and self._on_panel is not None:
                    return

    async def _first_word(self) -> None:
        """A broker without framed, a framed without photos and one that refused the hello all look alike from here."""
        try:
            async with asyncio.timeout(self._options.silence_s):
                await self._changed.wait()
        except TimeoutError:
            log.warning("no picture was announced yet: is framed at this broker, has it photos, does its log name me?")

    async def _bring_up_unless_changed(self, show: Show) -> None:
        """Who presses next twice waits for one picture, not for two."""
        bringing = asyncio.create_task(self._bring_up(show), name="bring up picture")
        changed = asyncio.create_task(self._changed.wait(), name="newer picture")
        try:
            await asyncio.wait((bringing, changed), return_when=asyncio.FIRST_COMPLETED)
            if bringing.done():
                bringing.result()
        finally:
            await end_tasks(bringing, changed)

    def _hello(self) -> Hello:
        options = self._options
        others: tuple[Format, ...] = tuple(known for known in ("png", "jpeg", "bmp") if known != options.format)
        return Hello(
            name=options.title or options.name,
            width=options.size[0],
            height=options.size[1],
            rotation=options.rotation,
            palette=options.palette,
            formats=(options.format, *others),
            delivery=options.delivery,
            max_bytes=options.max_bytes,
            sleeps=options.wake_s is not None,
            wake_s=options.wake_s,
        )

    # In

    async def _take(self, incoming: Incoming) -> None:
        name, topics = self._options.name, self._topics
        if incoming.topic == topics.show(name):
            await self._take_show(incoming.payload)
        elif incoming.topic == topics.image(name):
            self._image = incoming.payload or None
            self._image_came.set()
        elif incoming.topic == topics.control(name):
            await self._take_control(incoming.payload)
        elif incoming.topic == topics.status:
            log.info("framed is", status=incoming.payload[:20].decode(errors="replace"))

    async def _take_show(self, payload: bytes) -> None:
        if not payload:  # cleared: the frame was removed there; the picture stays
            self._wanted = None
            return
        try:
            self._wanted = show = Show.model_validate_json(payload)
        except ValidationError as error:
            await self._report(Report(error=f"The show message cannot be read: {_first(error)}."))
            return
        # The broker repeats it on each connection.
        if self._on_panel is None or (self._on_panel.item, self._on_panel.sha256) != (show.item, show.sha256):
            self._changed.set()

    async def _take_control(self, payload: bytes) -> None:
        try:
            control = Control.model_validate_json(payload)
        except ValidationError as error:
            await self._report(Report(error=f"The control message cannot be read: {_first(error)}."))
            return
        log.info("told to", action=control.action, value=control.value)
        if self._on_control is not None:
            await self._on_control(control.action, control.value)
        match control:
            case Control(action="brightness", value=int(level)):
                await self._report(Report(brightness=min(100, max(0, level))))
            case Control(action="restart"):
                self._on_panel = None
                self._changed.set()

    # Out

    async def _report(self, report: Report, *, wait: bool = False) -> None:
        if report.error:
            log.warning("reported a trouble", error=report.error, item=report.item)
        await self._client.publish(self._topics.report(self._options.name), report, wait=wait)

    async def _bring_up(self, show: Show) -> None:
        """Put `show` on the panel, trying until it stands or is hopeless."""
        attempt = 0
        while True:
            try:
                await self._put_up(show)
                return
            except FramedError as error:
                await self._report(Report(item=show.item, error=error.message), wait=self._options.once)
                if self._options.once:
                    raise
                return
            except _TryAgain as error:
                attempt += 1
                self.trouble = Unavailable(str(error))
                if attempt == (1 if error.say else _TRIES_BEFORE_REPORT):
                    await self._report(Report(item=show.item, error=str(error)))
                log.info("trying again", item=show.item, attempt=attempt, reason=str(error))
            first, longest = self._options.retry_s
            await asyncio.sleep(min(longest, first * 2.0 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0))

    async def _put_up(self, show: Show) -> None:
        there = self._on_panel is not None and self._on_panel.sha256 == show.sha256
        if not there and not await asyncio.to_thread(_file_has, self._options.out, show.sha256):
            data = await self._bytes_of(show)
            self._on_panel = None
            await _to_its_end(asyncio.to_thread(_write, self._options.out, data, self._options.format))
        await self._stands(show)

    async def _stands(self, show: Show) -> None:
        at = datetime.now(UTC)
        self._on_panel = Shown(show.item, show.sha256, self._options.out, show.caption, at)
        self.trouble = None
        log.info("picture shown", item=show.item, bytes=show.bytes, file=str(self._options.out))
        await self._report(Report(item=show.item, shown_at=at), wait=self._options.once)
        if self._on_shown is not None:
            await self._on_shown(self._on_panel)

    # Bytes

    async def _bytes_of(self, show: Show) -> bytes:
        if show.bytes > self._options.max_bytes:
            limit = self._options.max_bytes
            raise TooLarge(f"The picture has {show.bytes:,} bytes; this frame takes {limit:,}.")
        data = await (self._from_mqtt(show) if self._options.delivery == "mqtt" else self._from_url(show))
        if await asyncio.to_thread(_sha256, data) != show.sha256:
            raise _TryAgain("The picture that came is not the one that was announced: its SHA-256 differs.")
        return data

    async def _from_mqtt(self, show: Show) -> bytes:
        try:
            async with asyncio.timeout(_IMAGE_WAIT_S):
                while self._image is None or await asyncio.to_thread(_sha256, self._image) != show.sha256:
                    self._image_came.clear()
                    await self._image_came.wait()
                return self._image
        except TimeoutError as error:
            raise _TryAgain(f"The picture did not come by MQTT within {_IMAGE_WAIT_S:.0f} s.") from error

    async def _from_url(self, show: Show) -> bytes:
        if urlsplit(show.url).scheme not in ("http", "https"):
            raise Refused("Pictures are fetched by http or https only.")
        try:
            async with self._session.get(show.url, max_redirects=3) as response:
                _check_answer(response, show)
                return await _read(response, self._options.max_bytes)
        except (aiohttp.InvalidURL, aiohttp.TooManyRedirects) as error:
            raise Refused("The picture's address leads nowhere.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Not the error's own text: it holds the address, and with it the frame's token.
            raise _TryAgain(f"The picture could not be fetched ({type(error).__name__}).") from error


def _check_answer(response: aiohttp.ClientResponse, show: Show) -> None:
    match response.status:
        case 200:
            pass
        case 401 | 403:
            raise _TryAgain(f"The picture server refuses this frame's token ({response.status}).", say=True)
        case 404 | 410:
            raise _TryAgain(f"The picture server does not have the picture ({response.status}).", say=True)
        case status:
            raise _TryAgain(f"The picture server answered {status}.")
    tag = (response.headers.get("ETag") or "").removeprefix("W/").strip('"').lower()
    if re.fullmatch("[0-9a-f]{64}", tag) and tag != show.sha256:
        raise _TryAgain("The picture server offers another picture than was announced.", say=True)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"The picture has more than {limit:,} bytes, which is what this frame takes.")
    return bytes(data)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """A thread cannot be stopped: when cancelled, wait for it, so that two writes never cross."""
    task = asyncio.create_task(work, name="write picture")
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_has(path: Path, sha256: str) -> bool:
    """Whether the picture stands there from an earlier run."""
    try:
        return _sha256(path.read_bytes()) == sha256
    except OSError:
        return False


def _make_ready(path: Path) -> None:
    """Raises ConfigError where no picture can be written; removes what an earlier run, killed, left half written."""
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"The picture cannot be written: {path.parent} is no folder that this user may write to.")
    unfinished = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{8}")
    for name in os.listdir(path.parent):
        if unfinished.fullmatch(name):
            path.with_name(name).unlink(missing_ok=True)


def _write(path: Path, data: bytes, wanted: Format) -> None:
    """Replace the file in one step, so that its viewer never sees half a picture."""
    found = next((known for magic, known in _MAGIC if data.startswith(magic)), None)
    if found != wanted:
        data = _converted(data, wanted)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a Pi loses power without a warning
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _TryAgain(f"The picture cannot be written: {error.strerror}.") from error


def _converted(data: bytes, wanted: Format) -> bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG", "BMP")) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise BadPhoto(f"The picture has more than {_MAX_PIXELS:,} pixels.")
            ready = picture.convert("RGB") if wanted == "jpeg" or picture.mode not in ("L", "P", "RGB") else picture
            out = BytesIO()
            ready.save(out, format=wanted.upper(), **({"quality": 92} if wanted == "jpeg" else {}))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPhoto("What came is no JPEG, PNG or BMP picture.") from error
    return out.getvalue()


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'payload'}: {problem['msg']}"
