"""Which model answers requests by the pictures themselves; another one takes over at once, when it knows the library.

While photos get the new model's vectors the old one's answer. Everything follows from the rows: what stops halfway goes
on from there.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import structlog

from framed.analysis.never_there import NEVER_THERE
from framed.background import end_tasks
from framed.bus import Bus
from framed.errors import FramedError, Unavailable
from framed.events import BackendChanged, StepChanged
from framed.models.base import Compute
from framed.models.catalogue import choose
from framed.models.openclip_profiles import PROFILES, by_model
from framed.playlists.ask import query_vectors
from framed.playlists.calibration import ENOUGH, Calibration, calibrate, combined, phrased, sample_of
from framed.playlists.index import ImageSpace, LibraryIndex
from framed.store import image_model as rows
from framed.store import photos as photo_rows
from framed.store.database import Database
from framed.store.image_model import STEP, Coverage, ImageModel
from framed.wake import woken

log = structlog.get_logger(__name__)

_LOOK_S = 60.0
_SPACING_S = 1.0
_MOST_S = 5.0
_REST = 10
"""Looking takes at most a tenth of the time: photos come by the second, and counting a large library takes a while."""
_COVERED = 0.99
_LOST = 0.9
"""A model that could embed a tenth fewer photos than the one before does not replace it: it is broken."""


class ImageModels:
    """`start` after the index's `build` has begun, `wake` where a backend may have changed, `close`."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        compute: Compute,
        index: LibraryIndex,
        backend: Callable[[], str],
        version: int,
        attempts: int,
        reopened: Callable[[], None],
    ) -> None:
        """`backend` is the configuration's choice, `version` and `attempts` those of the step; `reopened` is called
        when photos want it."""
        self._database = database
        self._bus = bus
        self._compute = compute
        self._index = index
        self._backend = backend
        self._version = version
        self._attempts = attempts
        self._reopened = reopened
        self._state = ImageModel()
        self._covered = Coverage(0, 0, 0)
        self._fresh: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._calibrated_at = 0

    async def start(self) -> None:
        self._state = await self._database.read(rows.get)
        self._bus.on(StepChanged, self._stepped)
        self._bus.on(BackendChanged, self._backend_changed)
        self._task = asyncio.create_task(self._run(), name="image models")

    async def close(self) -> None:
        await end_tasks(self._task)

    def wake(self) -> None:
        self._woken.set()

    def status(self) -> dict[str, Any] | None:
        """Which model answers and, while another is to take over, how far that is; None without any."""
        state = self._state
        if state.answers is None and state.making is None:
            return None
        said: dict[str, Any] = {"model": state.answers}
        if state.making != state.answers:
            said |= {"next": state.making, "done": self._covered.have, "of": self._covered.shown}
        return said

    async def _stepped(self, event: StepChanged) -> None:
        if event.step == STEP and event.state == "completed":
            self._fresh.add(event.photo)
            self._woken.set()

    async def _backend_changed(self, event: BackendChanged) -> None:
        if event.task == STEP:
            self._woken.set()

    async def _run(self) -> None:
        await self._index.built.wait()
        opened = False
        while True:
            began = time.monotonic()
            try:
                if not opened:
                    await self._open()
                    opened = True
                await self._look()
            except FramedError as error:
                log.warning("the vectors of pictures wait", problem=error.message)
            except Exception:
                log.exception("the vectors of pictures could not be looked after")
            await asyncio.sleep(min(max(_SPACING_S, _REST * (time.monotonic() - began)), _MOST_S))
            await woken(self._woken, _LOOK_S)  # without a wake too: weights may have been put there by hand

    async def _open(self) -> None:
        """Answers by the model of last time."""
        state = self._state
        if state.answers is None or self._backend() == "off":
            return
        space = await self._index.image_space(state.answers)
        if state.calibration is not None:
            kept = Calibration.model_validate(state.calibration)
            space.judge = kept.judge(await self._database.read(lambda c: sample_of(c, space)))
            self._calibrated_at = kept.photos
        self._index.images = space
        await self._warm(state.answers)

    async def _warm(self, model: str) -> None:
        """Has the model of words loaded, so that the first request need not do without."""
        try:
            await query_vectors(self._compute, model, phrased("a photo"), interactive=False)
        except FramedError as error:
            log.warning("the pictures themselves cannot be looked through", model=model, problem=error.message)

    async def _look(self) -> None:
        fresh, self._fresh = self._fresh, set()
        if fresh:
            ids = await self._database.read(lambda c: photo_rows.ids_of(c, list(fresh)))
            await self._index.refresh(list(ids.values()))
        if self._backend() == "off":
            self._index.images = None
            return
        wanted = await asyncio.to_thread(self._wanted)
        if wanted is None:
            return
        if wanted != self._state.making:
            await self._database.write(lambda c: rows.make(c, wanted, self._version))
            self._covered = await self._read_coverage(wanted)  # first: `status` tells of both
            self._state = replace(self._state, making=wanted)
            log.info("photos are embedded by another model", model=wanted, answers=self._state.answers)
            self._reopened()
            if wanted == self._state.answers:
                await self._drop_others(wanted)  # back to the one that still answers
        self._covered = await self._read_coverage(wanted)
        if wanted == self._state.answers:
            await self._open_again(wanted)
            await self._recalibrate()
        elif await self._may_take_over(wanted):
            await self._take_over(wanted)

    def _wanted(self) -> str | None:
        try:
            model = choose(STEP, self._backend()).model_id
        except Unavailable:
            return None
        return model if by_model(model) is not None else None

    async def _read_coverage(self, model: str) -> Coverage:
        return await self._database.read(
            lambda c: rows.coverage(c, model, version=self._version, attempts=self._attempts)
        )

    async def _may_take_over(self, wanted: str) -> bool:
        """The first model answers from its first photos on; a later one when it covers what the one before did."""
        new = self._covered
        if not new.have:
            return False
        if self._state.answers is None or new.have >= _COVERED * new.shown:
            return True
        if new.left:
            return False
        if await self._database.write(lambda c: rows.reopen(c, wanted)):
            self._reopened()
            return False
        old = await self._read_coverage(self._state.answers)
        if new.have < _LOST * old.have:
            log.error(
                "the new model gave too few vectors; the old one stays", model=wanted, have=new.have, had=old.have
            )
            return False
        return True

    async def _take_over(self, model: str) -> None:
        space = await self._index.image_space(model)
        calibration = await self._calibrate(space)
        state = ImageModel(
            answers=model, making=model, calibration=calibration.model_dump() if calibration is not None else None
        )
        await self._database.write(lambda c: rows.put(c, state), durable=True)
        self._index.images = space  # at once: a request sees the old vectors or the new ones, never both
        self._state = state
        log.info("requests are answered by another model of pictures", model=model, photos=self._covered.have)
        await self._drop_others(model)

    async def _drop_others(self, model: str) -> None:
        for other in (profile.model_id for profile in PROFILES if profile.model_id != model):
            more = True
            while more:
                more = await self._database.write(lambda c, other=other: rows.drop_some(c, other))  # type: ignore[misc]

    async def _open_again(self, model: str) -> None:
        """It was switched off and is wanted again."""
        if self._index.images is None or self._index.images.model != model:
            await self._open()

    async def _recalibrate(self) -> None:
        """A library that has doubled is another one."""
        space = self._index.images
        if space is None or self._covered.have < max(ENOUGH, 2 * self._calibrated_at):
            return
        calibration = await self._calibrate(space)
        if calibration is not None:
            self._state = replace(self._state, calibration=calibration.model_dump())
            await self._database.write(lambda c: rows.put(c, self._state))

    async def _calibrate(self, space: ImageSpace) -> Calibration | None:
        """Sets the space's judge; None where the photos are too few or the model of words cannot be had."""
        columns = self._index.columns
        mask = columns.ready & ~columns.hidden
        if len(space.known(mask)) < ENOUGH:
            return None
        texts = [text for prompt in NEVER_THERE for text in phrased(prompt)]
        try:
            found = await query_vectors(self._compute, space.model, texts, interactive=False)
            prompts = [combined(pair) for pair in np.split(found, len(NEVER_THERE))]
        except (FramedError, FloatingPointError) as error:
            log.warning("where likeness ends could not be measured", model=space.model, problem=str(error))
            return None
        made = await self._database.read(lambda c: calibrate(c, space, mask, prompts))
        if made is None:
            return None
        calibration, sample = made
        space.judge = calibration.judge(sample)
        self._calibrated_at = calibration.photos
        log.info(
            "where likeness ends was measured", model=space.model, photos=calibration.photos, line=calibration.alone
        )
        return calibration
