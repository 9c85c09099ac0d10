"""A table of phrases, asked for the longest one that starts at a token."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
_LONGEST = 12  # tokens; a longer name is not a thing people say


class Phrases(Generic[T]):
    """Phrases by their tokens; `longest` finds the longest one that starts at a token."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], list[T]] = {}
        self._reach: dict[str, int] = {}

    def add(self, keys: tuple[str, ...], value: T) -> None:
        if not keys or len(keys) > _LONGEST:
            return
        values = self._values.setdefault(keys, [])
        if value not in values:
            values.append(value)
        self._reach[keys[0]] = max(self._reach.get(keys[0], 0), len(keys))

    def longest(self, keys: Sequence[str], at: int) -> tuple[int, list[T]]:
        """Its length in tokens and its values; (0, []) where no phrase starts."""
        if at >= len(keys):
            return 0, []
        for length in range(min(self._reach.get(keys[at], 0), len(keys) - at), 0, -1):
            values = self._values.get(tuple(keys[at : at + length]))
            if values is not None:
                return length, values
        return 0, []

    def values(self, keys: tuple[str, ...]) -> list[T]:
        """Those of exactly this phrase; none where it is not known."""
        return self._values.get(keys, [])

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._values)

    def __contains__(self, keys: tuple[str, ...]) -> bool:
        return keys in self._values
