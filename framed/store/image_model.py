"""Which model's vectors of the pictures answer requests, which one is being made, and how far that is."""

import json
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from framed.store import late, settings, vectors
from framed.store.photos import SHOWN
from framed.store.tables import photo_steps, photos, vector_models
from framed.store.tables import vectors as vector_rows

STEP = "image_embedding"
_KEY = "image_model"


@dataclass(frozen=True)
class ImageModel:
    """`answers`: requests are compared with its vectors. `making`: photos get its vectors; the same one, but while it
    is to take over. `calibration`: of the one that answers."""

    answers: str | None = None
    making: str | None = None
    calibration: dict[str, Any] | None = None


@dataclass(frozen=True)
class Coverage:
    """Of the photos that may be shown: `have` a vector, `left` may still get one."""

    shown: int
    have: int
    left: int


def get(connection: Connection) -> ImageModel:
    return ImageModel(**(settings.get(connection, _KEY) or {}))


def put(connection: Connection, state: ImageModel) -> None:
    settings.put(connection, _KEY, state.__dict__)


def make(connection: Connection, model: str, version: int) -> None:
    """The step is to be done with this model: it counts as done for the photos that have its vector, and no others.
    What was done with another one stays as an older version, so that whatever was made of it is made anew too."""
    query = (
        "insert into photo_steps (photo_id, step, version, state, attempts, result, at) "
        "select photo_id, ?, ?, 'completed', 1, ?, ? from vectors join vector_models on id = model_id where name = ? "
        "on conflict (photo_id, step) do update set "
        "version = excluded.version, state = excluded.state, problem = null, result = excluded.result"
    )
    connection.exec_driver_sql(query, (STEP, version, json.dumps({"model": model}), time.time(), model))
    connection.execute(update(photo_steps).where(photo_steps.c.step == STEP, ~_has(model)).values(version=0))
    put(connection, ImageModel(**{**get(connection).__dict__, "making": model}))


def reopen(connection: Connection, model: str) -> int:
    """Photos whose step was finished with another model, as one was in flight when it changed, want it again."""
    done = (photo_steps.c.step == STEP, photo_steps.c.state == "completed", photo_steps.c.version > 0)
    return connection.execute(update(photo_steps).where(*done, ~_has(model)).values(version=0)).rowcount


def _has(model: str) -> ColumnElement[bool]:
    own = select(vector_rows.c.photo_id).join(vector_models)
    return exists(own.where(vector_models.c.name == model, vector_rows.c.photo_id == photo_steps.c.photo_id))


def coverage(connection: Connection, model: str, *, version: int, attempts: int) -> Coverage:
    shown = select(func.count()).select_from(photos).where(photos.c.state.in_(SHOWN))
    have = (
        select(func.count())
        .select_from(vector_rows)
        .join(vector_models)
        .join(photos, photos.c.id == vector_rows.c.photo_id)
        .where(vector_models.c.name == model, photos.c.state.in_(SHOWN))
    )
    return Coverage(
        int(connection.execute(shown).scalar_one()),
        int(connection.execute(have).scalar_one()),
        late.count(connection, STEP, version, attempts),
    )


def drop_some(connection: Connection, model: str, most: int = 2000) -> bool:
    """Forgets some vectors of a model, and the model with the last; whether there may be more. Small writes, so that
    others come between."""
    found = connection.execute(select(vector_models.c.id).where(vector_models.c.name == model)).scalar()
    if found is None:
        return False
    query = (
        "delete from vectors where model_id = ? and photo_id in "
        "(select photo_id from vectors where model_id = ? limit ?)"
    )
    if connection.exec_driver_sql(query, (found, found, most)).rowcount == most:
        return True
    vectors.drop_model(connection, model)
    return False
