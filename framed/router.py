"""Turns a request into a call and what it returns into the contract's response.

Handlers mark methods with `answers("verb", PayloadClass)`; the router checks the payload, calls, and always answers.
A request is idempotent by its transaction: within ten minutes the same one gets its first answer again, over restarts.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framed.errors import BadJson, BadRequest, FramedError, TooLarge, UnknownVerb
from framed.store import jobs as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

TRANSACTION_S = 600.0
MAX_PAYLOAD = 262_144
MAX_DEPTH = 32


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


class Handler(Protocol):
    """Any object with methods marked by `answers`."""


def answers(verb: str, payload: type[P]) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    def mark(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        method.__framed_verb__ = (verb, payload)  # type: ignore[attr-defined]
        return method

    return mark


class Router:
    """`add` the handlers, then `call`. Never raises but CancelledError: every outcome is a response."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._verbs: dict[str, tuple[type[Request], Callable[[Any], Awaitable[Any]]]] = {}
        self._later: dict[str, str] = {}
        self._in_flight: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def add(self, handler: Handler) -> None:
        for name in dir(handler):
            method = getattr(handler, name)
            marked = getattr(method, "__framed_verb__", None)
            if marked is not None:
                verb, payload = marked
                self._verbs[verb] = (payload, method)

    def later(self, verb: str, sentence: str) -> None:
        """A verb of the contract that this version does not do yet: answered `unavailable` with the sentence."""
        self._later[verb] = sentence

    def verbs(self) -> dict[str, type[BaseModel]]:
        return {verb: payload for verb, (payload, _) in sorted(self._verbs.items())}

    async def call(self, verb: str, payload: bytes | str | dict[str, Any], *, source: str = "") -> dict[str, Any]:
        """The response envelope. `source` only goes to the log."""
        began = time.monotonic()
        transaction: str | None = None
        try:
            document = decode(payload, bare_text=verb == "ask")
            transaction = _transaction(document)
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
        running = self._in_flight.get(transaction)
        if running is not None:
            return await asyncio.shield(running)
        done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._in_flight[transaction] = done
        try:
            since = time.time() - TRANSACTION_S
            first = await self._database.read(lambda c: rows.first_answer(c, transaction, since))
            response = first
            if response is None:
                try:
                    response = await self._answer(verb, document, transaction)
                except FramedError as error:
                    response = refusal(error, transaction)
                kept = response
                await self._database.write(lambda c: rows.keep_answer(c, transaction, verb, kept, since), durable=True)
            done.set_result(response)
            return response
        finally:
            if not done.done():
                done.cancel()
            self._in_flight.pop(transaction, None)

    async def _answer(self, verb: str, document: dict[str, Any], transaction: str | None) -> dict[str, Any]:
        if verb in self._later:
            from framed.errors import Unavailable

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
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return BadRequest(f"{field or 'The request'}: {reason[0].lower() + reason[1:]}{more}.", field=field or None)


def decode(payload: bytes | str | dict[str, Any], *, bare_text: bool = False) -> dict[str, Any]:
    """A request's JSON object; with `bare_text` a plain sentence counts as `{"text": …}`."""
    if isinstance(payload, dict):
        return payload
    if len(payload) > MAX_PAYLOAD:
        raise TooLarge(f"The request has {len(payload):,} bytes; at most {MAX_PAYLOAD:,} are taken.")
    try:
        text = payload if isinstance(payload, str) else payload.decode()
    except UnicodeDecodeError as error:
        raise BadJson("The request is not UTF-8 text.") from error
    stripped = text.strip()
    if not stripped:
        return {}
    if bare_text and stripped[0] not in "{[":
        return {"text": _unquoted(stripped)}
    _check_depth(stripped)
    try:
        document = json.loads(stripped)
    except (ValueError, RecursionError) as error:
        raise BadJson("The request is not JSON: check its quotes, commas and braces.") from error
    if not isinstance(document, dict):
        raise BadJson('The request must be a JSON object, such as {"text": "beach photos"}.')
    return document


def _unquoted(text: str) -> str:
    if text[0] == '"':
        try:
            loaded = json.loads(text)
        except ValueError:
            return text  # a sentence that merely begins with a quotation mark
        if isinstance(loaded, str):
            return loaded
    return text


def _check_depth(text: str) -> None:
    depth = 0
    for character in text:
        if character in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise BadJson(f"The request nests deeper than {MAX_DEPTH} levels.")
        elif character in "}]":
            depth -= 1


def _transaction(document: dict[str, Any]) -> str | None:
    found = document.get("transaction")
    if found is None:
        return None
    try:
        return Nothing.model_validate({"transaction": found}).transaction
    except ValidationError as error:
        raise BadRequest("transaction: use 1 to 64 letters, digits, '_' or '-'.", field="transaction") from error
