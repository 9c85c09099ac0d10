"""The full-text side of a search: which words of a request are worth looking for, and the MATCH expression of them."""

import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

COMMON_SHARE = 0.10
"""A word in more photos than this says nothing, and costs 1.5 microseconds for each (research B)."""
MOST_HITS = 3000

_STOP = frozenset(
    "a about all an and any are as at be been but by for from had has have he her him his i in into is it its me my "
    "not of on or our out over photo photos picture pictures image images she show some that the their them there "
    "these they this those to us was we were what when where which who with you your".split()
)
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


class WordSearch:
    """Full-text search inside a mask. `also` maps a word to the tag it means (kitty → cat)."""

    def __init__(self, connection: Connection, also: Callable[[str], str | None]) -> None:
        self._connection = connection
        self._also = also

    def find(self, sentence: str, mask: NDArray[np.bool_], total: int) -> tuple[NDArray[np.int64], list[str], bool]:
        """Photo ids best first, the words that were looked for, and whether every one of them is in each hit."""
        groups = [variants(word, self._also) for word in terms(sentence)]
        known = [(group, self._count(group)) for group in groups]
        wanted = [group for group, count in known if count and (count <= COMMON_SHARE * total or total < 200)]
        if not wanted:
            wanted = [group for group, count in known if count]  # only common words: better those than nothing
        if not wanted:
            return np.empty(0, np.int64), [], False
        words = [group[0] for group in wanted]
        whole = len(wanted) == len(groups)
        hits = self._match(" AND ".join(_any(group) for group in wanted), mask)
        if len(hits) or len(wanted) == 1:
            return hits, words, whole and bool(len(hits))
        return self._match(" OR ".join(_any(group) for group in wanted), mask), words, False

    def holding(self, words: list[str], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Photos whose words hold all of these, whatever their frequency."""
        groups = [variants(word, self._also) for phrase in words for word in terms(phrase)]
        return self._match(" AND ".join(_any(group) for group in groups), mask) if groups else np.empty(0, np.int64)

    def _count(self, group: list[str]) -> int:
        marks = ",".join("?" * len(group))
        query = f"select coalesce(sum(doc), 0) from temp.photo_words where term in ({marks})"
        return int(self._connection.exec_driver_sql(query, tuple(group)).scalar() or 0)

    def _match(self, expression: str, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        _mask.rows = mask
        # in_mask keeps the filter inside FTS5's own walk by rank; a list of ids here made SQLite probe per row.
        query = "select rowid from photo_text where photo_text match ? and in_mask(rowid) order by rank limit ?"
        rows = self._connection.exec_driver_sql(query, (expression, MOST_HITS)).fetchall()
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def _any(group: list[str]) -> str:
    quoted = ['"' + form.replace('"', '""') + '"' for form in group]
    return "(" + " OR ".join(quoted) + ")"
