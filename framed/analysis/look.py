"""What those late steps share that have a model look at previews: which one, at how many photos in one call."""

import asyncio
import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Outcome, attempted
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import Choice, choose
from framed.store.photos import PhotoWork


class PreviewLook(LateStep):
    """The step is named after its task. `outcomes` reads the answer of one call."""

    needs: ClassVar[tuple[str, ...]] = ("preview",)
    timeout_s: ClassVar[tuple[float, float]] = (300.0, 0.0)
    """Of a call, and more for each of its photos."""

    def __init__(self, compute: Compute, previews: Previews, backend: str = "auto") -> None:
        self._compute = compute
        self._previews = previews
        self._backend = backend

    def choice(self) -> Choice:
        """Who looks now. Raises Unavailable."""
        return choose(self.name, self._backend)

    def unavailable(self) -> str | None:
        try:
            return self.needless(self.choice())
        except Unavailable as error:
            return error.message

    def needless(self, chosen: Choice) -> str | None:
        """Why this backend has nothing to look at, in a sentence."""
        return None

    def together(self, chosen: Choice) -> int:
        """Photos in one call. Several calls of a batch run side by side, and a request overtakes those that wait."""
        return self.batch

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        chosen = self.choice()
        size = self.together(chosen)
        look = partial(self._look, chosen=chosen)
        calls = [attempted(self.name, look, photos[at : at + size]) for at in range(0, len(photos), size)]
        return [outcome for outcomes in await asyncio.gather(*calls) for outcome in outcomes]

    async def _look(self, photos: Sequence[PhotoWork], *, chosen: Choice) -> list[Outcome]:
        paths = [os.fsencode(await self._previews.ensure(photo)) for photo in photos]
        first_s, each_s = self.timeout_s
        call = Call(
            task=self.name,
            backend=chosen.backend,
            inputs=self.inputs(photos, paths),
            options=await asyncio.to_thread(self.options, chosen),
            timeout_s=first_s + each_s * len(photos),
            label=photos[0].uid,
        )
        return self.outcomes(photos, await self._compute.run(call), chosen)

    def inputs(self, photos: Sequence[PhotoWork], paths: list[bytes]) -> dict[str, Any]:
        """What the backend is given, beside the paths of the previews."""
        return {"paths": paths}

    def options(self, chosen: Choice) -> dict[str, Any]:
        """What the backend is loaded with. In a thread: it may look at a disk."""
        return {}

    @abstractmethod
    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]: ...
