"""Which photos still lack a step that is not part of making them showable."""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, and_, func, or_, select

from framed.store.photos import SHOWN, PhotoWork, work_of
from framed.store.tables import photo_steps, photos


def work(
    connection: Connection, *, step: str, version: int, needs: Sequence[str], attempts: int, limit: int, after: int
) -> list[PhotoWork]:
    """The next photos above id `after` that lack `step`, newest version, and have what it needs; by id."""
    query = _lacking(step, version, attempts).where(photos.c.id > after).order_by(photos.c.id).limit(limit)
    for need in needs:
        other = photo_steps.alias()  # the outer query has this table too, and would take it for its own
        done = select(other.c.photo_id).where(
            other.c.photo_id == photos.c.id, other.c.step == need, other.c.state == "completed"
        )
        query = query.where(done.exists())
    found = work_of(connection, list(connection.execute(query).scalars()))
    return sorted(found, key=lambda photo: photo.id)


def count(connection: Connection, step: str, version: int, attempts: int) -> int:
    """How many photos lack the step."""
    lacking = _lacking(step, version, attempts).subquery()
    return int(connection.execute(select(func.count()).select_from(lacking)).scalar_one())


def _lacking(step: str, version: int, attempts: int) -> Select[int]:
    own = and_(photo_steps.c.photo_id == photos.c.id, photo_steps.c.step == step)
    again = and_(photo_steps.c.state == "failed", photo_steps.c.attempts < attempts)
    return (
        select(photos.c.id)
        .outerjoin(photo_steps, own)
        .where(
            photos.c.state.in_(SHOWN),
            or_(photo_steps.c.photo_id.is_(None), photo_steps.c.version < version, again),
        )
    )
