"""Turns a request into a call and what it returns into the contract's response.

Handlers mark methods with `answers("verb", PayloadClass)`; the router checks the payload, calls, and always answers.
A request is idempotent by its transaction: within ten minutes the same one gets its first answer again, over restarts.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framed import strict_json
from framed.clock import steady
from framed.errors import BadJson, BadRequest, Busy, FramedError, Refused, TooLarge, Unavailable, UnknownVerb
from framed.store import jobs as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

TRANSACTION_S = 600.0
MAX_PAYLOAD = 262_144
LONGEST_FIELD = 100
PASSING = frozenset({"busy", "not_ready", "timeout", "cancelled", "internal"})
"""Errors that the same request may not meet again: they are not kept as its first answer."""


class Request(BaseModel):
    """What every request may carry; unknown keys are ignored (contract)."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    transaction: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Nothing(Request):
    """A request without fields."""


P = TypeVar("P", bound=Request)


@dataclass(frozen=True)
class Accepted:
    """Long work was queued: answered at once with the job, and again when the job has finished."""

    job: str


class Door:
    """Lets `at_once` requests in side by side and the next ones wait; beyond `most` they hear `busy`, so that a flood
    costs neither memory nor everybody's patience."""

    def __init__(self, *, at_once: int = 16, most: int = 200) -> None:
        self._room = asyncio.Semaphore(at_once)
        self._most = most
        self._present = 0

    def enter(self) -> AbstractAsyncContextManager[None]:
        """A place, to be entered later; raises Busy."""
        if self._present >= self._most:
            raise Busy("framed has too many requests waiting; try again in a moment.")
        self._present += 1
        return self._inside()

    @asynccontextmanager
    async def _inside(self) -> AsyncIterator[None]:
        try:
            async with self._room:
                yield
        finally:
            self._present -= 1


class Handler(Protocol):
    """Any object with methods marked by `answers`."""


def answers(
    verb: str, payload: type[P], *, secret: bool = False
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """`secret`: the answer holds a password, so it never goes where others listen, which is every MQTT topic."""

    def mark(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        method.__framed_verb__ = (verb, payload)  # type: ignore[attr-defined]
        method.__framed_secret__ = secret  # type: ignore[attr-defined]
        return method

    return mark


class Router:
    """`add` the handlers, then `call`. Never raises but CancelledError: every outcome is a response."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._verbs: dict[str, tuple[type[Request], Callable[[Any], Awaitable[Any]]]] = {}
        self._later: dict[str, str] = {}
        self._secret: set[str] = set()
        self._in_flight: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}

    def add(self, handler: Handler) -> None:
        for name in dir(handler):
            method = getattr(handler, name)
            marked = getattr(method, "__framed_verb__", None)
            if marked is not None:
                verb, payload = marked
                self._verbs[verb] = (payload, method)
                if method.__framed_secret__:
                    self._secret.add(verb)

    def later(self, verb: str, sentence: str) -> None:
        """A verb of the contract that this version does not do yet: answered `unavailable` with the sentence."""
        self._later[verb] = sentence

    def verbs(self) -> dict[str, type[BaseModel]]:
        return {verb: payload for verb, (payload, _) in sorted(self._verbs.items())}

    async def call(
        self, verb: str, payload: bytes | str | dict[str, Any], *, source: str = "", overheard: bool = False
    ) -> dict[str, Any]:
        """The response envelope. `source` only goes to the log; `overheard`: others can read the answer."""
        began = time.monotonic()
        transaction: str | None = None
        try:
            document = decode(payload, bare_text=verb == "ask")
            transaction = _transaction(document)
            if overheard and verb in self._secret:
                raise Refused("The answer holds a password, so it is given over HTTP only, not on an MQTT topic.")
            response = await self._once(verb, document, transaction)
        except FramedError as error:
            response = refusal(error, transaction)
        except Exception:
            log.exception("a request failed", verb=verb, source=source)
            response = refusal(FramedError("Something went wrong inside framed; its log says what."), transaction)
        log.info(
            "request answered",
            verb=verb if verb in self._verbs or verb in self._later else "?",
            status=response["status"],
            source=source,
            ms=round((time.monotonic() - began) * 1000, 1),
            **({"code": response["error"]["code"]} if "error" in response else {}),
        )
        return response

    async def _once(self, verb: str, document: dict[str, Any], transaction: str | None) -> dict[str, Any]:
        if transaction is None:
            return await self._answer(verb, document, None)
        key = (transaction, verb)
        running = self._in_flight.get(key)
        if running is not None:
            return await asyncio.shield(running)
        done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = done
        try:
            response = await self._first_or_new(verb, document, transaction)
            done.set_result(response)
            return response
        except BaseException:
            # whoever asked the same meanwhile is answered too
            done.set_result(refusal(FramedError("The same request was just broken off; send it again."), transaction))
            raise
        finally:
            del self._in_flight[key]

    async def _first_or_new(self, verb: str, document: dict[str, Any], transaction: str) -> dict[str, Any]:
        since = steady() - TRANSACTION_S
        # Home Assistant's context.id is the same for every request of one automation run: the verb belongs to the key.
        kept_as = f"{verb} {transaction}"
        first = await self._database.read(lambda c: rows.first_answer(c, kept_as, since))
        if first is not None:
            return first
        try:
            response = await self._answer(verb, document, transaction)
        except FramedError as error:
            response = refusal(error, transaction)
            if error.code in PASSING:
                return response
        await self._database.write(lambda c: rows.keep_answer(c, kept_as, verb, response, since), durable=True)
        return response

    async def _answer(self, verb: str, document: dict[str, Any], transaction: str | None) -> dict[str, Any]:
        if verb in self._later:
            raise Unavailable(self._later[verb])
        known = self._verbs.get(verb)
        if known is None:
            raise UnknownVerb(f"framed knows no request of that name. It knows: {', '.join(sorted(self._verbs))}.")
        payload, method = known
        try:
            request = payload.model_validate(document)
        except ValidationError as error:
            raise bad_request(error) from error
        result = await method(request)
        response: dict[str, Any] = {"v": 1, "status": "ok"}
        if isinstance(result, Accepted):
            response = {"v": 1, "status": "accepted"}
            result = {"job": result.job}
        if transaction is not None:
            response["transaction"] = transaction
        response["data"] = result if result is not None else {}
        return response


def refusal(error: FramedError, transaction: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.field is not None:
        said["field"] = error.field
    response: dict[str, Any] = {"v": 1, "status": "error", "data": {}, "error": said}
    if transaction is not None:
        response["transaction"] = transaction
    return response


def bad_request(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])[:LONGEST_FIELD]
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return BadRequest(f"{field or 'The request'}: {reason[0].lower() + reason[1:]}{more}.", field=field or None)


def decode(payload: bytes | str | dict[str, Any], *, bare_text: bool = False) -> dict[str, Any]:
    """A request's JSON object; with `bare_text` a plain sentence counts as `{"text": …}`."""
    if isinstance(payload, dict):
        return payload
    if len(payload) > MAX_PAYLOAD:
        raise TooLarge(f"The request is over {MAX_PAYLOAD:,} bytes, the most that is taken.")
    try:
        text = (payload if isinstance(payload, str) else payload.decode()).strip()
    except UnicodeDecodeError as error:
        raise BadJson("The request is not UTF-8 text.") from error
    if bare_text and text and text[0] not in "{[":
        return strict_json.read_object(json.dumps({"text": _unquoted(text)}))
    return strict_json.read_object(text)


def _unquoted(text: str) -> str:
    if text[0] == '"':
        try:
            loaded = json.loads(text)
        except ValueError:
            return text  # a sentence that merely begins with a quotation mark
        if isinstance(loaded, str):
            return loaded
    return text


def _transaction(document: dict[str, Any]) -> str | None:
    found = document.get("transaction")
    if found is None:
        return None
    try:
        return Nothing.model_validate({"transaction": found}).transaction
    except ValidationError as error:
        raise BadRequest("transaction: use 1 to 64 letters, digits, '_' or '-'.", field="transaction") from error
