"""A batch in two halves, and both answers put together: for a call that wants more memory than there is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_BATCHED = ("paths", "pixels", "texts")


def halves(inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The same call for the first and the second half of its photos or texts; None where it has only one.

    Whatever else is as long as the batch belongs to it, photo by photo (names, prompts), and is halved with it.
    """
    counts = [len(inputs[name]) for name in _BATCHED if inputs.get(name) is not None]
    if not counts or counts[0] < 2:
        return None
    count, middle = counts[0], counts[0] // 2

    def part(low: int, high: int) -> dict[str, Any]:
        return {
            name: value[low:high] if isinstance(value, list | tuple | np.ndarray) and len(value) == count else value
            for name, value in inputs.items()
        }

    return part(0, middle), part(middle, count)


def joined(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Arrays and lists one behind the other; of what is no list, the first answer's."""
    first = answers[0]
    whole: dict[str, Any] = {}
    for name, value in first.items():
        parts = [answer[name] for answer in answers]
        if isinstance(value, np.ndarray):
            whole[name] = np.concatenate(parts)
        elif isinstance(value, list | tuple):
            whole[name] = [entry for part in parts for entry in part]
        else:
            whole[name] = value
    return whole
