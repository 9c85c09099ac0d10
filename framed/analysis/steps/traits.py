"""Late step: scene, style, mood, composition and subject of a picture, and tags, from its vector (zero-shot)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from framed.analysis.step import LateStep, Outcome
from framed.analysis.traits import ENOUGH, MEASURED_VALUES, Sentences, Traits, fingerprint, sentences
from framed.errors import Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import Choice, choose
from framed.models.openclip_profiles import by_model
from framed.store import late, settings, vectors
from framed.store import photos as store_photos
from framed.store import traits as rows
from framed.store.database import Database
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)

SOURCE = "zeroshot"
_KEPT = "traits.sentences"
_LINES = "traits.lines"
_TEXTS = 64
_SAMPLE = 512
_CHUNK = 5_000
_PACKAGED = "It compares pictures with sentences, which needs OpenCLIP's weights: framed models pull openclip-fast"


class Measured(BaseModel):
    """`Sentences.lines` of so many photos; `of` is the model and the sentences."""

    model_config = ConfigDict(frozen=True)

    of: str
    photos: int = 0
    lines: dict[str, float] = {}


class TraitsStep(LateStep):
    name = "traits"
    version = 1
    needs = ("image_embedding",)
    batch = 64

    def __init__(self, database: Database, compute: Compute, backend: str = "auto") -> None:
        """`backend` is the choice for image_embedding: sentences are compared in the space of its vectors."""
        self._database = database
        self._compute = compute
        self._backend = backend
        self._sentences: tuple[str, Sentences] | None = None
        self._measured: Measured | None = None

    def unavailable(self) -> str | None:
        try:
            self._choice()
        except Unavailable as error:
            return error.message
        return None

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        choice = self._choice()
        said = await self._said(choice)
        ids, found = await self._database.read(
            lambda c: vectors.get(c, choice.model_id, [photo.id for photo in photos])
        )
        place = {int(photo_id): at for at, photo_id in enumerate(ids)}
        missing = Outcome("failed", problem="The vector of this picture is another model's; it waits for its own.")
        lines = await self._lines(choice, said)
        looked = await asyncio.to_thread(lambda: [said.of(vector, lines) for vector in found])
        return [
            _outcome(photo, looked[place[photo.id]], choice.model_id) if photo.id in place else missing
            for photo in photos
        ]

    def _choice(self) -> Choice:
        """Raises Unavailable where the pictures' vectors are no OpenCLIP model's, or its words cannot be had."""
        choice = choose("image_embedding", self._backend)
        if by_model(choice.model_id) is None:
            raise Unavailable(_PACKAGED)
        return choose("query_embedding", choice.backend)

    async def _said(self, choice: Choice) -> Sentences:
        """The sentences in this model's space: asked for once per model, kept in the database."""
        key = f"{choice.model_id} {fingerprint()}"
        if self._sentences is not None and self._sentences[0] == key:
            return self._sentences[1]
        kept = await self._database.read(lambda c: settings.get(c, _KEPT))
        if isinstance(kept, dict) and kept.get("of") == key:
            said = await asyncio.to_thread(Sentences.unpacked, kept)
        else:
            said = await self._ask(choice)
            packed = {"of": key, **said.packed()}
            await self._database.write(lambda c: settings.put(c, _KEPT, packed))
        self._sentences = key, said
        return said

    async def _lines(self, choice: Choice, said: Sentences) -> dict[str, float]:
        """What this model makes of what the library does not show; measured again when the library has doubled. What
        was said of photos by other lines is said anew: their vectors are there, it costs next to nothing."""
        key = f"{choice.model_id} {fingerprint()}"
        if self._measured is None or self._measured.of != key:
            kept = await self._database.read(lambda c: settings.get(c, _LINES))
            self._measured = Measured.model_validate(kept) if kept and kept.get("of") == key else Measured(of=key)
        have = await self._database.read(lambda c: vectors.count(c, choice.model_id))
        if have < max(ENOUGH, 2 * self._measured.photos):
            return self._measured.lines
        sample = await self._database.read(lambda c: vectors.sample(c, choice.model_id, _SAMPLE))
        lines = await asyncio.to_thread(said.lines, sample)
        before, self._measured = self._measured, Measured(of=key, photos=have, lines=lines)
        await self._database.write(partial(_settle, measured=self._measured, anew=lines != before.lines))
        log.info("what no photo shows was measured", model=choice.model_id, photos=have, lines=lines)
        return lines

    async def _ask(self, choice: Choice) -> Sentences:
        texts = sentences()
        log.info("the sentences that photos are compared with are read once", model=choice.model_id, count=len(texts))
        parts = []
        for start in range(0, len(texts), _TEXTS):
            inputs = {"texts": list(texts[start : start + _TEXTS])}
            call = Call(task="query_embedding", backend=choice.backend, inputs=inputs, timeout_s=600.0)
            parts.append((await self._compute.run(call))["vectors"])
        found = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(found).all():
            raise Unavailable(f"{choice.backend} gave no numbers for sentences.")
        return Sentences.ensembled(found)


def _settle(connection: Connection, *, measured: Measured, anew: bool) -> None:
    settings.put(connection, _LINES, measured.model_dump())
    after, now = 0, time.time()
    while anew and (
        ids := late.ask_anew(connection, steps=[TraitsStep.name], uid=None, since=now, after=after, limit=_CHUNK)
    ):
        after = ids[-1]


def _outcome(photo: PhotoWork, found: Traits, model: str) -> Outcome:
    result: dict[str, Any] = {
        "traits": [[trait, value, score] for trait, value, score in found.found],
        "unsure": found.unsure,
        "tags": [[name, score] for name, score in found.tags],
        "model": model,
    }
    before = photo.results.get("traits", {})
    new = _words(result) != _words(before)
    return Outcome(
        "completed",
        result,
        store=_storing(photo.id, found),
        refresh=("description", "text_embedding") if new else (),
    )


def _words(result: dict[str, Any]) -> set[str]:
    return {row[-2] for row in (*result.get("traits", []), *result.get("tags", []))}


def _storing(photo_id: int, found: Traits) -> Callable[[Connection], None]:
    def store(connection: Connection) -> None:
        rows.put(connection, photo_id, found.found, measured=False, measured_values=MEASURED_VALUES)
        store_photos.set_tags(connection, photo_id, dict(found.tags), SOURCE)

    return store
