"""Small things framed remembers about itself between runs, by name."""

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store.tables import settings


def get(connection: Connection, key: str) -> Any:
    """None where nothing was kept."""
    return connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar()


def put(connection: Connection, key: str, value: Any) -> None:
    statement = upsert(settings).values(key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
    )
