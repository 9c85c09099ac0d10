"""The contract of a model backend: the call the daemon makes, and the class a compute host runs it with."""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from framed.errors import Cancelled, FramedError

HostKind = Literal["cpu", "light", "model", "apart"]
"""Which child process runs a backend.

``cpu``: several disposable processes under resource limits; they decode and render, and read untrusted bytes.
``light``: one small process without torch, for what must answer at once (text embedding, place names).
``model``: one process per device; it holds the torch models.
``apart``: one process per backend, under the Python of an environment of its own, with the limits of ``cpu``.
"""

Where = HostKind | Literal["daemon"]
"""``daemon``: no host has a part in it; the step itself asks a server over the network, or computes nothing heavy."""


class OutOfMemory(FramedError):
    """A call wanted more memory than its host may have, in RAM or on the device; a smaller one may still succeed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One piece of work for a backend.

    ``inputs`` and ``options`` hold None, bool, int, float, str, bytes, lists, dicts with string keys and (inputs)
    numpy arrays of numbers; tuples arrive as lists. A path travels as bytes (``os.fsencode``), because a file name
    need not be text. ``options`` choose the loaded instance: calls that differ in them do not share one.
    ``timeout_s`` counts from the moment a host starts the call, loading the model included.
    ``interactive`` calls (somebody waits) overtake queued background ones; a running call is never interrupted.
    ``label`` says in the log what the call is about; it holds no secret.
    """

    task: str
    backend: str
    inputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    interactive: bool = False
    timeout_s: float = 120.0
    label: str = ""


Progress = Callable[[float, str | None], None]
"""Receives the done fraction, 0 to 1, and a note for the person who waits."""


class Compute(Protocol):
    """What runs calls: the hosts of this machine, or workers elsewhere."""

    async def run(self, call: Call, *, progress: Progress | None = None) -> dict[str, Any]:
        """The backend's answer, in the values ``Call.inputs`` may hold.

        Raises what the backend raised where that is a FramedError; OutOfMemory; Unavailable (the backend or its host
        cannot be had now); TimedOut; HostCrashed (the host died twice on this call; any other exception of the backend
        is a plain FramedError). Cancelling the awaiting task cancels the call.
        """
        ...


class Context:
    """What a running call may ask of its host."""

    def __init__(self, report: Progress | None = None) -> None:
        self._report = report
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Make the next ``progress`` or ``check`` raise. Any thread may call it."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise Cancelled once the call was cancelled; cheap enough for every step and every photo of a batch."""
        if self._cancelled.is_set():
            raise Cancelled("The work was cancelled.")

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Tell the caller how far the work is (0 to 1), and raise Cancelled once the call was cancelled."""
        self.check()
        if self._report is not None:
            self._report(min(max(fraction, 0.0), 1.0), note)


class Offer(ABC):
    """One way to do one task, as the catalogue lists it."""

    task: ClassVar[str]
    name: ClassVar[str]
    model_id: ClassVar[str] = ""
    """Names the weights; vectors of different model ids are never compared. Empty where there is no model."""

    @classmethod
    @abstractmethod
    def available(cls) -> str | None:
        """None where it can be used, else a sentence why not and the command that mends it. Imports nothing heavy."""


class Backend(Offer):
    """A way that computes. Made, loaded, run and unloaded in the main thread of a compute host only."""

    host: ClassVar[HostKind]
    memory_mb: ClassVar[int] = 0
    """What a loaded instance occupies, for the host's memory budget; 0 where it is negligible."""

    @abstractmethod
    def load(self, options: dict[str, Any], device: str) -> None:
        """Import the heavy libraries and read the weights. ``device`` is ``cpu`` or a torch device such as cuda:0."""

    @abstractmethod
    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        """Do one call; ``inputs`` and the answer as in ``Call.inputs``."""

    def unload(self) -> None:
        """Let go of the weights; the instance is dropped afterwards."""
        return


def offer_class(where: str) -> type[Offer]:
    """The class at "module:Class". Raises ImportError, AttributeError or TypeError where there is no such offer."""
    module, _, name = where.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, Offer)):
        raise TypeError(f"{where} is not a Backend")
    return found


def backend_class(where: str) -> type[Backend]:
    """An `offer_class` that computes. Raises TypeError where it does not."""
    found = offer_class(where)
    if not issubclass(found, Backend):
        raise TypeError(f"{where} is not a Backend")
    return found
