"""The index of the photos that no frame shows, which steps that cost hours spare."""

import sqlalchemy as sa
from alembic import op

from framed.store.tables import photos

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NAME = "photos_unseen"


def upgrade() -> None:
    """A store that 0001 made today has it already."""
    connection = op.get_bind()
    if _NAME not in {known["name"] for known in sa.inspect(connection).get_indexes("photos")}:
        next(index for index in photos.indexes if index.name == _NAME).create(connection)


def downgrade() -> None:
    op.drop_index(_NAME)
