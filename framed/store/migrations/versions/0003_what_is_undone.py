"""Indexes from which it is told what is undone, in a library of any size."""

import sqlalchemy as sa
from alembic import op

from framed.store.tables import photo_steps, photos

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAMES = ("photos_state", "photo_steps_done")


def upgrade() -> None:
    """A store that 0001 made today has them already."""
    connection = op.get_bind()
    for table in (photos, photo_steps):
        there = {known["name"] for known in sa.inspect(connection).get_indexes(table.name)}
        for index in table.indexes:
            if index.name in _NAMES and index.name not in there:
                index.create(connection)


def downgrade() -> None:
    for name in _NAMES:
        op.drop_index(name)
