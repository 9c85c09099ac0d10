"""Everyday words for the tags that RAM++ scores.

`data/ram_tags.tsv` has one line per tag, in the order of the model's outputs: number, the model's own name, the score
from which the model's authors call it present, and framed's words for it, the most specific first. The names and
thresholds are part of the weights' interface (recognize-anything, Apache-2.0); the words are framed's, so that a photo
is found by the same words whichever model tagged it. Without words is what no photo is looked for by: verbs, notions,
and colours, which are measured.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from framed.analysis import tag_words
from framed.analysis.tag_words import Tag
from framed.errors import FramedError

MOST_TAGS = 30

PEOPLE = frozenset("baby boy bride bridegroom child couple crowd family girl man person teenager woman".split())
"""Words for somebody, which a thousand ImageNet classes lack, and which a caption may say."""


def words(scores: NDArray[np.float32]) -> list[Tag]:
    """At most thirty words for one picture's scores (tags,), best first. A word is as sure as the surest tag that says
    it, and every wider word (pug → dog → animal) at least as sure as the narrower one."""
    names, thresholds = _tags()
    if len(scores) != len(names):
        raise FramedError(f"The tagger scored {len(scores)} tags where {len(names)} are known.")
    found: dict[str, float] = {}
    levels: dict[str, int] = {}
    for index in np.flatnonzero(scores > thresholds).tolist():
        score = float(scores[index])
        for depth, word in enumerate(names[index]):
            for each in (word, *tag_words.wider(word)):
                found[each] = max(found.get(each, 0.0), score)
                levels[each] = max(levels.get(each, 0), tag_words.level(each), min(depth, 1))
    best = sorted(found, key=lambda word: (-round(found[word], 3), levels[word], word))
    return [Tag(name=word, score=round(found[word], 3), level=levels[word]) for word in best[:MOST_TAGS]]


@cache
def _tags() -> tuple[list[list[str]], NDArray[np.float32]]:
    """For each output its words (maybe none) and its threshold."""
    text = resources.files("framed.analysis").joinpath("data", "ram_tags.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return [row[3:] for row in rows], np.array([float(row[2]) for row in rows], np.float32)
