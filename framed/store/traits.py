"""Traits of photos: scene, style, mood, composition, subject and palette, each value with how sure it is.

Two sources write them, each in place of its own: measurements (all of the palette, and values that are named) and
comparison with sentences (all others).
"""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store.tables import photo_traits

Value = tuple[str, str, float]
"""Trait, value, score."""

PALETTE = "palette"

_MEASURED = or_(photo_traits.c.trait == PALETTE, photo_traits.c.value.in_(bindparam("b_measured", expanding=True)))
_NO_MEASURED = delete(photo_traits).where(photo_traits.c.photo_id == bindparam("b_photo"), _MEASURED)
_NO_SAID = delete(photo_traits).where(photo_traits.c.photo_id == bindparam("b_photo"), ~_MEASURED)
_PUT = upsert(photo_traits)
_PUT = _PUT.on_conflict_do_update(index_elements=["photo_id", "trait", "value"], set_={"score": _PUT.excluded.score})


def put(
    connection: Connection, photo_id: int, values: Iterable[Value], *, measured: bool, measured_values: frozenset[str]
) -> None:
    """`measured` values take the place of those, others the place of the rest. `measured_values` beside the palette."""
    old = _NO_MEASURED if measured else _NO_SAID
    connection.execute(old, {"b_photo": photo_id, "b_measured": sorted(measured_values)})
    rows = [
        {"photo_id": photo_id, "trait": trait, "value": value, "score": round(score, 3)}
        for trait, value, score in values
    ]
    if rows:
        connection.execute(_PUT, rows)


def of(connection: Connection, photo_id: int) -> dict[str, dict[str, float]]:
    """Score by value by trait, the surest first."""
    query = select(photo_traits).where(photo_traits.c.photo_id == photo_id).order_by(photo_traits.c.score.desc())
    found: dict[str, dict[str, float]] = {}
    for row in connection.execute(query):
        found.setdefault(row.trait, {})[row.value] = row.score
    return found
