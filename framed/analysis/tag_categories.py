"""Categories of tags that people ask by ("animals", "vehicles"): which tags belong to each, from a file one may edit.

A category is applied when a question is asked, so an edited file takes effect without looking at any photo again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from framed.analysis import tag_words
from framed.config_file import Place, written
from framed.errors import ConfigError

Categories = Mapping[str, frozenset[str]]
"""Every tag, whoever gave it, that puts a photo into a category; by the category's name."""

MOST_CATEGORIES = 200
MOST_TAGS = 2_000
_NAME = re.compile(r"[^\W_]([\w '&-]{0,38}[^\W_])?")


def read(path: Path | None) -> Categories:
    """The categories of a YAML file, or framed's own (None). Raises ConfigError, which names file, line and key."""
    if path is None:
        text = resources.files("framed.analysis").joinpath("data", "tag_categories.json").read_text(encoding="utf-8")
        return expanded(json.loads(text))
    from framed.config_yaml import read as read_yaml

    data, lines = read_yaml(path)
    return expanded(_checked(data, lines, path.name))


def expanded(listed: Mapping[str, list[str]]) -> Categories:
    """With every narrower word (animal takes in dog, dog takes in pug) and what else people call these things."""
    wider = {word: {word, *tag_words.wider(word)} for word in tag_words.TAG_VOCABULARY}
    found: dict[str, frozenset[str]] = {}
    for name, tags in listed.items():
        wanted = {tag.lower() for tag in tags}
        inside = wanted | {word for word, up in wider.items() if up & wanted}
        inside |= {other for word in tuple(inside) for other in tag_words.synonyms(word)}
        found[name.lower()] = frozenset(inside)
    return found


def of_tags(categories: Categories, tags: list[str]) -> list[str]:
    """The categories of a photo with these tags, in the file's order."""
    have = set(tags)
    return [name for name, inside in categories.items() if have & inside]


def _checked(data: dict[str, Any], lines: dict[Place, int], file: str) -> dict[str, list[str]]:
    problems: list[str] = []

    def wrong(at: Place, sentence: str) -> None:
        known = at
        while known and known not in lines:
            known = known[:-1]
        where = f"{file}, line {lines[known]}" if known in lines else file
        problems.append(f"{where}: {written(at)}: {sentence}")

    if len(data) > MOST_CATEGORIES:
        wrong((), f"there may be at most {MOST_CATEGORIES} categories.")
    found: dict[str, list[str]] = {}
    for name, tags in data.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong((str(name),), "a category is named by one to forty letters, digits and spaces.")
        elif name.lower() in (other.lower() for other in found):
            wrong((name,), "this category is given twice.")
        elif not isinstance(tags, list) or not tags:
            wrong((name,), "expected a list of tags, such as [dog, cat].")
        elif len(tags) > MOST_TAGS:
            wrong((name,), f"there may be at most {MOST_TAGS} tags in a category.")
        else:
            for place, tag in enumerate(tags):
                if not isinstance(tag, str) or not 0 < len(tag.strip()) <= 60:
                    wrong((name, place), "expected a tag of 1 to 60 characters; put quotes around one like 2024.")
            found[name] = [tag.strip() for tag in tags if isinstance(tag, str)]
    if problems:
        raise ConfigError("\n".join(problems))
    return found
