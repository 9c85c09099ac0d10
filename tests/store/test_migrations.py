"""The schema of an older version is brought up to date with everything in it."""

from pathlib import Path

import pysqlite3
from sqlalchemy import text

from framed.store.database import SCHEMA_HEAD, Database

OLD = """
drop table photo_traits; drop table people_apart; drop table face_rules; drop table faces;
alter table photos drop column aesthetic; alter table people drop column cover_face;
insert into photos (id, uid, sha256, state, added_at) values (1, 'a', x'00', 'completed', 0);
update alembic_version set version_num = '0001';
"""


async def test_a_store_of_the_first_schema_gets_what_is_new_and_keeps_its_photos(tmp_path: Path) -> None:
    path = tmp_path / "framed.db"
    database = Database(path)
    await database.start()
    await database.close()
    raw = pysqlite3.connect(path)
    raw.executescript(OLD)
    raw.close()

    database = Database(path)
    await database.start()
    try:
        rows = await database.read(lambda c: c.execute(text("select uid, aesthetic from photos")).all())
        assert [tuple(row) for row in rows] == [("a", None)]
        await database.read(lambda c: c.execute(text("select * from faces, face_rules, photo_traits")).all())
        assert await database.read(lambda c: c.execute(text("select * from alembic_version")).scalar()) == SCHEMA_HEAD
    finally:
        await database.close()
