"""QueryPlan → scored photos: masks first, words and meaning inside the mask, fused by rank, cut where it is noise."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.models.openclip_profiles import by_model
from framed.playlists import categories
from framed.playlists.calibration import Line, usual_line
from framed.playlists.categories import LISTING
from framed.playlists.index import UNKNOWN, ImageSpace, LibraryIndex
from framed.playlists.masks import Filters, Mask, Masked, hours
from framed.playlists.plan import QueryPlan
from framed.playlists.words import MOST_HITS, Frequencies, WordHits, WordSearch, terms, variants
from framed.store import vectors

RRF_K = 60
WIDER_DAYS = 10
MEANT_EXACTLY = 1000
"""Of the photos with one word of several, so many are compared with the whole request."""


@dataclass(frozen=True)
class Cutoff:
    """Cosines under which a model's neighbours are noise. `alone`: nothing else speaks for the photo; `beside`: there
    are photos that hold the very words, and another one must be that much closer in meaning."""

    alone: float
    beside: float


CUTOFFS = {"all-minilm-l6-v2": Cutoff(alone=0.40, beside=0.55)}
_USUAL_COSINE = 0.2
_ADVERB = re.compile(
    r"(in|on|at|during|over|around|from|last|this|yesterday|today|since|before|after|until|older|newer|between|"
    r"\w+ \w+ ago)\b",
    re.IGNORECASE,
)
_DAY = re.compile(r"^\d{1,2}\W|(day|eve)\b")


@dataclass(frozen=True)
class Meaning:
    """The vectors of what a request says: `text` to compare with descriptions, `image` with the pictures of the model
    `image_model`; None where it could not be had."""

    text: NDArray[np.float32] | None = None
    image: NDArray[np.float32] | None = None
    image_model: str = ""


@dataclass
class Found:
    """What a search gave. `ids` best first with `scores`; `words` were found as such in `with_words`, all of them in
    each where `every`."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    words: list[str] = field(default_factory=list)
    with_words: set[int] = field(default_factory=set)
    every: bool = True
    likeness: dict[int, float] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)  # alike by the picture itself, not by its description
    relaxed: list[str] = field(default_factory=list)
    dropped: tuple[str, ...] = ()  # fields of the plan that these photos need not meet
    left_out: dict[str, int] = field(default_factory=dict)
    allowed: int = 0
    excluded: str = ""  # what was asked for, and is left out here
    late: bool = False
    """The pictures themselves were not looked through: the model for that was not ready in time."""


class Searcher:
    """`search` runs in a reader thread: pure reading, no waiting on models (the query's vector is handed in)."""

    def __init__(self, *, index: LibraryIndex, hemisphere: str, tag_of: Callable[[str], str | None]) -> None:
        self._index = index
        self.hemisphere = hemisphere
        self._tag_of = tag_of
        self._frequencies = Frequencies()

    def search(self, connection: Connection, plan: QueryPlan, meaning: Meaning) -> Found:
        """Relaxes in order where nothing is left: dates by ten days, town to region, and last the meaning."""
        found = self._try(connection, plan, meaning)
        if len(found.ids) or found.excluded:
            return found
        for relax in (self._wider_dates, self._wider_places, self._without_meaning):
            relaxed = relax(connection, plan, meaning)
            if relaxed is not None and len(relaxed.ids):
                return relaxed
        return found

    # -- relaxing ------------------------------------------------------------------------------------------------

    def _wider_dates(self, connection: Connection, plan: QueryPlan, meaning: Meaning) -> Found | None:
        if not plan.dates:
            return None
        found = self._try(connection, plan, meaning, widen_days=WIDER_DAYS)
        said = plan.dates[0].said or "those dates"
        found.dropped = ("dates",)
        found.relaxed.append(f"nothing was taken {_when(said)}, so up to {WIDER_DAYS} days before and after count too")
        return found

    def _wider_places(self, connection: Connection, plan: QueryPlan, meaning: Meaning) -> Found | None:
        if not plan.places_any:
            return None
        around = self._around(connection, plan.places_any)
        if not around:
            return None
        found = self._try(connection, plan, meaning, places=list(around))
        name = plan.labels.get(f"places:{plan.places_any[0]}", plan.places_any[0])
        found.dropped = ("places_any",)
        found.relaxed.append(
            f"nothing matched in {name} itself, so its surroundings ({', '.join(around.values())}) count too"
        )
        return found

    def _without_meaning(self, connection: Connection, plan: QueryPlan, meaning: Meaning) -> Found | None:
        """Only where something definite is left to go by: a person, a place, a folder or a date."""
        who_or_where = plan.people_all or plan.people_any or plan.places_any or plan.folders_any
        definite = bool(who_or_where or plan.dates or plan.yearly or plan.seasons or plan.clock)
        if not plan.semantic or not definite or plan.unknown_names or plan.unknown_places:
            return None
        bare = plan.model_copy(update={"semantic": "", "tags_any": []})
        found = self._try(connection, bare, Meaning())
        found.dropped = ("semantic",)
        found.relaxed.append(f"nothing there is known to show “{plan.semantic}”")
        return found

    def _around(self, connection: Connection, slugs: list[str]) -> dict[str, str]:
        from sqlalchemy import select

        from framed.store.tables import photo_places, places

        inside = select(photo_places.c.photo_id).join(places).where(places.c.slug.in_(slugs)).limit(200)
        query = (
            select(places.c.slug, places.c.name)
            .distinct()
            .join(photo_places)
            .where(photo_places.c.photo_id.in_(inside), places.c.level == "region")
            .limit(3)
        )
        return {row.slug: row.name for row in connection.execute(query)}

    # -- one try -------------------------------------------------------------------------------------------------

    def _try(
        self,
        connection: Connection,
        plan: QueryPlan,
        meaning: Meaning,
        *,
        widen_days: int = 0,
        places: list[str] | None = None,
    ) -> Found:
        filters = Filters(
            index=self._index, connection=connection, plan=plan, hemisphere=self.hemisphere, widen_days=widen_days
        )
        if plan.unknown_names and not (plan.people_all or plan.people_any):
            return Found(np.empty(0, np.int64), np.empty(0, np.float32))
        if plan.unknown_places and not plan.places_any:
            return Found(np.empty(0, np.int64), np.empty(0, np.float32))
        masked = filters.masked(places=places)
        words = WordSearch(connection, self._tag_of, self._frequencies)
        mask = self._holding(words, plan, masked)
        total = int(self._index.columns.ready.sum())
        allowed = int(mask.sum())
        if not allowed:
            return Found(np.empty(0, np.int64), np.empty(0, np.float32), left_out=masked.left_out)
        if excluded := self._excluded(plan):
            count = len(words.holding([excluded], mask))
            left_out = {**masked.left_out, **({f"photos with {excluded}": count} if count else {})}
            return Found(*_nothing(), left_out=left_out, excluded=excluded)
        if plan.semantic.strip():
            found = self._by_meaning(connection, words, plan, mask, meaning, total)
        else:
            ids = np.flatnonzero(mask)
            found = Found(ids, np.ones(len(ids), np.float32))
        if plan.semantic_none:
            found = self._not_meaning(words, plan, mask, found, masked)
        return replace(found, left_out=masked.left_out, allowed=allowed)

    def _excluded(self, plan: QueryPlan) -> str | None:
        """What the request asks for and may not have: "cats" on a frame without cats. What resembles them is none."""
        if LISTING.search(plan.semantic):
            return None  # "cats and dogs": the dogs
        asked = {form for word in terms(plan.semantic) for form in variants(word, self._tag_of)}
        for phrase in [*plan.semantic_none, *plan.tags_none]:
            said = terms(phrase)
            if len(said) == 1 and said[0] in asked:  # "chairs at the beach, no beach chairs" is no contradiction
                return phrase
        return None

    @staticmethod
    def _holding(words: WordSearch, plan: QueryPlan, masked: Masked) -> Mask:
        """Colours and text in the picture are looked up as words, and must be there."""
        must = [*plan.colours, *plan.must_text]
        if not must:
            return masked.mask
        kept = np.zeros_like(masked.mask)
        kept[words.holding(must, masked.mask)] = True
        return masked.mask & kept

    def _by_meaning(
        self,
        connection: Connection,
        words: WordSearch,
        plan: QueryPlan,
        mask: Mask,
        meaning: Meaning,
        total: int,
    ) -> Found:
        """What holds the words, what is described alike and what looks like it, each ranked, fused by rank."""
        text = self._index.text
        hits = categories.find(words, self._index, connection, plan, mask, total)
        by_vector, cosines = text.nearest(connection, mask, meaning.text) if meaning.text is not None else _nothing()
        cutoff = CUTOFFS.get(text.model, Cutoff(0.4, 0.5))
        near = by_vector[cosines >= (cutoff.beside if hits.whole else cutoff.alone)]
        seen, products = self._seen(connection, mask, meaning, beside=hits.whole)
        by_words = self._meant(connection, hits, meaning.text, cutoff, seen)[:MOST_HITS]
        if plan.light:
            near, seen = (ids[self._lit(ids, plan)] for ids in (near, seen))
        ids, scores = _fused(by_words, near, seen)
        likeness = dict(zip(seen.tolist(), np.round(products, 3).tolist(), strict=True))
        likeness.update(zip(by_vector.tolist(), np.round(cosines, 3).tolist(), strict=True))
        return Found(
            ids,
            scores,
            words=hits.words,
            every=hits.every,
            with_words=set(by_words.tolist()),
            likeness=likeness,
            seen=set(seen.tolist()),
        )

    def _lit(self, ids: NDArray[np.int64], plan: QueryPlan) -> NDArray[np.bool_]:
        """Whether the sun could stand so: a likely sunset of noon is none, one without a time may be."""
        columns = self._index.columns
        fitting: NDArray[np.bool_] = (hours(columns, plan.light) | (columns.hour == UNKNOWN))[ids]
        return fitting

    def _seen(
        self, connection: Connection, mask: Mask, meaning: Meaning, *, beside: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The photos that look like what was asked, best first, those under the model's line left out."""
        images = self._index.images
        if meaning.image is None or images is None or images.model != meaning.image_model:
            return _nothing()  # another model has taken over meanwhile: two models' vectors are never compared
        line = _line(images, meaning.image)
        found, products = images.nearest(connection, mask, line.vector)
        close = products >= (line.beside if beside else line.alone)
        return found[close], products[close]

    def _meant(
        self,
        connection: Connection,
        hits: WordHits,
        vector: NDArray[np.float32] | None,
        cutoff: Cutoff,
        seen: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """The photos with the words, those first that also mean what was asked where the words give no order."""
        if vector is None or not len(hits.ids):
            return hits.ids
        text, ids = self._index.text, hits.ids
        if not hits.ranked:
            ids = text.signs.by_nearness(ids, vector)
        if hits.whole or len(hits.words) > 1:
            return ids
        # One word of several was found: a hit on it alone must also mean, or look, something like the whole.
        some = text.signs.by_nearness(ids, vector)[:MEANT_EXACTLY]
        found, rows = vectors.get(connection, text.model, some.tolist())
        close = found[rows @ vector >= cutoff.alone * 0.75] if len(found) else found
        return ids[np.isin(ids, close) | np.isin(ids, seen)]

    @staticmethod
    def _not_meaning(words: WordSearch, plan: QueryPlan, mask: Mask, found: Found, masked: Masked) -> Found:
        """Negation is symbolic: photos that hold the word are out; likeness never decides it (NegBench)."""
        keep = np.ones(len(found.ids), np.bool_)
        for word in plan.semantic_none:
            gone = np.isin(found.ids, words.holding([word], mask))
            if gone.any() and f"photos with {word}" not in masked.left_out:
                masked.left_out[f"photos with {word}"] = int(gone.sum())
            keep &= ~gone
        return replace(found, ids=found.ids[keep], scores=found.scores[keep])


def _fused(*rankings: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rankings into one, the sum of 1 / (k + rank) of each photo, best first."""
    ids = np.concatenate(rankings)
    each = np.concatenate([1.0 / (RRF_K + 1 + np.arange(len(ranked))) for ranked in rankings])
    found, first, which = np.unique(ids, return_index=True, return_inverse=True)
    scores = np.bincount(which, weights=each, minlength=len(found))
    order = np.lexsort((first, -scores))
    return found[order], scores[order].astype(np.float32)


def _line(images: ImageSpace, vector: NDArray[np.float32]) -> Line:
    if images.judge is not None:
        return images.judge.line(vector)
    profile = by_model(images.model)
    return usual_line(vector, profile.cosine if profile is not None else _USUAL_COSINE)


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.empty(0, np.int64), np.empty(0, np.float32)


def _when(said: str) -> str:
    """A date as it was said, to go on with after "was taken"."""
    plain = re.sub(r"^(from|of|for)\s+(?!the\s)", "", said.removesuffix("'s"))
    if _ADVERB.match(plain):
        return plain
    return f"on {plain}" if _DAY.search(plain.lower()) else f"in {plain}"
