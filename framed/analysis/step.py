"""The contract of an analysis step: what it is called, what it needs, and what comes of it.

An *examined* step runs inside a cpu host, on the one decoded picture that all of them share (decode once). A *batch*
step runs in the daemon for many photos at a time; where it needs a model it asks `Compute`.
Adding a step is one module in `analysis/steps/` and one line in `STEPS` there.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sqlalchemy import Connection

from framed.store.photos import PhotoWork

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
        """One outcome per photo, in order. An exception fails the whole batch; the pipeline then tries one by one."""


class LateStep(BatchStep):
    """A deeper look (faces, text, captions): its turn comes when every photo is through the steps that make it
    showable, and a photo is complete without it. `analysis.late` runs them, in the order of their list."""

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it cannot be done now, in a sentence (no weights, switched off); None where it can. Cheap to ask."""


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
