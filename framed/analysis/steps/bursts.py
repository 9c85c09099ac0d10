"""Step: shots of one moment: close in time and alike, from one camera. The best of a burst stands for it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from framed.analysis.step import BatchStep, Outcome
from framed.analysis.steps.tags import LIKENESS
from framed.store import vectors
from framed.store.photos import PhotoWork
from framed.store.tables import faces
from framed.store.tables import photos as table

WINDOW_S = 20
"""Shots further apart are two pictures, however alike."""
ALIKE = 0.80
"""Cosine of the packaged likeness features; two shots of one moment had 0.85 and more, two subjects under 0.7."""


class BurstsStep(BatchStep):
    name = "bursts"
    version = 1
    needs = ("metadata", "tags", "quality", "duplicates")
    batch = 32

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        return [self._outcome(photo) for photo in photos]

    def _outcome(self, photo: PhotoWork) -> Outcome:
        meta = photo.results.get("metadata", {})
        if meta.get("taken_precision", "second") != "second" or meta.get("taken_source") in (None, "file"):
            return Outcome("skipped", result={})

        def store(connection: Connection) -> None:
            join(connection, photo.id)

        return Outcome("completed", result={}, store=store)


def join(connection: Connection, photo_id: int) -> None:
    """Puts the photo into the burst of its neighbours in time that look like it."""
    own = connection.execute(select(table).where(table.c.id == photo_id)).mappings().one()
    if own["taken"] is None:
        return
    near = connection.execute(
        select(table.c.id, table.c.burst, table.c.duplicate_of).where(
            table.c.taken.between(own["taken"] - WINDOW_S, own["taken"] + WINDOW_S),
            table.c.id != photo_id,
            table.c.state != "gone",
            table.c.camera.is_(own["camera"]) if own["camera"] is None else table.c.camera == own["camera"],
        )
    ).all()
    if not near:
        return
    ids, rows = vectors.get(connection, LIKENESS, [photo_id, *(row.id for row in near)])
    if not (ids == photo_id).any():
        return
    like = rows @ rows[ids == photo_id][0]
    alike = {int(i) for i, value in zip(ids, like, strict=True) if value >= ALIKE and i != photo_id}
    joined = [row for row in near if row.id in alike]
    if not joined:
        return
    bursts = {row.burst for row in joined if row.burst is not None}
    burst = min([*bursts, photo_id, *(row.id for row in joined)])
    members = {photo_id, *(row.id for row in joined)}
    if bursts:
        members |= set(connection.execute(select(table.c.id).where(table.c.burst.in_(bursts))).scalars())
    connection.execute(update(table).where(table.c.id.in_(members)).values(burst=burst, burst_best=False))
    choose_best(connection, burst)


def choose_best(connection: Connection, burst: int) -> None:
    """Favourites first, then how good it is: sharp and well exposed, open eyes, and to the household's taste."""
    eyes = (
        select(func.min(faces.c.eyes_open))
        .where(faces.c.photo_id == table.c.id, faces.c.eyes_open.is_not(None))
        .scalar_subquery()
    )
    query = select(table.c.id, table.c.favourite, table.c.quality, table.c.aesthetic, eyes.label("eyes")).where(
        table.c.burst == burst, table.c.state != "gone", table.c.hidden.is_(False)
    )
    members = connection.execute(query).all()
    if not members:
        return
    best = max(members, key=lambda m: (bool(m.favourite), round(_worth(m), 2), -m.id)).id
    connection.execute(update(table).where(table.c.burst == burst).values(burst_best=table.c.id == best))


def _worth(member: Any) -> float:
    """Of shots of one moment. What is not known of one counts as ordinary."""
    eyes = 1.0 if member.eyes is None else float(member.eyes)
    taste = 0.5 if member.aesthetic is None else float(member.aesthetic)
    return float(member.quality or 0.0) + 0.4 * min(eyes, 1.0) + 0.3 * taste
