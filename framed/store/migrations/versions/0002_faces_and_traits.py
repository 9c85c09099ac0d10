"""Faces and what people said of them, traits (scene, style, mood …) and the aesthetic score."""

import sqlalchemy as sa
from alembic import op

from framed.store.tables import face_rules, faces, metadata, people_apart, photo_traits

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = {"photos": sa.Column("aesthetic", sa.Float), "people": sa.Column("cover_face", sa.Integer)}


def upgrade() -> None:
    """A store that 0001 made today has all of it already, because 0001 creates the tables as they are now."""
    connection = op.get_bind()
    metadata.create_all(connection, tables=[faces, face_rules, people_apart, photo_traits])
    for table, column in _COLUMNS.items():
        if column.name not in {known["name"] for known in sa.inspect(connection).get_columns(table)}:
            op.add_column(table, column.copy())


def downgrade() -> None:
    for table in (photo_traits, people_apart, face_rules, faces):
        op.drop_table(table.name)
    for name, column in _COLUMNS.items():
        op.drop_column(name, column.name)
