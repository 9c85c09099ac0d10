"""What the household decided about photos, and the score that came of it."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from framed.store.photos import SHOWN
from framed.store.tables import history, photo_steps, photos

MOST = 2_000
"""The newest decisions of each sort are learned from: tastes change, and the sum grows with the cube of them."""


def decisions(connection: Connection) -> dict[int, tuple[bool, float]]:
    """Photo id → whether it is liked, and how much that counts. What somebody said beats what somebody skipped."""
    skips = (
        select(history.c.photo_id, func.count())
        .where(history.c.action == "skip")
        .group_by(history.c.photo_id)
        .order_by(func.max(history.c.id).desc())
        .limit(MOST)
    )
    found = {photo: (False, min(0.3 * count, 0.9)) for photo, count in connection.execute(skips)}
    said = (
        select(photos.c.id, photos.c.favourite, photos.c.hidden, photos.c.rating)
        .where(photos.c.favourite | photos.c.hidden | photos.c.rating.between(1, 2) | (photos.c.rating >= 4))
        .order_by(photos.c.id.desc())
        .limit(MOST)
    )
    for row in connection.execute(said):
        if row.favourite or row.hidden:
            found[row.id] = (bool(row.favourite), 1.0)
        else:
            found[row.id] = (row.rating >= 4, 0.7)
    return found


def judged(connection: Connection) -> dict[int, float]:
    """Photo id → the score that a trained model gave it, 0 to 1."""
    score = photo_steps.c.result["score"].as_float()
    query = select(photo_steps.c.photo_id, score).where(
        photo_steps.c.step == "aesthetics", photo_steps.c.state == "completed"
    )
    return {photo: float(value) for photo, value in connection.execute(query) if value is not None}


def set_scores(connection: Connection, scores: Iterable[tuple[int, float | None]]) -> None:
    values = [{"b_id": photo, "b_score": score} for photo, score in scores]
    if values:
        statement = update(photos).where(photos.c.id == bindparam("b_id")).values(aesthetic=bindparam("b_score"))
        connection.execute(statement, values)


def bursts(connection: Connection) -> Sequence[int]:
    """The bursts with photos that can be shown."""
    query = select(photos.c.burst).where(photos.c.burst.is_not(None), photos.c.state.in_(SHOWN)).distinct()
    return list(connection.execute(query).scalars())
