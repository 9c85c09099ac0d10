"""A sentence → an explained list of photos: understand, search, compose, say. Touches no frame and keeps nothing."""

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from numpy import float32
from numpy.typing import NDArray

from framed.errors import FramedError, Unavailable
from framed.models.base import Call, Compute
from framed.models.catalogue import choose
from framed.playlists.compose import Composed, compose
from framed.playlists.explain import why
from framed.playlists.grammar import parse
from framed.playlists.index import LibraryIndex
from framed.playlists.plan import AskSettings, Kind, QueryPlan
from framed.playlists.search import Found, Searcher
from framed.playlists.vocabulary import Names
from framed.store import frames as frame_rows
from framed.store import photos as photo_rows
from framed.store.database import Database
from framed.store.playlists import Item

log = structlog.get_logger(__name__)


@dataclass
class Answer:
    plan: QueryPlan
    found: Found
    composed: Composed
    cards: dict[int, dict[str, Any]]
    took_ms: dict[str, float]

    def items(self) -> list[Item]:
        return [
            Item(photo, round(self.composed.scores.get(photo, 0.0), 5), self.why(photo)) for photo in self.composed.ids
        ]

    def why(self, photo: int) -> list[str]:
        card = self.cards.get(photo)
        return why(card, self.plan, self.found) if card is not None else []


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
        self._searcher = Searcher(index=index, hemisphere=settings.hemisphere, tag_of=tag_of)
        self._vectors: dict[str, NDArray[float32]] = {}

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

    async def answer(
        self, plan: QueryPlan, *, frame_id: str | None = None, frame_filter: str = "", limit: int | None = None
    ) -> Answer:
        """`frame_filter` is the frame's own sentence of what never to show there. Waits for the index at start-up."""
        began = time.perf_counter()
        took: dict[str, float] = {}
        asked = await self._completed(plan, frame_filter)
        vector = await self._vector(asked.semantic) if asked.semantic.strip() else None
        took["embed"] = _ms(began)
        await self._index.built.wait()
        began = time.perf_counter()
        found = await self._database.read(lambda c: self._searcher.search(c, asked, vector))
        took["search"] = _ms(began)
        began = time.perf_counter()
        shown = await self._database.read(lambda c: frame_rows.shown_counts(c, frame_id)) if frame_id else {}
        seed = zlib.crc32(f"{plan.text}|{frame_id}|{int(self._clock() // 86400)}".encode())
        most = limit or self.settings.max_count
        composed = compose(found, asked, self._index.columns, shown, seed=seed, default_count=most)
        cards = await self._database.read(lambda c: photo_rows.cards(c, composed.ids))
        composed.ids = [photo for photo in composed.ids if photo in cards]
        took["compose"] = _ms(began)
        return Answer(plan, found, composed, cards, took)

    async def _completed(self, plan: QueryPlan, frame_filter: str) -> QueryPlan:
        """The plan with what never belongs on a wall unless it is asked for, and with the frame's own filter."""
        changes: dict[str, Any] = {}
        left = [kind for kind in self._without if kind not in plan.kinds and kind not in plan.kinds_none]
        if left and not plan.kinds:
            changes["kinds_none"] = [*plan.kinds_none, *left]
        if frame_filter:
            other = await self.plan(frame_filter)
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
            for key in ("orientation", "monochrome", "favourites", "some_people"):
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
            ):
                if not getattr(plan, key) and getattr(other, key):
                    changes[key] = getattr(other, key)
            changes["labels"] = {**other.labels, **plan.labels}
        return plan.model_copy(update=changes) if changes else plan

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
