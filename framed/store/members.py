"""Which photos show a person, were taken at a place, have a tag or lie in a folder; and how many people each shows.

Answered as arrays by way of one `group_concat`: tens of thousands of ids as rows would cost five times as much.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

Ids = NDArray[np.int64]

_OF = {
    "person": "from photo_people as m join people on people.id = m.person_id where people.slug = ?",
    "place": "from photo_places as m join places on places.id = m.place_id where places.slug = ?",
    "tag": "from photo_tags as m join tags on tags.id = m.tag_id where tags.name = ?",
    "tags": (
        "from photo_tags as m join tags on tags.id = m.tag_id where tags.name in (select value from json_each(?))"
    ),
    # With the folders inside it, whose paths go on behind a slash.
    "folder": (
        "from folders as top join folders as inside on inside.root_id = top.root_id and "
        "(inside.path = top.path or substr(inside.path, 1, length(top.path) + 1) = cast(top.path || x'2f' as blob)) "
        "join files as m on m.folder_id = inside.id where top.id = cast(? as integer) and m.photo_id is not null"
    ),
}


def members(connection: Connection, table: str, key: str, *, among: Sequence[int] | None = None) -> Ids:
    """Photo ids, rising, by the slug of a person or place, a tag's name, tags' names as JSON, or a folder's id; `among`
    these if given."""
    given: tuple[str, ...] = (key,)
    query = f"select group_concat(m.photo_id) {_OF[table]}"
    if among is not None:
        query += " and m.photo_id in (select value from json_each(?))"
        given += ("[" + ",".join(map(str, among)) + "]",)
    return np.unique(parsed(connection.exec_driver_sql(query, given).scalar()))


def people_counts(connection: Connection, *, among: Sequence[int] | None = None) -> tuple[Ids, NDArray[np.uint8]]:
    """Photos that show people, and how many each shows (255 and more alike): by their faces, or by what is known of
    who is in it, whichever is more."""
    found: dict[str, tuple[Ids, Ids]] = {}
    for table in ("photo_people", "faces"):
        query, given = f"select group_concat(photo_id) from {table}", ()
        if among is None:
            listed = connection.exec_driver_sql(query, given).scalar()
        else:
            query += " where photo_id in (select value from json_each(?))"
            listed = connection.exec_driver_sql(query, ("[" + ",".join(map(str, among)) + "]",)).scalar()
        found[table] = np.unique(parsed(listed), return_counts=True)
    ids = np.union1d(found["photo_people"][0], found["faces"][0])
    counts = np.zeros(len(ids), np.int64)
    for own, number in found.values():
        at = np.searchsorted(ids, own)
        counts[at] = np.maximum(counts[at], number)
    return ids, np.minimum(counts, 255).astype(np.uint8)


def shown_counts(
    connection: Connection, frame_id: str, size: int, *, among: Sequence[int] | None = None
) -> NDArray[np.int32]:
    """How often a frame has shown each photo, by photo id below `size`; only `among` these where given."""
    query = "select group_concat(photo_id), group_concat(count) from shown where frame_id = ?"
    given: tuple[str, ...] = (frame_id,)
    if among is not None:
        query += " and photo_id in (select value from json_each(?))"
        given += ("[" + ",".join(map(str, among)) + "]",)
    ids, counts = connection.exec_driver_sql(query, given).one()
    found = np.zeros(size, np.int32)
    shown, times = parsed(ids), parsed(counts)
    inside = shown < size
    found[shown[inside]] = times[inside]
    return found


def parsed(concatenated: str | None) -> Ids:
    """The numbers of a `group_concat`."""
    if not concatenated:
        return np.empty(0, np.int64)
    found: Ids = np.fromstring(concatenated, np.int64, sep=",")
    return found
