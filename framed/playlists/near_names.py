"""A misspelt name of the library: one letter too many, too few, another, or two that changed places."""

from collections.abc import Iterator, Sequence
from string import ascii_lowercase

from framed.playlists.grammar_phrases import Phrases

SHORTEST = 4
"""Of a shorter name one letter is too much of it, unless it is only left out: Tim is no Tom, Ana is Anna."""

SURE = 5
"""An ordinary word of so many letters may be a name without its capital, where it means nothing else."""


def nearest(names: Phrases[str], keys: Sequence[str]) -> tuple[str, ...]:
    """The ids of the only name that these tokens misspell; none where there is none, or more than one."""
    found = {
        tuple(names.values((*keys[:at], other, *keys[at + 1 :])))
        for at, key in enumerate(keys)
        if len(key) >= SHORTEST - 1
        for other in _one_edit(key)
        if len(key) >= SHORTEST or len(other) > len(key)
    }
    found.discard(())
    return found.pop() if len(found) == 1 else ()


def _one_edit(word: str) -> Iterator[str]:
    """Words one edit away; the first letter is seldom the wrong one."""
    first, rest = word[0], word[1:]
    for at in range(len(rest) + 1):
        head, tail = first + rest[:at], rest[at:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in ascii_lowercase:
            yield head + letter + tail
            if tail and tail[0] != letter:
                yield head + letter + tail[1:]
