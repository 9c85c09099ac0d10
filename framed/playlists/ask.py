"""A sentence → an explained list of photos: understand, search, compose, say. Touches no frame and keeps nothing."""

import asyncio
import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import structlog
from numpy import float32
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.errors import FramedError, Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.models.openclip_profiles import by_model
from framed.playlists.calibration import combined, phrased
from framed.playlists.compose import Composed, compose
from framed.playlists.explain import why
from framed.playlists.grammar import parse
from framed.playlists.grammar_tokens import tokenise
from framed.playlists.index import NO_TIME, PRECISIONS, LibraryIndex
from framed.playlists.near_names import SURE, nearest
from framed.playlists.plan import TEXT_LIMIT, AskSettings, Kind, QueryPlan
from framed.playlists.search import Found, Meaning, Searcher
from framed.playlists.vocabulary import Names
from framed.playlists.words import WordSearch, variants
from framed.store import faces, members
from framed.store import photos as photo_rows
from framed.store.database import Database
from framed.store.playlists import Item

log = structlog.get_logger(__name__)


IMAGE_WAIT_S = 1.5
"""A request waits so long for its words in the pictures' space: where that model must be loaded first, or is in the
midst of a batch on a slow machine, the answer comes from what is known of the photos, and the next one has it."""
SHOWN_AMONG = 5000
"""Up to so many found photos, only theirs of what the frame has shown are read; of more, all."""


@dataclass
class Answer:
    plan: QueryPlan
    found: Found
    composed: Composed
    reasons: dict[int, list[str]]
    took_ms: dict[str, float]

    def items(self) -> list[Item]:
        return [
            Item(photo, round(self.composed.scores.get(photo, 0.0), 5), self.reasons[photo])
            for photo in self.composed.ids
        ]


class Asker:
    def __init__(
        self,
        *,
        database: Database,
        index: LibraryIndex,
        names: Names,
        compute: Compute,
        settings: AskSettings,
        without: tuple[Kind, ...],
        tag_of: Callable[[str], str | None],
        backend: str = "auto",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._index = index
        self._names = names
        self._compute = compute
        self.settings = settings
        self._without = without
        self._backend = backend
        self._clock = clock
        self._tag_of = tag_of
        self._searcher = Searcher(index=index, hemisphere=settings.hemisphere, tag_of=tag_of)
        self._vectors: dict[str, NDArray[float32]] = {}
        self._image_vectors: dict[tuple[str, str], NDArray[float32]] = {}
        self._embedding: dict[tuple[str, str], asyncio.Task[NDArray[float32] | None]] = {}

    def reconfigure(self, *, settings: AskSettings, without: tuple[Kind, ...], backend: str) -> None:
        """Other settings were read; they hold from the next request on."""
        if backend != self._backend:
            self._vectors.clear()
        self.settings, self._without, self._backend = settings, without, backend
        self._searcher.hemisphere = settings.hemisphere

    async def plan(self, text: str) -> QueryPlan:
        vocabulary = await self._names.get()
        now = datetime.fromtimestamp(self._clock(), UTC)
        return parse(text, vocabulary, self.settings, now)

    async def plan_of_photos(self, text: str) -> QueryPlan:
        """The plan of what can be about photos alone: where no frame is meant, "sleep" is what a photo shows."""
        plan = await self.plan(text)
        if plan.steer == "play":
            return plan.model_copy(update={"steer": None, "steer_to": None})
        return QueryPlan(text=plan.text, semantic=plan.text.lower().strip(" .,!?")) if plan.steer else plan

    async def answer(
        self,
        plan: QueryPlan,
        *,
        frame_id: str | None = None,
        frame_filter: str = "",
        limit: int | None = None,
        patience_s: float = IMAGE_WAIT_S,
    ) -> Answer:
        """`frame_filter` is the frame's own sentence of what never to show there. Waits for the index at start-up, and
        `patience_s` at most for the model that looks at the pictures themselves."""
        began = time.perf_counter()
        took: dict[str, float] = {}
        asked = await self._completed(plan, frame_filter)
        meaning, late = await self._meaning(asked.semantic, patience_s)
        took["embed"] = _ms(began)
        await self._index.built.wait()
        began = time.perf_counter()
        seed = zlib.crc32(f"{plan.text}|{frame_id}|{int(self._clock() // 86400)}".encode())
        most = limit or self.settings.max_count

        def answer(connection: Connection) -> Answer:
            found = self._searcher.search(connection, asked, meaning)
            found.late = late
            took["search"] = _ms(began)
            columns = self._index.columns
            among = found.ids.tolist() if len(found.ids) <= SHOWN_AMONG else None
            shown = np.zeros(columns.size, np.int32)
            if frame_id is not None:
                shown = members.shown_counts(connection, frame_id, columns.size, among=among)
            composed = compose(found, asked, columns, shown, seed=seed, default_count=most)
            reasons = self._reasons(connection, plan, found, composed.ids)
            took["compose"] = round(_ms(began) - took["search"], 1)
            return Answer(plan, found, composed, reasons, took)

        return await self._database.read(answer)

    async def unlooked(self, plan: QueryPlan) -> int:
        """Where a request counts people: how many photos nobody has looked through for faces."""
        counted = plan.people_min is not None or plan.people_max is not None or plan.only_people
        return await self._database.read(faces.unlooked) if counted else 0

    async def with_near_names(self, plan: QueryPlan) -> QueryPlan | None:
        """The request with the first word that misspells a name of the library written as that name."""
        vocabulary = await self._names.get()
        for token in tokenise(plan.text):
            tables = (("people", vocabulary.people), ("places", vocabulary.places))
            if token.kind != "word" or len(token.key) < SURE or token.key not in plan.semantic:
                continue
            for kind, names in tables:
                found = nearest(names, [token.key])
                if found:
                    name = vocabulary.labels.get(f"{kind}:{found[0]}", found[0])
                    read = await self.plan(f"{plan.text[: token.start]}{name}{plan.text[token.end :]}"[:TEXT_LIMIT])
                    return read.model_copy(update={"read_as": {**read.read_as, token.raw: name}})
        return None

    async def payloads(self, answer: Answer, most: int) -> list[dict[str, Any]]:
        """The first entries of an answer's `items`: what a person sees of these photos."""
        ids = answer.composed.ids[:most]
        cards = await self._database.read(lambda c: photo_rows.cards(c, ids))
        return [
            item_payload(cards[photo], answer.composed.scores.get(photo, 0.0), answer.reasons[photo])
            for photo in ids
            if photo in cards
        ]

    def _reasons(self, connection: Connection, plan: QueryPlan, found: Found, ids: list[int]) -> dict[int, list[str]]:
        """Why each is there, from what is in memory: reading the rows of five hundred photos takes 30 ms."""
        columns, wanted = self._index.columns, np.array(ids, np.int64)
        people: dict[int, list[dict[str, str]]] = {}
        places: dict[int, list[dict[str, str]]] = {}
        for table, keys, named in (
            ("person", dict.fromkeys([*plan.people_all, *plan.people_any]), people),
            ("place", dict.fromkeys(plan.places_any), places),
        ):
            for key in keys:
                name = plan.labels.get(f"{'people' if table == 'person' else 'places'}:{key}", key)
                for photo in wanted[np.isin(wanted, self._index.members(connection, table, key))].tolist():
                    named.setdefault(photo, []).append({"id": key, "name": name})
        held = {} if found.every else WordSearch(connection, self._tag_of).held(found.words, ids)
        tagged = self._tagged(connection, found, ids)
        rows = zip(
            ids,
            columns.taken[wanted].tolist(),
            columns.precision[wanted].tolist(),
            columns.favourite[wanted].tolist(),
            columns.quality[wanted].tolist(),
            strict=True,
        )
        return {
            photo: why(
                {
                    "id": photo,
                    "words": found.words if found.every else held.get(photo, []),
                    "tagged": tagged.get(photo, frozenset()),
                    "people": people.get(photo, []),
                    "places": places.get(photo, []),
                    "taken": None if taken == NO_TIME else taken,
                    "taken_precision": PRECISIONS[precision] if precision < len(PRECISIONS) else None,
                    "favourite": favourite,
                    "quality": quality or None,
                },
                plan,
                found,
            )
            for photo, taken, precision, favourite, quality in rows
        }

    def _tagged(self, connection: Connection, found: Found, ids: list[int]) -> dict[int, set[str]]:
        """Which of the words that were found are tags of each photo, and not only in what is written about it."""
        tagged: dict[int, set[str]] = {}
        holding = [photo for photo in ids if photo in found.with_words]
        for word in found.words if holding else []:
            names = {*variants(word, self._tag_of), self._tag_of(word) or word, *self._index.categories.get(word, ())}
            for photo in members.members(connection, "tags", json.dumps(sorted(names)), among=holding).tolist():
                tagged.setdefault(photo, set()).add(word)
        return tagged

    async def _completed(self, plan: QueryPlan, frame_filter: str) -> QueryPlan:
        """The plan with what never belongs on a wall unless it is asked for, and with the frame's own filter."""
        changes: dict[str, Any] = {}
        left = [kind for kind in self._without if kind not in plan.kinds and kind not in plan.kinds_none]
        if left and not plan.kinds:
            changes["kinds_none"] = [*plan.kinds_none, *left]
        if frame_filter:
            other = await self.plan_of_photos(frame_filter)
            for key in (
                "people_none",
                "places_none",
                "folders_none",
                "kinds_none",
                "tags_none",
                "semantic_none",
                "dates_none",
            ):
                extra = [value for value in getattr(other, key) if value not in getattr(plan, key)]
                if extra:
                    changes[key] = [*changes.get(key, getattr(plan, key)), *extra]
            for key in ("orientation", "monochrome", "favourites", "some_people", "people_min", "people_max"):
                if getattr(plan, key) is None and getattr(other, key) is not None:
                    changes[key] = getattr(other, key)
            for key in (
                "people_all",
                "people_any",
                "folders_any",
                "places_any",
                "tags_any",
                "kinds",
                "dates",
                "yearly",
                "seasons",
                "times_of_day",
                "clock",
                "weekdays",
            ):
                if not getattr(plan, key) and getattr(other, key):
                    changes[key] = getattr(other, key)
            changes["labels"] = {**other.labels, **plan.labels}
        return plan.model_copy(update=changes) if changes else plan

    async def _meaning(self, text: str, patience_s: float) -> tuple[Meaning, bool]:
        """What the words mean in both spaces, and whether the pictures' one was not to be had in time."""
        if not text.strip():
            return Meaning(), False
        images = self._index.images
        if images is None:
            return Meaning(await self._vector(text)), False
        own, (seen, late) = await asyncio.gather(self._vector(text), self._image_vector(text, images.model, patience_s))
        return Meaning(own, seen, images.model), late

    async def _image_vector(self, text: str, model: str, patience_s: float) -> tuple[NDArray[float32] | None, bool]:
        key = (model, text)
        if (kept := self._image_vectors.get(key)) is not None:
            return kept, False
        task = self._embedding.get(key)
        if task is None:
            task = asyncio.create_task(self._embed_image(key), name="a request's words among pictures")
            self._embedding[key] = task
            task.add_done_callback(lambda _: self._embedding.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        if not done:
            log.info("the pictures themselves were not looked through: their model is not ready yet", model=model)
            return None, True
        return task.result(), False

    async def _embed_image(self, key: tuple[str, str]) -> NDArray[float32] | None:
        model, text = key
        try:
            vector = combined(await query_vectors(self._compute, model, phrased(text)))
        except (FramedError, FloatingPointError) as error:
            log.warning("the pictures themselves are not looked through", problem=str(error))
            return None
        if len(self._image_vectors) >= 512:
            self._image_vectors.pop(next(iter(self._image_vectors)))
        self._image_vectors[key] = vector
        return vector

    async def _vector(self, text: str) -> NDArray[float32] | None:
        """The meaning's vector; the last few hundred are kept, since automations ask the same each day."""
        kept = self._vectors.get(text)
        if kept is not None:
            return kept
        try:
            chosen = choose("text_embedding", self._backend)
            call = Call(
                task="text_embedding",
                backend=chosen.backend,
                inputs={"texts": [text]},
                interactive=True,
                timeout_s=20.0,
            )
            answer = await self._compute.run(call)
        except Unavailable as error:
            log.warning("meaning is not searched, only words", problem=error.message)
            return None
        except FramedError as error:
            log.warning("the request's meaning could not be computed, only its words count", problem=error.message)
            return None
        vector: NDArray[float32] = answer["vectors"][0]
        if len(self._vectors) >= 512:
            self._vectors.pop(next(iter(self._vectors)))
        self._vectors[text] = vector
        return vector


async def query_vectors(
    compute: Compute, model: str, texts: list[str], *, interactive: bool = True
) -> NDArray[float32]:
    """The vectors of texts in the space of an image model. Raises FramedError where they cannot be had."""
    profile = by_model(model)
    if profile is None:
        raise Unavailable(f"{model} knows no language.")
    call = Call(
        task="query_embedding",
        backend=profile.backend,
        inputs={"texts": texts},
        interactive=interactive,
        timeout_s=120.0,
    )
    vectors: NDArray[float32] = (await compute.run(call))["vectors"]
    return vectors


def item_payload(card: Mapping[str, Any], score: float, reasons: list[str]) -> dict[str, Any]:
    """One entry of an answer's `items`."""
    return {
        "photo": card["uid"],
        "path": card["path"],
        "score": round(score, 4),
        "why": reasons,
        "caption": card["title"] or card["caption"] or "",
        "favourite": bool(card["favourite"]),
    }


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
