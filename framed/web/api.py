"""JSON over HTTP: reading a request safely, the response envelope, error codes as statuses, OpenAPI."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from framed import __version__, strict_json
from framed.errors import BadRequest, FramedError, TimedOut, TooLarge
from framed.web.auth import NotSignedIn, TooManyAttempts

BODY_LIMIT = 1 << 20
BODY_S = 30.0

STATUS_OF_CODE = {
    "bad_json": 400,
    "bad_request": 400,
    "unknown_verb": 404,
    "unknown_frame": 404,
    "unknown_photo": 404,
    "unknown_playlist": 404,
    "unknown_person": 404,
    "busy": 503,
    "too_large": 413,
    "bad_photo": 422,
    "expired": 410,
    "not_ready": 503,
    "unavailable": 503,
    "cancelled": 409,
    "timeout": 504,
    "refused": 403,
    "internal": 500,
}


class UnsupportedMedia(BadRequest):
    """A body that is not JSON by its own word: 415."""


class UnknownAddress(BadRequest):
    """No such route: 404."""


class WrongMethod(BadRequest):
    """The route is there, not for this method: 405."""


def status_of(error: FramedError) -> int:
    match error:
        case NotSignedIn():
            return 401
        case TooManyAttempts():
            return 429
        case UnsupportedMedia():
            return 415
        case UnknownAddress():
            return 404
        case WrongMethod():
            return 405
        case _:
            return STATUS_OF_CODE.get(error.code, 500)


def error_envelope(error: FramedError) -> dict[str, Any]:
    detail: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.field is not None:
        detail["field"] = error.field
    return {"v": 1, "status": "error", "data": {}, "error": detail}


def error_response(error: FramedError) -> web.Response:
    response = json_response(error_envelope(error), status=status_of(error))
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(error.retry_s)
    elif response.status == 503:
        response.headers["Retry-After"] = "10"
    elif response.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="framed"'
    return response


def json_response(data: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return web.json_response(data, status=status, dumps=dumps, headers={"Cache-Control": "no-store"})


def dumps(data: Any) -> str:
    """Compact ASCII JSON: no lone surrogate and no line separator can break what carries it."""
    return json.dumps(data, separators=(",", ":"), default=str)


def envelope_response(envelope: Mapping[str, Any]) -> web.Response:
    """A verb's answer with the status that fits it: 200, 202 for accepted work, the error's own."""
    if envelope.get("status") == "error":
        error = envelope.get("error") or {}
        return json_response(envelope, status=STATUS_OF_CODE.get(str(error.get("code")), 500))
    return json_response(envelope, status=202 if envelope.get("status") == "accepted" else 200)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. An empty body is an empty object. Raises UnsupportedMedia, TooLarge, BadJson,
    BadRequest, and TimedOut for a body that takes longer than half a minute."""
    if request.content_type != "application/json":
        raise UnsupportedMedia("Send JSON with the header Content-Type: application/json.")
    if request.content_length is not None and request.content_length > BODY_LIMIT:
        raise TooLarge("The body is over one megabyte.")
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.read()
    except TimeoutError:
        raise TimedOut("The body did not arrive in time.") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge("The body is over one megabyte.") from None
    return strict_json.read_object(body)


ENVELOPE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["v", "status"],
    "properties": {
        "v": {"const": 1},
        "status": {"enum": ["ok", "accepted", "error"]},
        "transaction": {"type": "string"},
        "data": {"type": "object"},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"enum": sorted(STATUS_OF_CODE)},
                "message": {"type": "string"},
                "field": {"type": "string"},
            },
        },
    },
}


def openapi(verbs: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """OpenAPI 3.1 of the verbs, from the classes that validate them."""
    classes = list(dict.fromkeys(verbs.values()))
    references, definitions = models_json_schema(
        [(one, "validation") for one in classes], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "framed", "version": __version__, "description": "Photos and art on the frames of a home."},
        "security": [{"bearer": []}, {"session": []}],
        "paths": {
            f"/api/v1/{verb}": {"post": _operation(verb, payload, references[(payload, "validation")])}
            for verb, payload in sorted(verbs.items())
        },
        "components": {
            "schemas": {**definitions.get("$defs", {}), "ResponseEnvelope": ENVELOPE_SCHEMA},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "framed_session"},
            },
        },
    }


def _operation(verb: str, payload: type[BaseModel], reference: Mapping[str, Any]) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ResponseEnvelope"}}}}
    return {
        "operationId": verb.replace("/", "_"),
        "tags": [verb.partition("/")[0]],
        "summary": (payload.__doc__ or verb).strip().partition("\n")[0],
        "requestBody": {"required": True, "content": {"application/json": {"schema": dict(reference)}}},
        "responses": {
            "200": {"description": "Done", **answer},
            "202": {"description": "Accepted; follow the job in data.job", **answer},
            "default": {"description": "An error of the contract", **answer},
        },
    }
