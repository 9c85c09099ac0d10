"""Vectors of photos, keyed by the model that made them: float16, L2-normalised. Two models' vectors never meet."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store.tables import vector_models, vectors

_MODEL = select(vector_models).where(vector_models.c.name == bindparam("b_name"))
_PUT = upsert(vectors)
_PUT = _PUT.on_conflict_do_update(index_elements=["model_id", "photo_id"], set_={"vector": _PUT.excluded.vector})


def model_id(connection: Connection, name: str, dim: int) -> int:
    found = connection.execute(_MODEL, {"b_name": name}).first()
    if found is not None:
        if found.dim != dim:
            raise ValueError(f"{name} had {found.dim} dimensions and now has {dim}")
        return int(found.id)
    made = connection.execute(insert(vector_models).values(name=name, dim=dim))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def put(connection: Connection, name: str, rows: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
    """Rows are photo id and unit vector."""
    if not rows:
        return
    model = model_id(connection, name, int(rows[0][1].shape[0]))
    values = [
        {"model_id": model, "photo_id": photo, "vector": vector.astype(np.float16).tobytes()} for photo, vector in rows
    ]
    connection.execute(_PUT, values)


def get(connection: Connection, name: str, ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The photos of `ids` that have a vector, and those vectors (N × dim), in no particular order."""
    model = connection.execute(_MODEL, {"b_name": name}).first()
    if model is None or not len(ids):
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    # By rising id, so that neighbours on a page are read together; the driver's plain tuples, as these are thousands.
    listed = "[" + ",".join(map(str, sorted(ids))) + "]"
    query = (
        "select photo_id, vector from json_each(?) as wanted "
        "cross join vectors on model_id = ? and photo_id = wanted.value"
    )
    cursor = connection.exec_driver_sql(query, (listed, model.id)).cursor
    assert cursor is not None
    rows = cursor.fetchall()
    if not rows:
        return np.empty(0, np.int64), np.empty((0, model.dim), np.float32)
    found = np.frombuffer(b"".join([row[1] for row in rows]), np.float16).reshape(len(rows), model.dim)
    return np.fromiter((row[0] for row in rows), np.int64, len(rows)), found.astype(np.float32)


def every(
    connection: Connection, name: str, block: int = 4096
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    """All vectors of a model in blocks, by rising photo id."""
    model = connection.execute(_MODEL, {"b_name": name}).first()
    if model is None:
        return
    after = -1
    while True:
        rows = connection.execute(
            select(vectors.c.photo_id, vectors.c.vector)
            .where(vectors.c.model_id == model.id, vectors.c.photo_id > after)
            .order_by(vectors.c.photo_id)
            .limit(block)
        ).all()
        if not rows:
            return
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        yield ids, np.frombuffer(b"".join(row[1] for row in rows), np.float16).reshape(len(rows), model.dim)
        after = int(ids[-1])


def count(connection: Connection, name: str) -> int:
    query = select(func.count()).select_from(vectors).join(vector_models).where(vector_models.c.name == name)
    return int(connection.execute(query).scalar() or 0)


def sample(connection: Connection, name: str, most: int) -> NDArray[np.float32]:
    """At most so many vectors of a model (N × dim), evenly from its first photo to its newest."""
    query = select(vectors.c.photo_id).join(vector_models).where(vector_models.c.name == name)
    ids = np.array(connection.execute(query.order_by(vectors.c.photo_id)).scalars().all(), np.int64)
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(len(ids), most)).astype(np.int64))] if len(ids) else ids
    return get(connection, name, chosen.tolist())[1]


def drop_model(connection: Connection, name: str) -> None:
    connection.execute(delete(vector_models).where(vector_models.c.name == name))
