"""What has happened: one frozen class each, in the past tense. Delivered by `bus.py`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FilesFound:
    """The scanner stored files that want reading."""

    count: int


@dataclass(frozen=True)
class PhotoAdded:
    photo: str
    path: str


@dataclass(frozen=True)
class StepChanged:
    """A step of a photo went to another state: pending, running, completed, failed, unavailable, skipped."""

    photo: str
    step: str
    state: str
    problem: str | None = None


@dataclass(frozen=True)
class PhotoAnalysed:
    photo: str
    photo_id: int
    state: str  # completed or partial


@dataclass(frozen=True)
class PhotoFailed:
    """A file that cannot be read, or a photo none of whose steps succeeded. `photo` is None for a file."""

    photo: str | None
    path: str
    problem: str


@dataclass(frozen=True)
class PhotoGone:
    photo: str
    photo_id: int


@dataclass(frozen=True)
class PhotoChanged:
    """Something a person decided: favourite, hidden, tagged."""

    photo: str
    photo_id: int
    what: str


@dataclass(frozen=True)
class ScanFinished:
    seconds: float
    files: int
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PlaylistChanged:
    playlist: str
    name: str
    count: int
    frames: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FrameSaid:
    """A frame's hello, report, availability or command, from MQTT or HTTP; `payload` is checked already. `kept`: the
    broker has kept it since some earlier time, so that it does not say that the frame is there now."""

    frame: str
    what: str
    payload: dict[str, Any]
    kept: bool = False


@dataclass(frozen=True)
class FrameOnline:
    frame: str


@dataclass(frozen=True)
class FrameOffline:
    frame: str


@dataclass(frozen=True)
class FrameFailed:
    frame: str
    problem: str


@dataclass(frozen=True)
class FrameWishesChanged:
    """What a frame is never to show, or what it shows when asked for nothing, is another by the configuration."""

    frame: str


@dataclass(frozen=True)
class JobChanged:
    job: dict[str, Any]


@dataclass(frozen=True)
class JobFailed:
    id: str
    kind: str
    problem: str


@dataclass(frozen=True)
class BackendChanged:
    task: str
    backend: str
    state: str
    reason: str | None = None
