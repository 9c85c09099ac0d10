"""What may be published, and its bytes."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

Payload = bytes | str | BaseModel | Mapping[str, Any]


def encode(payload: Payload) -> tuple[bytes, bool]:
    """The bytes to send, and whether they are binary (else text or JSON)."""
    match payload:
        case bytes():
            return payload, True
        case str():
            return payload.encode(), False
        case BaseModel():
            return payload.model_dump_json(exclude_none=True, by_alias=True).encode(), False
        case _:
            return to_json(payload), False
