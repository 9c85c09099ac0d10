"""The full-text side of a search: which words of a request are worth looking for, and the MATCH expression of them."""

import json
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists.date_words import SEASON_WORDS
from framed.playlists.grammar_words import COLOURS
from framed.store.members import parsed

COMMON_SHARE = 0.10
"""A word in more photos than this says nothing, and costs 1.5 microseconds for each (research B)."""
MOST_HITS = 3000
_FREQUENT_S = 600.0
RANKED = 2000
"""Of so many hits each is weighed by bm25; of more, which takes that long again each thousand, the order is left to
the meaning: their words are the assembled ones, whose frequencies say little."""

_STOP = frozenset(
    "a about all an and any are as at be been but by for from had has have he her him his i in into is it its me my "
    "not of on or our out over photo photos picture pictures image images she show some that the their them there "
    "beside near under behind between during within along across around above below next like "
    "these they this those to us was we were what when where which who with you your".split()
)
MODIFIERS = frozenset(COLOURS) | frozenset(SEASON_WORDS) | {"dark", "bright", "light", "big", "small", "old", "young"}
_mask = threading.local()


def install(raw: Any) -> None:
    """Gives a reader connection `in_mask(rowid)`: whether the photo is in the mask of the running search."""

    def in_mask(row: int) -> int:
        mask: NDArray[np.bool_] = _mask.rows
        return int(row < len(mask) and mask[row])

    raw.create_function("in_mask", 1, in_mask)
    raw.execute("create virtual table temp.photo_words using fts5vocab('main', 'photo_text', 'row')")


def terms(sentence: str) -> list[str]:
    """Lower-case words without accents, as FTS5's unicode61 makes them; no stop words, no repeats."""
    folded = unicodedata.normalize("NFKD", sentence.casefold())
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    found = re.findall(r"[^\W_]+", plain)
    return list(dict.fromkeys(word for word in found if word not in _STOP and len(word) > 1))


def variants(word: str, also: Callable[[str], str | None]) -> list[str]:
    """The word, its singular or plural, and the everyday tag it is another name for."""
    forms = [word]
    if word.endswith("ies") and len(word) > 4:
        forms.append(word[:-3] + "y")
    elif word.endswith(("ches", "shes", "sses", "xes")):
        forms.append(word[:-2])
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        forms.append(word[:-1])
    else:
        forms.append(word + "s")
    tag = also(word)
    if tag is not None:
        forms.extend(part for part in terms(tag))
    return list(dict.fromkeys(forms))


@dataclass(frozen=True)
class WordHits:
    """`words` were looked for; `every`: each photo holds all of them; `whole`: and they are all words of the request;
    unranked `ids` rise."""

    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    words: list[str] = field(default_factory=list)
    whole: bool = False
    ranked: bool = True
    every: bool = True


class Frequencies:
    """In how many photos each word is. Counting a word in 100,000 photos takes 3 ms, so those are kept a while."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, int]] = {}

    def count(self, connection: Connection, word: str) -> int:
        kept = self._kept.get(word)
        if kept is not None and time.monotonic() - kept[0] < _FREQUENT_S:
            return kept[1]
        query = "select coalesce(sum(doc), 0) from temp.photo_words where term = ?"
        found = int(connection.exec_driver_sql(query, (word,)).scalar() or 0)
        if found > RANKED:
            if len(self._kept) >= 4096:
                self._kept.clear()
            self._kept[word] = (time.monotonic(), found)
        return found


class WordSearch:
    """Full-text search inside a mask. `also` maps a word to the tag it means (kitty → cat)."""

    def __init__(
        self, connection: Connection, also: Callable[[str], str | None], frequencies: Frequencies | None = None
    ) -> None:
        self._connection = connection
        self._also = also
        self._frequencies = frequencies or Frequencies()

    def find(self, sentence: str, mask: NDArray[np.bool_], total: int) -> WordHits:
        """Photos with all of the words that say something, else with any of them; the best first where `ranked`."""
        groups = [variants(word, self._also) for word in terms(sentence)]
        known = [(group, self._count(group)) for group in groups]
        wanted = [(group, n) for group, n in known if n and (n <= COMMON_SHARE * total or total < 200)]
        if not wanted:
            wanted = [(group, n) for group, n in known if n]  # only common words: better those than nothing
        if not wanted:
            return WordHits()
        words = [group[0] for group, _ in wanted]
        counts = [n for _, n in wanted]
        whole = len(wanted) == len(groups)
        hits = self._match(" AND ".join(_any(group) for group, _ in wanted), mask, min(counts))
        if len(hits) or len(wanted) == 1:
            return WordHits(hits, words, whole and bool(len(hits)), min(counts) <= RANKED)
        # "Blue flowers": better flowers of any colour than anything blue.
        some = [(group, n) for group, n in wanted if group[0] not in MODIFIERS] or wanted
        words, hits_at_most = [group[0] for group, _ in some], sum(n for _, n in some)
        hits = self._match(" OR ".join(_any(group) for group, _ in some), mask, hits_at_most)
        return WordHits(hits, words, False, hits_at_most <= RANKED, every=False)

    def holding(self, words: list[str], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Photos whose words hold all of these, whatever their frequency."""
        groups = [variants(word, self._also) for phrase in words for word in terms(phrase)]
        if not groups:
            return np.empty(0, np.int64)
        return self._match(" AND ".join(_any(group) for group in groups), mask, RANKED + 1)

    def held(self, words: list[str], ids: Sequence[int]) -> dict[int, list[str]]:
        """Which of the words each of a few photos holds."""
        # "+rowid": FTS5 would otherwise search once for each of the photos, 250 times slower.
        query = "select rowid from photo_text where photo_text match ? and +rowid in (select value from json_each(?))"
        found: dict[int, list[str]] = {}
        listed = json.dumps(list(ids))
        for word in words:
            for row in self._connection.exec_driver_sql(query, (_any(variants(word, self._also)), listed)):
                found.setdefault(row[0], []).append(word)
        return found

    def _count(self, group: list[str]) -> int:
        return sum(self._frequencies.count(self._connection, form) for form in group)

    def _match(self, expression: str, mask: NDArray[np.bool_], hits: int) -> NDArray[np.int64]:
        """`hits` is at least how many photos match. Ranked, or by rising id where they are too many for that."""
        if hits > RANKED:
            query = "select group_concat(rowid) from photo_text where photo_text match ?"
            ids = parsed(self._connection.exec_driver_sql(query, (expression,)).scalar())
            ids = ids[ids < len(mask)]
            return ids[mask[ids]]
        _mask.rows = mask
        # No "order by rank": FTS5 then weighs every match before in_mask is asked.
        query = "select rowid, bm25(photo_text) from photo_text where photo_text match ? and in_mask(rowid)"
        found = self._connection.exec_driver_sql(query, (expression,)).fetchall()
        rows = sorted(found, key=lambda row: (row[1], row[0]))
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def _any(group: list[str]) -> str:
    quoted = ['"' + form.replace('"', '""') + '"' for form in group]
    return "(" + " OR ".join(quoted) + ")"
