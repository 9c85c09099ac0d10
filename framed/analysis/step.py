"""The contract of an analysis step: what it is called, what it needs, and what comes of it.

An *examined* step runs inside a cpu host, on the one decoded picture that all of them share (decode once). A *batch*
step runs in the daemon for many photos at a time; where it needs a model it asks `Compute`.
Adding a step is one module in `analysis/steps/` and one line in `STEPS` there.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import structlog
from sqlalchemy import Connection

from framed.errors import FramedError, Unavailable
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)

State = Literal["completed", "failed", "unavailable", "skipped"]
"""skipped: there was nothing to do for this photo (no GPS, no text). unavailable: its backend cannot be had now; of a
late step no row is written then, and the step rests for a while."""


@dataclass(frozen=True)
class Outcome:
    """What came of a step: its result (kept as JSON with the step's row) or the problem, and what else to store."""

    state: State
    result: dict[str, Any] | None = None
    problem: str | None = None
    store: Callable[[Connection], None] | None = None
    refresh: tuple[str, ...] = ()
    """Steps of this photo that are done again because of this result, such as its description. For late steps."""


class Step(ABC):
    name: ClassVar[str]
    version: ClassVar[int]
    """Rises when the output changes; the pipeline then redoes this step and those that need it."""
    needs: ClassVar[tuple[str, ...]] = ()


class ExaminedStep(Step):
    """`analysis.examine` calls `look` of the same module in the cpu host; `keep` stores what it gave."""

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        """Writes the result into the columns and tables that search reads. Called in a write transaction."""
        return


class BatchStep(Step):
    batch: ClassVar[int] = 32

    @abstractmethod
    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        """One outcome per photo, in order. Whatever it raises, `attempted` makes outcomes of."""


class LateStep(BatchStep):
    """A deeper look (faces, text, captions): its turn comes when every photo is through the steps that make it
    showable, and a photo is complete without it. `analysis.late` runs them, in the order of their list."""

    spares_unseen: ClassVar[bool] = False
    """What it finds is there to be shown, at a cost: hidden photos, and copies that another one stands for, go without
    until they are seen; the shots of a burst that its best one stands for come after all others."""

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot be done now, in a sentence (no weights, switched off); None where it can. Cheap to ask."""


Take = Callable[[Sequence[PhotoWork]], Awaitable[list[Outcome]]]


async def attempted(step: str, take: Take, photos: Sequence[PhotoWork]) -> list[Outcome]:
    """What came of `take`, one outcome per photo whatever it raises. Where a batch fails its photos are tried one by
    one, so that a bad one does not cost the others theirs; where the backend is away no other photo is tried."""
    try:
        return await take(photos)
    except Exception as error:
        if len(photos) == 1 or isinstance(error, Unavailable):
            return [_failure(step, photo, error) for photo in photos]
    outcomes: list[Outcome] = []
    for photo in photos:
        away = bool(outcomes) and outcomes[-1].state == "unavailable"
        outcomes += [outcomes[-1]] if away else await attempted(step, take, [photo])
    return outcomes


def _failure(step: str, photo: PhotoWork, error: Exception) -> Outcome:
    if isinstance(error, FramedError):
        return Outcome("unavailable" if isinstance(error, Unavailable) else "failed", problem=error.message)
    log.error("a step failed", step=step, photo=photo.uid, exc_info=error)
    return Outcome("failed", problem=f"{step} failed on this photo.")


def ordered(steps: Sequence[Step]) -> list[Step]:
    """The steps with every one after those it needs, otherwise as listed. ValueError: a need is missing or circular."""
    left, done, result = list(steps), set[str](), list[Step]()
    while left:
        ready = next((step for step in left if set(step.needs) <= done), None)
        if ready is None:
            raise ValueError(
                f"steps wait for each other or for one that does not exist: {[step.name for step in left]}"
            )
        left.remove(ready)
        done.add(ready.name)
        result.append(ready)
    return result


def dependents(steps: Sequence[Step], changed: set[str]) -> set[str]:
    """The steps that must be redone when these change."""
    stale = set(changed)
    for step in ordered(steps):
        if stale & set(step.needs):
            stale.add(step.name)
    return stale - changed
