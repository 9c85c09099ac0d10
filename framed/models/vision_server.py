"""Servers that put pictures into words: where they are, and one exchange with one of them.

They are asked by the daemon itself. A compute host has no network by design (and the cpu ones no sockets at all), is
given no secret, and would only sit and wait; waiting costs an event loop nothing. What comes back is text alone,
bounded in length and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import aiohttp
import structlog

from framed.errors import FramedError, TimedOut, Unavailable
from framed.models.base import Offer
from framed.models.vision_settings import ServerSettings, used

log = structlog.get_logger(__name__)

WAITS_S = (1.0, 5.0)
"""Before each further try of what may pass: a server that is loading, busy, or broke off."""
_LONGEST_WAIT_S = 30.0
_CONNECT_S = 10.0
_MOST_CHARACTERS = 8_000
_MOST_BYTES = 4_000_000
_SAID = 160
_UNPAID = ("insufficient_quota", "billing", "exceeded your")
_BLIND = ("vision", "multimodal", "does not support", "image input")


class BadAnswer(FramedError):
    """The server answered, and not with a caption; another photo, or the same one later, may fare better."""


class Again(Exception):
    """What may pass: `finally_` is what it becomes when it does not. `after`: seconds the server asked for."""

    def __init__(self, finally_: FramedError, after: float = 0.0) -> None:
        super().__init__(finally_.message)
        self.finally_ = finally_
        self.after = after


class VisionServer(Offer):
    """`caption` asks once for one picture; `open` holds the connection for several."""

    task: ClassVar[str] = "caption"
    key: ClassVar[Literal["ollama", "openai"]]

    def __init__(self, session: aiohttp.ClientSession, waits_s: Sequence[float] = WAITS_S) -> None:
        self._session = session
        self._waits_s = waits_s
        self.settings = self.configured()

    @classmethod
    def configured(cls) -> ServerSettings:
        return used().ollama if cls.key == "ollama" else used().openai

    @classmethod
    def available(cls) -> str | None:
        settings = cls.configured()
        if settings.url is None:
            return f"No server is configured: captions.{cls.key}.url in config.yaml."
        if not settings.model:
            return f"No model is configured: captions.{cls.key}.model in config.yaml."
        return None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, waits_s: Sequence[float] = WAITS_S) -> AsyncIterator[VisionServer]:
        """Goes straight to the configured host: through no proxy of the environment, and nowhere it is redirected to.

        Raises Unavailable where none is configured.
        """
        if why_not := cls.available():
            raise Unavailable(why_not)
        settings = cls.configured()
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=_CONNECT_S)
        headers = {"Accept-Encoding": "identity"}
        if settings.api_key is not None:
            headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
        async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=False) as session:
            yield cls(session, waits_s)

    async def caption(self, picture: bytes, prompt: str) -> str:
        """What the model says of a JPEG, as it said it.

        Raises Unavailable (nobody there, the model is missing, no leave, too much asked), TimedOut, BadAnswer.
        Cancelling it ends the connection, at which such servers stop computing.
        """
        return await retried(lambda: self._exchange(picture, prompt), self._waits_s)

    @abstractmethod
    async def _exchange(self, picture: bytes, prompt: str) -> str: ...

    @contextlib.asynccontextmanager
    async def _post(self, url: str, body: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request where it is a good one; every way in which it may not be becomes an error here."""
        where = f"{self.name} at {self.settings.host}"
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as response:
                if response.status != 200:
                    self._refused(response.status, response.headers, await response.content.read(65_536))
                yield response
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise Unavailable(f"{where} cannot be reached; photos get their captions when it answers.") from error
        except TimeoutError as error:
            raise TimedOut(f"{where} gave no caption in {self.settings.timeout_s:g} s.") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Again(BadAnswer(f"{where} broke off in the middle of its answer.")) from error
        except ValueError as error:  # no JSON, no UTF-8, a line without end
            raise Again(BadAnswer(f"{where} answered with something that is no caption.")) from error

    def _refused(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Raises what a status other than 200 means."""
        where = f"{self.name} at {self.settings.host}"
        said = self._redacted(message_of(body))
        if 300 <= status < 400:
            raise Unavailable(f"{where} is not there but elsewhere; set captions.{self.key}.url to where it really is.")
        if status in (401, 403):
            raise Unavailable(f"{where} refused the request; see captions.{self.key}.api_key in config.yaml.")
        if status == 404:
            raise Unavailable(self._missing(said))
        if status == 402 or any(word in said.lower() for word in _UNPAID):
            raise Unavailable(f"{where} wants to be paid first: {said}")
        if status in (429, 503):
            raise Again(Unavailable(f"{where} is busy ({said or status})."), _seconds(headers))
        if status == 400 and any(word in said.lower() for word in _BLIND):
            raise Unavailable(f"{self.settings.model} of {where} does not look at pictures: {said}")
        problem = BadAnswer(f"{where} could not do it ({said or f'status {status}'}).")
        raise Again(problem) if status >= 500 else problem

    def _missing(self, said: str) -> str:
        return f"{self.name} at {self.settings.host} has no model {self.settings.model!r} ({said or 'status 404'})."

    def _redacted(self, text: str) -> str:
        key = self.settings.api_key.get_secret_value() if self.settings.api_key else ""
        return text.replace(key, "…") if key else text


async def retried(attempt: Callable[[], Awaitable[str]], waits_s: Sequence[float]) -> str:
    for wait_s in (*waits_s, None):
        try:
            return await attempt()
        except Again as again:
            if wait_s is None:
                raise again.finally_ from again
            log.debug("a caption server is asked again", problem=again.finally_.message)
            await asyncio.sleep(max(wait_s, min(again.after, _LONGEST_WAIT_S)))
    raise AssertionError("the last try returns or raises")


async def lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """The lines of a streamed answer. Raises ValueError where it is not text or has no end."""
    read = 0
    async for line in response.content:
        read += len(line)
        if read > _MOST_BYTES:
            raise ValueError("the answer has no end")
        yield line.decode("utf-8").strip()


class Words:
    """The text of an answer as it comes in, up to a length at which it is no caption any more."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0

    def add(self, text: Any) -> bool:
        """False once there is enough. Raises ValueError where it is no text."""
        if text is None:
            return True
        if not isinstance(text, str):
            raise ValueError("words are expected")
        self._parts.append(text)
        self._length += len(text)
        return self._length < _MOST_CHARACTERS

    def __str__(self) -> str:
        return "".join(self._parts)[:_MOST_CHARACTERS]


def message_of(body: bytes | Any) -> str:
    """What an error says, in either shape: `{"error": "…"}` or `{"error": {"message": "…"}}`; one short line."""
    found = body
    if isinstance(body, bytes):
        try:
            found = json.loads(body)
        except ValueError:
            return ""
    if isinstance(found, dict):
        found = found.get("error", found)
    if isinstance(found, dict):
        found = " ".join(str(found[key]) for key in ("message", "code") if isinstance(found.get(key), str))
    return " ".join(found.split())[:_SAID] if isinstance(found, str) else ""


def object_of(text: str) -> dict[str, Any]:
    """Raises ValueError where it is no JSON object."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("an object is expected")
    return found


def _seconds(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0  # a date; the usual wait will do
