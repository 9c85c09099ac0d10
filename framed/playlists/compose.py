"""Found photos → the order they are shown in: no duplicates, one of a burst, fresh ones first, not the same twice."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from framed.playlists.index import Columns
from framed.playlists.masks import BEST
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found

VARIED = 120
"""So many of the first photos are put in a varied order; looking further costs more than anybody sees."""


@dataclass
class Composed:
    """Photo ids in playing order with the score of each, and how many were left out for which reason."""

    ids: list[int]
    scores: dict[int, float]
    left_out: dict[str, int] = field(default_factory=dict)
    matched: int = 0


def compose(
    found: Found,
    plan: QueryPlan,
    columns: Columns,
    shown: Mapping[int, int],
    *,
    seed: int,
    default_count: int,
) -> Composed:
    """`shown` says how often this frame had each photo; the least shown come first wherever the order is ours."""
    left_out: Counter[str] = Counter(found.left_out)
    ids = _one_of_each(found.ids, columns, left_out)
    scores = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    if plan.quality == "best" and len(ids):
        ids = _best(ids, columns, plan, left_out)
    matched = len(ids)
    listed = _ordered(ids.tolist(), scores, plan, columns, shown, seed)
    count = plan.count or default_count
    if plan.new and plan.count is None and plan.sort == "newest":
        count = min(count, 50)
    return Composed(listed[:count], scores, dict(left_out), matched)


def _one_of_each(ids: NDArray[np.int64], columns: Columns, left_out: Counter[str]) -> NDArray[np.int64]:
    if not len(ids):
        return ids
    inside = set(ids.tolist())
    leader = columns.duplicate_of[ids]
    double = np.array([bool(other) and int(other) in inside for other in leader.tolist()], np.bool_)
    # Duplicates whose leader does not match the request stand in for it, but only once.
    seen: set[int] = set()
    for place, other in enumerate(leader.tolist()):
        if other and not double[place]:
            double[place] = other in seen
            seen.add(other)
    if double.any():
        left_out["duplicates"] += int(double.sum())
    ids = ids[~double]
    bursts: dict[int, int] = {}
    for photo in ids.tolist():
        burst = int(columns.burst[photo])
        if burst and (burst not in bursts or columns.burst_best[photo]):
            bursts[burst] = photo
    keep = np.array([not columns.burst[p] or bursts[int(columns.burst[p])] == p for p in ids.tolist()], np.bool_)
    if not keep.all():
        left_out["other shots of the same moment"] += int((~keep).sum())
    return ids[keep]


def _best(ids: NDArray[np.int64], columns: Columns, plan: QueryPlan, left_out: Counter[str]) -> NDArray[np.int64]:
    """ "Best": the good ones where there are enough, else the better half."""
    worth = worthiness(ids, columns)
    wanted = plan.count or 20
    good = worth >= BEST
    if good.sum() < wanted:
        good = worth >= np.sort(worth)[max(0, len(worth) - max(wanted, len(worth) // 2))]
    if not good.all():
        left_out["less good photos"] += int((~good).sum())
    return ids[good]


def worthiness(ids: NDArray[np.int64], columns: Columns) -> NDArray[np.float32]:
    """Technical quality, raised by what its owner said about it: favourites and stars."""
    rated = np.clip(columns.rating[ids], -1, 5).astype(np.float32)
    value = columns.quality[ids] + 0.3 * columns.favourite[ids] + 0.08 * np.maximum(rated, 0)
    value[rated < 0] -= 0.5
    return value.astype(np.float32)


def _ordered(
    ids: list[int], scores: Mapping[int, float], plan: QueryPlan, columns: Columns, shown: Mapping[int, int], seed: int
) -> list[int]:
    if plan.sort == "newest":
        stamp = columns.added if plan.new else columns.taken
        return sorted(ids, key=lambda p: (-float(stamp[p]), p))
    if plan.sort == "oldest":
        return sorted(ids, key=lambda p: (float(columns.taken[p]) if columns.taken[p] > -(2**62) else 2.0**62, p))
    if not ids:
        return []
    worth = dict(zip(ids, worthiness(np.array(ids, np.int64), columns).tolist(), strict=True))
    if plan.sort == "best" or plan.quality == "best":
        return sorted(ids, key=lambda p: (shown.get(p, 0), -worth[p], p))
    dice = random.Random(seed)
    if plan.sort == "random" or not plan.semantic.strip():
        chance = {p: dice.random() ** (1.0 / (0.25 + max(0.0, worth[p]))) for p in ids}
        ordered = sorted(ids, key=lambda p: (shown.get(p, 0), -chance[p]))
        return apart(ordered, columns)
    ordered = sorted(ids, key=lambda p: (shown.get(p, 0), -scores.get(p, 0.0), -worth[p]))
    return apart(ordered, columns)


def apart(ids: list[int], columns: Columns, *, within: int = VARIED) -> list[int]:
    """Keeps pictures of the same day from following each other, moving each as little as possible."""
    head, result = ids[:within], list[int]()
    days = {p: int(columns.taken[p]) // 86400 if columns.taken[p] > -(2**62) else -p for p in head}
    waiting: list[int] = []
    for photo in head:
        waiting.append(photo)
        while waiting:
            recent = {days[p] for p in result[-3:]}
            fitting = next((p for p in waiting if days[p] not in recent), None)
            if fitting is None:
                break
            waiting.remove(fitting)
            result.append(fitting)
    return [*result, *waiting, *ids[within:]]
