"""Found photos → the order they are shown in: no duplicates, one of a burst, fresh ones first, not the same twice."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from framed.playlists.index import NO_TIME, Columns
from framed.playlists.masks import BEST
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found

Ids = NDArray[np.int64]

EACH = 3
"""So many of each year where no number is said."""
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
    shown: NDArray[np.int32],
    *,
    seed: int,
    default_count: int,
) -> Composed:
    """`shown` says by photo id how often this frame had it; the least shown come first wherever the order is ours."""
    left_out: Counter[str] = Counter(found.left_out)
    places = _one_of_each(found.ids, columns, left_out)
    if plan.quality == "best" and plan.each is None and len(places):
        places = places[_best(found.ids[places], columns, plan, left_out)]
    count = plan.count or default_count
    if plan.new and plan.count is None and plan.sort == "newest":
        count = min(count, 50)
    ids, scores = found.ids[places], found.scores[places]
    order = _order(ids, scores, plan, columns, shown, seed)
    if plan.each is not None:
        order = _of_each(order, ids, plan, columns)
        count = default_count
    order = order[: max(count, VARIED)]
    listed = ids[order].tolist()
    if plan.sort not in ("newest", "oldest", "best") and plan.quality != "best" and plan.each is None:
        listed = apart(listed, columns)
    scored = dict(zip(ids[order].tolist(), scores[order].tolist(), strict=True))
    return Composed(listed[:count], scored, dict(left_out), len(ids))


def _of_each(order: Ids, ids: Ids, plan: QueryPlan, columns: Columns) -> Ids:
    """The first few of every year, month or day, those of the newest first where the order is not of time; photos
    without a time are of none."""
    taken = columns.taken[ids[order]]
    order = order[taken != NO_TIME]
    unit = {"year": "Y", "month": "M", "day": "D"}[str(plan.each)]
    period = columns.taken[ids[order]].astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64)
    grouped = np.argsort(-period, kind="stable")
    _, starts = np.unique(-period[grouped], return_index=True)
    within = np.arange(len(grouped)) - np.repeat(starts, np.diff([*starts, len(grouped)]))
    chosen = grouped[within < (plan.count or EACH)]
    found: Ids = order[chosen if plan.sort in ("best", "relevance") else np.sort(chosen)]
    return found


def _one_of_each(ids: Ids, columns: Columns, left_out: Counter[str]) -> Ids:
    """Places in `ids` without duplicates, and with one of each burst: the best one where it is among them."""
    leader = columns.duplicate_of[ids]
    double = (leader > 0) & np.isin(leader, ids)
    # Duplicates whose leader does not match the request stand in for it, but only once.
    orphans = np.flatnonzero((leader > 0) & ~double)
    double[_but_first(orphans, leader[orphans])] = True
    if double.any():
        left_out["duplicates"] += int(double.sum())
    places = np.flatnonzero(~double)
    burst = columns.burst[ids[places]]
    others = np.zeros(len(places), np.bool_)
    shots = np.flatnonzero(burst > 0)
    best_first = shots[np.argsort(~columns.burst_best[ids[places[shots]]], kind="stable")]
    others[_but_first(best_first, burst[best_first])] = True
    if others.any():
        left_out["other shots of the same moment"] += int(others.sum())
    found: Ids = places[~others]
    return found


def _but_first(places: Ids, group: NDArray[np.int32]) -> Ids:
    """All places but the first of each group."""
    _, first = np.unique(group, return_index=True)
    rest: Ids = np.delete(places, first)
    return rest


def _best(ids: Ids, columns: Columns, plan: QueryPlan, left_out: Counter[str]) -> NDArray[np.bool_]:
    """ "Best": the good ones where there are enough, else the better half."""
    worth = worthiness(ids, columns)
    wanted = plan.count or 20
    good: NDArray[np.bool_] = worth >= BEST
    if good.sum() < wanted:
        good = worth >= np.sort(worth)[max(0, len(worth) - max(wanted, len(worth) // 2))]
    if not good.all():
        left_out["less good photos"] += int((~good).sum())
    return good


def worthiness(ids: Ids, columns: Columns) -> NDArray[np.float32]:
    """Technical quality, raised by what its owner said about it: favourites and stars."""
    rated = np.clip(columns.rating[ids], -1, 5).astype(np.float32)
    value = columns.quality[ids] + 0.3 * columns.favourite[ids] + 0.08 * np.maximum(rated, 0)
    value[rated < 0] -= 0.5
    return value.astype(np.float32)


def _order(
    ids: Ids,
    scores: NDArray[np.float32],
    plan: QueryPlan,
    columns: Columns,
    shown: NDArray[np.int32],
    seed: int,
) -> Ids:
    """Places in `ids`, the one to show first first."""
    if plan.sort == "newest":
        # What came into the library on one day, a whole archive perhaps, is in the order in which it was taken.
        added = np.floor(columns.added[ids] / 86_400) if plan.new else np.zeros(len(ids))
        return np.lexsort((ids, -columns.taken[ids].astype(np.float64), -added))
    if plan.sort == "oldest":
        taken = columns.taken[ids]
        return np.lexsort((ids, np.where(taken == NO_TIME, np.iinfo(np.int64).max, taken)))
    worth, had = worthiness(ids, columns), shown[ids]
    if plan.sort == "best" or plan.quality == "best":
        return np.lexsort((ids, -worth, had))
    if plan.sort == "random" or not plan.semantic.strip():
        dice = np.random.default_rng(seed).random(len(ids))
        return np.lexsort((-(dice ** (1.0 / (0.25 + np.maximum(worth, 0.0)))), had))
    return np.lexsort((-worth, -scores, had))


def apart(ids: list[int], columns: Columns, *, within: int = VARIED) -> list[int]:
    """Keeps pictures of the same day from following each other, moving each as little as possible."""
    head, result = ids[:within], list[int]()
    taken = dict(zip(head, columns.taken[head].tolist(), strict=True)) if head else {}
    days = {photo: at // 86400 if at != NO_TIME else -photo for photo, at in taken.items()}
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
