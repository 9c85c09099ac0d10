"""What photos are compared by besides vectors: their hashes, their faces, and which are copies of one another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from framed.store.tables import faces, people, photos

_HASHES = (
    "select group_concat(id), group_concat(hex(pdq), '') from photos "
    "where pdq is not null and pdq_quality >= ? and state <> 'gone'"
)


@dataclass(frozen=True)
class Faces:
    """The faces of one model: whose photo, whose face (0 where nobody knows), and the vectors."""

    model: str
    photo: NDArray[np.int64]
    person: NDArray[np.int64]
    vectors: NDArray[np.float32]


def hashes(connection: Connection, quality: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Photos whose hash is worth comparing, and the hashes, four words each. One row of text: a row a photo would take
    five times as long."""
    ids, words = connection.exec_driver_sql(_HASHES, (quality,)).one()
    if not ids:
        return np.empty(0, np.int64), np.empty((0, 4), np.uint64)
    return np.array(ids.split(","), np.int64), np.frombuffer(bytes.fromhex(words), np.uint64).reshape(-1, 4)


def faces_like(connection: Connection, photo_id: int) -> list[Faces]:
    """All faces of each model that found one in this photo."""
    models = connection.execute(select(faces.c.model).distinct().where(faces.c.photo_id == photo_id)).scalars().all()
    found = []
    for model in models:
        query = select(faces.c.photo_id, faces.c.person_id, faces.c.vector).where(faces.c.model == model)
        rows = connection.execute(query).all()
        found.append(
            Faces(
                model,
                np.fromiter((row[0] for row in rows), np.int64, len(rows)),
                np.fromiter((row[1] or 0 for row in rows), np.int64, len(rows)),
                np.frombuffer(b"".join(row[2] for row in rows), np.float16).reshape(len(rows), -1).astype(np.float32),
            )
        )
    return found


def names(connection: Connection, people_ids: list[int]) -> dict[int, str]:
    """People with a name, but those who are not to be named."""
    named = (people.c.id.in_(people_ids), people.c.name != "", people.c.hidden.is_(False))
    query = select(people.c.id, people.c.name).where(*named)
    return {row.id: row.name for row in connection.execute(query)}


def leaders(connection: Connection, ids: list[int]) -> dict[int, int]:
    """For each photo the one that stands for it among its copies: itself, mostly."""
    query = select(photos.c.id, photos.c.duplicate_of).where(photos.c.id.in_(ids))
    return {row.id: row.duplicate_of or row.id for row in connection.execute(query)}
