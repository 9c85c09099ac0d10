"""What is sent to a frame and said about it: the contract's payloads, made from the frame, its state and a picture."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic_core import to_json

from framed.frames.registry import Frame

PLAYLIST_ITEMS = 20
SHOW_BYTES = 1_023
STATE_BYTES = 2_047
PLAYLIST_BYTES = 8_192


class Publisher(Protocol):
    """Where a frame's messages go: MQTT, and the pages that listen. Retained; None clears."""

    async def show(self, frame: Frame, payload: Mapping[str, Any] | None) -> None: ...
    async def image(self, frame: Frame, data: bytes | None, mime: str, sha256: str) -> None: ...
    async def playlist(self, frame: Frame, payload: Mapping[str, Any] | None) -> None: ...
    async def state(self, frame: Frame, payload: Mapping[str, Any]) -> None: ...
    async def thumb(self, frame: Frame, data: bytes) -> None: ...
    async def control(self, frame: Frame, payload: Mapping[str, Any]) -> None: ...
    async def missed(self, frame: Frame) -> None: ...


def iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def show_payload(
    *,
    base: str,
    frame: Frame,
    rev: int,
    item: str,
    photo: str,
    picture: Mapping[str, Any],
    caption: str,
    until: float | None,
) -> dict[str, Any]:
    """`framed/frame/<f>/show`, under 1 KiB: the caption gives way."""
    payload: dict[str, Any] = {
        "v": 1,
        "rev": rev,
        "item": item,
        "photo": photo,
        "url": picture_url(base, frame, picture),
        "sha256": picture["sha256"],
        "bytes": picture["bytes"],
        "mime": picture["mime"],
        "w": picture["width"],
        "h": picture["height"],
    }
    if caption:
        payload["caption"] = caption[:200]
    if until is not None:
        payload["until"] = iso(until)
    return shortened(payload, SHOW_BYTES, "caption")


def shortened(payload: dict[str, Any], most: int, *texts: str) -> dict[str, Any]:
    """At most so many bytes of JSON, because small frames have small buffers: these texts give way, the first first.
    Two hundred characters are two hundred bytes in English and eight hundred in emoji."""
    for key in texts:
        over = len(to_json(payload)) - most
        if over > 0 and payload.get(key):
            text = str(payload[key]).encode()
            kept = max(0, len(text) - over - len("…".encode()))
            payload[key] = text[:kept].decode(errors="ignore") + "…"
    return payload


def picture_url(base: str, frame: Frame, picture: Mapping[str, Any]) -> str:
    return f"{base}/p/{picture['sha256']}.{picture['ext']}?f={frame.id}&k={frame.token}"


def playlist_payload(
    *,
    base: str,
    frame: Frame,
    rev: int,
    id: str,
    name: str,
    count: int,
    items: Sequence[tuple[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """`framed/frame/<f>/playlist`: the whole list is at `url`; here are the next rendered ones, as many as fit."""
    payload: dict[str, Any] = {
        "v": 1,
        "rev": rev,
        "id": id,
        "name": name,
        "interval_s": frame.interval_s,
        "count": count,
        "url": f"{base}/frame/{frame.id}/playlist.json?k={frame.token}",
        "items": [
            {"item": item, "url": picture_url(base, frame, pic), "sha256": pic["sha256"], "bytes": pic["bytes"]}
            for item, pic in items[:PLAYLIST_ITEMS]
        ],
    }
    while payload["items"] and len(to_json(payload)) > PLAYLIST_BYTES:
        payload["items"].pop()
    return payload
