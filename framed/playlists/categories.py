"""Categories of tags in a search: "animals" finds and excludes whatever has a tag of that category."""

import json
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from framed.playlists.index import LibraryIndex
from framed.playlists.plan import QueryPlan
from framed.playlists.words import WordHits, WordSearch, terms, variants

_JOINING = frozenset({"or", "plus"})
LISTING = re.compile(r"\b(and|or|plus)\b|[,&+]")


def photos_of(index: LibraryIndex, connection: Connection, category: str) -> NDArray[np.int64]:
    """The photos with a tag of this category, rising; none where there is no such category."""
    tags = index.categories.get(category)
    if not tags:
        return np.empty(0, np.int64)
    return index.members(connection, "tags", json.dumps(sorted(tags)))


def find(
    words: WordSearch,
    index: LibraryIndex,
    connection: Connection,
    plan: QueryPlan,
    mask: NDArray[np.bool_],
    total: int,
) -> WordHits:
    """As `WordSearch.find`, where the name of a category stands for its photos."""
    categories = [name for name in plan.tags_any if name in index.categories]
    if not categories:
        return words.find(plan.semantic, mask, total)
    inside = _inside(index, connection, categories, plan.semantic, mask)
    others = [word for word in terms(plan.semantic) if word not in _words_of(categories) | _JOINING]
    if not others:
        if len(categories) == 1:
            inside[words.holding(categories, mask)] = True  # what only says so, in a title or a folder's name
        return WordHits(np.flatnonzero(inside), categories, whole=bool(inside.any()), ranked=False)
    hits = words.find(" ".join(others), inside, total)
    if hits.whole:
        return WordHits(hits.ids, [*hits.words, *categories], whole=True, ranked=hits.ranked)
    return words.find(plan.semantic, mask, total)


def _inside(
    index: LibraryIndex, connection: Connection, categories: list[str], said: str, mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Photos of every category ("animals in the city"), else, or where they are listed, of any of them."""
    each = []
    for name in categories:
        members = np.zeros_like(mask)
        found = photos_of(index, connection, name)
        members[found[found < len(mask)]] = True
        each.append(members & mask)
    every: NDArray[np.bool_] = np.logical_and.reduce(each)
    some: NDArray[np.bool_] = np.logical_or.reduce(each)
    return some if LISTING.search(said) or not every.any() else every


def _words_of(categories: Iterable[str]) -> set[str]:
    said = [word for name in categories for word in terms(name)]
    return {form for word in said for form in variants(word, lambda _: None)}
