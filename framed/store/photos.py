"""What is known about photos: rows, steps, names, tags and places, and the questions asked about them."""

import json
import re
import time
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.sql.dml import Update

from framed.store.files import chunks
from framed.store.tables import (
    files,
    folders,
    people,
    photo_people,
    photo_places,
    photo_steps,
    photo_tags,
    photos,
    places,
    roots,
    tags,
)

OPEN = ("pending", "analysing")
SHOWN = ("completed", "partial")
"""States in which a photo may be asked for. `pending` ones join as soon as their preview is there."""


@dataclass(frozen=True)
class StepRow:
    """What came of one step of one photo. A failed or unavailable one has a problem, a completed one a result."""

    step: str
    version: int
    state: str
    result: dict[str, Any] | None = None
    problem: str | None = None


@dataclass
class PhotoWork:
    """A photo with what its steps know so far, as the pipeline hands it to the next step."""

    id: int
    uid: str
    steps: dict[str, tuple[int, str, int]]  # step → version, state, attempts
    results: dict[str, dict[str, Any]]
    paths: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)  # root, folder, name
    user_tags: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    """Names of those recognised by their faces."""


def slug(name: str) -> str:
    """An id for MQTT and URLs out of a name: ASCII letters, digits, '-' and '_', at most 32; '' if nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32]


# -- taking a file in ------------------------------------------------------------------------------------------------


_BY_CONTENT = select(photos.c.id, photos.c.uid).where(photos.c.sha256 == bindparam("b_sha256"))


def intake(connection: Connection, sha256: bytes, values: dict[str, Any]) -> tuple[int, str, bool]:
    """The photo of this content: id, uid, and whether it is new. `files.mark_read` brings a gone one back."""
    found = connection.execute(_BY_CONTENT, {"b_sha256": sha256}).first()
    if found is not None:
        return found.id, found.uid, False
    uid = sha256.hex()[:16]
    added = connection.execute(
        insert(photos).values(sha256=sha256, uid=uid, state="pending", added_at=time.time(), **values)
    )
    assert added.inserted_primary_key is not None
    return int(added.inserted_primary_key[0]), uid, True


_FOUND = photo_steps.c.result


def _step_row() -> Any:
    """Built once: SQLAlchemy takes longer to put this statement together than SQLite to run it.

    Where a step is done anew and fails, what it found before stays, beside the problem. A newer version begins to count
    its attempts anew.
    """
    given = {column.name: bindparam(f"b_{column.name}", type_=column.type) for column in photo_steps.c}
    statement = upsert(photo_steps).values({**given, "attempts": 1})
    return statement.on_conflict_do_update(
        index_elements=["photo_id", "step"],
        set_={
            "version": statement.excluded.version,
            "state": statement.excluded.state,
            "attempts": case((photo_steps.c.version < statement.excluded.version, 1), else_=photo_steps.c.attempts + 1),
            "problem": statement.excluded.problem,
            "result": case(
                (or_(statement.excluded.state == "failed", statement.excluded.state == "unavailable"), _FOUND),
                else_=statement.excluded.result,
            ),
            "at": statement.excluded.at,
        },
    )


_STEP_ROW = _step_row()


def set_steps(connection: Connection, photo_id: int, rows: Sequence[StepRow]) -> None:
    put_steps(connection, [(photo_id, row) for row in rows])


def put_steps(connection: Connection, rows: Sequence[tuple[int, StepRow]]) -> None:
    """Step rows of many photos, each with the photo's id."""
    now = time.time()
    if rows:
        connection.execute(
            _STEP_ROW,
            [
                {
                    "b_photo_id": photo_id,
                    "b_step": row.step,
                    "b_version": row.version,
                    "b_state": row.state,
                    "b_problem": row.problem,
                    "b_result": row.result,
                    "b_at": now,
                }
                for photo_id, row in rows
            ],
        )


def drop_steps(connection: Connection, photo_id: int, steps: Iterable[str]) -> None:
    connection.execute(
        delete(photo_steps).where(photo_steps.c.photo_id == photo_id, photo_steps.c.step.in_(list(steps)))
    )


def set_values(connection: Connection, photo_id: int, values: dict[str, Any]) -> None:
    if values:
        named = {f"b_{name}": value for name, value in values.items()}
        connection.execute(_values_of(tuple(values)), {"b_photo": photo_id, **named})


@lru_cache(maxsize=128)
def _values_of(names: tuple[str, ...]) -> Any:
    values = {name: bindparam(f"b_{name}", type_=photos.c[name].type) for name in names}
    return update(photos).where(photos.c.id == bindparam("b_photo")).values(values)


_SETTLED = update(photos).where(photos.c.id == bindparam("b_photo"), photos.c.state != "gone")
_SETTLED = _SETTLED.values(state=bindparam("b_state"))


def settle(connection: Connection, states: Mapping[int, str]) -> set[int]:
    """Gives photos these states; those that took theirs: one whose last file has gone meanwhile stays gone."""
    return {
        photo
        for photo, state in states.items()
        if connection.execute(_SETTLED, {"b_photo": photo, "b_state": state}).rowcount
    }


def work(connection: Connection, limit: int, after: int, skip: Sequence[int] = ()) -> list[PhotoWork]:
    """The next photos with unfinished steps, oldest id first, with every result so far."""
    query = select(photos.c.id, photos.c.uid).where(photos.c.state.in_(OPEN), photos.c.id > after)
    if skip:
        query = query.where(photos.c.id.not_in(list(skip)))
    found = {
        row.id: PhotoWork(row.id, row.uid, {}, {})
        for row in connection.execute(query.order_by(photos.c.id).limit(limit))
    }
    return _with_steps(connection, found)


def work_of(connection: Connection, ids: Sequence[int]) -> list[PhotoWork]:
    query = select(photos.c.id, photos.c.uid).where(photos.c.id.in_(list(ids)))
    found = {row.id: PhotoWork(row.id, row.uid, {}, {}) for row in connection.execute(query)}
    return _with_steps(connection, found)


def _with_steps(connection: Connection, found: dict[int, PhotoWork]) -> list[PhotoWork]:
    if not found:
        return []
    for row in connection.execute(select(photo_steps).where(photo_steps.c.photo_id.in_(list(found)))):
        photo = found[row.photo_id]
        photo.steps[row.step] = (row.version, row.state, row.attempts)
        if row.result is not None:
            photo.results[row.step] = row.result
    where = (
        select(files.c.photo_id, roots.c.path.label("root"), folders.c.path.label("folder"), files.c.name)
        .join(folders, folders.c.id == files.c.folder_id)
        .join(roots, roots.c.id == folders.c.root_id)
        .where(files.c.photo_id.in_(list(found)))
        .order_by(files.c.id)
    )
    for row in connection.execute(where):
        found[row.photo_id].paths.append((row.root, row.folder, row.name))
    given = (
        select(photo_tags.c.photo_id, tags.c.name)
        .join(tags, tags.c.id == photo_tags.c.tag_id)
        .where(photo_tags.c.photo_id.in_(list(found)), photo_tags.c.source == "user")
    )
    for row in connection.execute(given):
        found[row.photo_id].user_tags.append(row.name)
    seen = (
        select(photo_people.c.photo_id, people.c.name)
        .join(people, people.c.id == photo_people.c.person_id)
        .where(photo_people.c.photo_id.in_(list(found)), photo_people.c.source == "face", people.c.hidden.is_(False))
        .order_by(people.c.name)
    )
    for row in connection.execute(seen):
        found[row.photo_id].people.append(row.name)
    return list(found.values())


def reopen_older(
    connection: Connection, steps: Sequence[str], *, uid: str | None, since: float, after: int, limit: int
) -> list[int]:
    """What these steps found before `since` is out of date, and holds until something newer is found; those photos are
    marked as unfinished. The ids that it looked at, in order from `after` on."""
    query = _present(uid, since).where(photos.c.id > after).limit(limit)
    ids: list[int] = list(connection.execute(query).scalars())
    old = photo_steps.c.photo_id.in_(ids) & photo_steps.c.step.in_(list(steps)) & (photo_steps.c.at < since)
    stale = list(connection.execute(select(photo_steps.c.photo_id).where(old).distinct()).scalars())
    connection.execute(outdate().where(old))
    connection.execute(update(photos).where(photos.c.id.in_(stale)).values(state="pending"))
    return ids


def outdate() -> Update:
    """Of the step rows that it is narrowed to: an older version than any, so the steps are undone, as after an update,
    and as if never tried."""
    return update(photo_steps).values(version=0, attempts=0)


def reopen_lacking(connection: Connection, steps: Sequence[str], *, uid: str | None, since: float) -> int:
    """Marks finished photos that lack one of these steps, or have it out of date, as unfinished; how many."""
    whole = select(photo_steps.c.photo_id).where(photo_steps.c.step.in_(list(steps)), photo_steps.c.version > 0)
    whole = whole.group_by(photo_steps.c.photo_id).having(func.count() >= len(steps))
    done = connection.execute(
        update(photos)
        .where(
            photos.c.id.in_(_present(uid, since).scalar_subquery()),
            photos.c.state.in_(SHOWN),
            photos.c.id.not_in(whole.scalar_subquery()),
        )
        .values(state="pending")
    )
    return int(done.rowcount)


def not_redone(connection: Connection, steps: Sequence[str], *, uid: str | None, since: float) -> tuple[int, int]:
    """Of how many photos one of these steps failed since, and of how many one is still out of date."""
    these = select(photo_steps.c.photo_id).where(photo_steps.c.step.in_(list(steps)))
    failed = these.where(photo_steps.c.state == "failed", photo_steps.c.at >= since)
    counts = []
    for which in (failed, these.where(photo_steps.c.version == 0)):
        found = _present(uid, since).where(photos.c.id.in_(which)).subquery()
        counts.append(int(connection.execute(select(func.count()).select_from(found)).scalar_one()))
    return counts[0], counts[1]


def count_open(connection: Connection, *, uid: str | None, since: float) -> int:
    """Unfinished photos among those that were there at `since`."""
    wanted = _present(uid, since).where(photos.c.state.in_(OPEN)).subquery()
    return int(connection.execute(select(func.count()).select_from(wanted)).scalar_one())


def _present(uid: str | None, since: float) -> Select[int]:
    query = select(photos.c.id).where(photos.c.state != "gone", photos.c.added_at <= since).order_by(photos.c.id)
    return query if uid is None else query.where(photos.c.uid == uid)


def reopen_outdated(connection: Connection, versions: dict[str, int]) -> int:
    """Photos whose finished steps are older than these, or lack one: marked as unfinished. How many."""
    count = 0
    for name, version in versions.items():
        current = select(photo_steps.c.photo_id).where(photo_steps.c.step == name, photo_steps.c.version >= version)
        done = connection.execute(
            update(photos)
            .where(photos.c.state.in_((*SHOWN, "failed")), photos.c.id.not_in(current.scalar_subquery()))
            .values(state="pending")
        )
        count += int(done.rowcount)
    return count


def reopen_unavailable(connection: Connection, step: str) -> int:
    """The backend of a step appeared: photos that had to do without it get it now."""
    lacking = select(photo_steps.c.photo_id).where(photo_steps.c.step == step, photo_steps.c.state == "unavailable")
    done = connection.execute(
        update(photos)
        .where(photos.c.state.in_(SHOWN), photos.c.id.in_(lacking.scalar_subquery()))
        .values(state="pending")
    )
    return int(done.rowcount)


def redescribe(connection: Connection, ids: Sequence[int]) -> None:
    """What is said of these photos is to be said anew; of one that is gone, when it returns."""
    for some in chunks(ids):
        steps = photo_steps.c.step.in_(("description", "text_embedding"))
        connection.execute(delete(photo_steps).where(photo_steps.c.photo_id.in_(some), steps))
        connection.execute(
            update(photos).where(photos.c.id.in_(some), photos.c.state != "gone").values(state="pending")
        )


# -- names, places, tags, words --------------------------------------------------------------------------------------


# The statements of every indexed photo, made once.
_PLACE = select(places.c.id).where(places.c.slug == bindparam("b_slug"))
_NO_PLACES = delete(photo_places).where(photo_places.c.photo_id == bindparam("b_photo"))
_PHOTO_PLACE = upsert(photo_places).on_conflict_do_nothing()
_TAGS = select(tags.c.id, tags.c.name).where(tags.c.name.in_(bindparam("b_names", expanding=True)))
_NO_TAGS = delete(photo_tags).where(
    photo_tags.c.photo_id == bindparam("b_photo"), photo_tags.c.source == bindparam("b_source")
)
_PHOTO_TAG = upsert(photo_tags).on_conflict_do_nothing()
_NO_PEOPLE = delete(photo_people).where(
    photo_people.c.photo_id == bindparam("b_photo"), photo_people.c.source == bindparam("b_source")
)
_NO_TEXT = text("delete from photo_text where rowid = :id")
_TEXT = text("insert into photo_text(rowid, body) values (:id, :body)")


def person_id(connection: Connection, name: str) -> int:
    wanted = slug(name) or f"person-{zlib.crc32(name.encode())}"
    found = connection.execute(select(people.c.id).where(people.c.slug == wanted)).scalar()
    if found is None:
        found = named_person(connection, name)
    if found is None:
        made = connection.execute(insert(people).values(slug=wanted, name=name.strip(), aliases=[]))
        assert made.inserted_primary_key is not None
        found = made.inserted_primary_key[0]
    return int(found)


def named_person(connection: Connection, name: str) -> int | None:
    """Who else goes by this name, since somebody said that two were one or wrote a name anew."""
    query = text("select people.id from people, json_each(people.aliases) as a where lower(a.value) = :name limit 1")
    found = connection.execute(query, {"name": name.strip().lower()}).scalar()
    return int(found) if found is not None else None


def set_people(
    connection: Connection, photo_id: int, regions: Iterable[tuple[str, list[float] | None]], source: str
) -> None:
    connection.execute(_NO_PEOPLE, {"b_photo": photo_id, "b_source": source})
    for name, box in regions:
        if name.strip():
            row = {"photo_id": photo_id, "person_id": person_id(connection, name), "box": box, "source": source}
            connection.execute(upsert(photo_people).values(**row).on_conflict_do_nothing())


def place_id(connection: Connection, slug_: str, name: str, level: str, country_code: str | None) -> int:
    found = connection.execute(_PLACE, {"b_slug": slug_}).scalar()
    if found is None:
        made = connection.execute(insert(places).values(slug=slug_, name=name, level=level, country_code=country_code))
        assert made.inserted_primary_key is not None
        found = made.inserted_primary_key[0]
    return int(found)


def set_places(connection: Connection, photo_id: int, rows: Iterable[tuple[str, str, str, str | None, int]]) -> None:
    """Rows are slug, name, level, country code, rank (see `photo_places.rank`)."""
    connection.execute(_NO_PLACES, {"b_photo": photo_id})
    placed = [
        {"photo_id": photo_id, "place_id": place_id(connection, slug_, name, level, country_code), "rank": rank}
        for slug_, name, level, country_code, rank in rows
    ]
    if placed:
        connection.execute(_PHOTO_PLACE, placed)


def tag_ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    found = {row.name: row.id for row in connection.execute(_TAGS, {"b_names": list(names)})}
    for name in names:
        if name not in found:
            made = connection.execute(insert(tags).values(name=name))
            assert made.inserted_primary_key is not None
            found[name] = int(made.inserted_primary_key[0])
    return found


def set_tags(connection: Connection, photo_id: int, scores: dict[str, float], source: str) -> None:
    ids = tag_ids(connection, list(scores))
    connection.execute(_NO_TAGS, {"b_photo": photo_id, "b_source": source})
    rows = [
        {"photo_id": photo_id, "tag_id": ids[name], "score": round(score, 3), "source": source}
        for name, score in scores.items()
    ]
    if rows:
        connection.execute(_PHOTO_TAG, rows)


def set_text(connection: Connection, photo_id: int, body: str) -> None:
    connection.execute(_NO_TEXT, {"id": photo_id})
    connection.execute(_TEXT, {"id": photo_id, "body": body})


# -- looking ---------------------------------------------------------------------------------------------------------


def counts(connection: Connection) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(select(photos.c.state, func.count()).group_by(photos.c.state))}


@dataclass(frozen=True)
class Standing:
    """The library as it was at one moment: a file that becomes a photo is in one of the numbers, never in none."""

    photos: dict[str, int]
    parked: int
    unread: int
    people: int


def standing(connection: Connection) -> Standing:
    return Standing(counts(connection), parked_count(connection), unread_count(connection), people_count(connection))


def uids_of(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    query = select(photos.c.id, photos.c.uid).where(photos.c.id.in_(list(ids)))
    return {row.id: row.uid for row in connection.execute(query)}


def ids_of(connection: Connection, uids: Sequence[str]) -> dict[str, int]:
    return {
        row.uid: row.id
        for row in connection.execute(select(photos.c.uid, photos.c.id).where(photos.c.uid.in_(list(uids))))
    }


def of_burst(connection: Connection, burst: int) -> list[int]:
    return list(connection.execute(select(photos.c.id).where(photos.c.burst == burst)).scalars())


def family_of(connection: Connection, photo_id: int) -> list[int]:
    """Photos whose place in a burst or among duplicates may change with this one's."""
    own = connection.execute(select(photos.c.burst, photos.c.duplicate_of).where(photos.c.id == photo_id)).first()
    if own is None:
        return []
    same = [photos.c.duplicate_of == photo_id]
    if own.burst is not None:
        same.append(photos.c.burst == own.burst)
    if own.duplicate_of is not None:
        same += [photos.c.duplicate_of == own.duplicate_of, photos.c.id == own.duplicate_of]
    return list(connection.execute(select(photos.c.id).where(or_(*same))).scalars())


_WANTED: BindParameter[Any] = bindparam("b_photos", expanding=True)
_CARD = select(photos).where(photos.c.id.in_(_WANTED))
_CARD_PEOPLE = (
    select(photo_people.c.photo_id, people.c.slug, people.c.name, photo_people.c.box)
    .join(people, people.c.id == photo_people.c.person_id)
    .where(photo_people.c.photo_id.in_(_WANTED), people.c.hidden.is_(False))
)
_CARD_PLACES = (
    select(photo_places.c.photo_id, photo_places.c.rank, places.c.slug, places.c.name, places.c.level)
    .join(places, places.c.id == photo_places.c.place_id)
    .where(photo_places.c.photo_id.in_(_WANTED))
    .order_by(photo_places.c.rank)
)
_CARD_TAGS = (
    select(photo_tags.c.photo_id, tags.c.name, photo_tags.c.score)
    .join(tags, tags.c.id == photo_tags.c.tag_id)
    .where(photo_tags.c.photo_id.in_(_WANTED))
    .order_by(photo_tags.c.score.desc())
)
_PATHS = (
    select(files.c.photo_id, roots.c.path.label("root"), folders.c.path.label("folder"), files.c.name)
    .join(folders, folders.c.id == files.c.folder_id)
    .join(roots, roots.c.id == folders.c.root_id)
    .where(files.c.photo_id.in_(_WANTED))
)


def cards(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What a person sees of these photos, by id: everything the answer, the caption and the reasons are made from."""
    if not ids:
        return {}
    wanted = list(ids)
    found: dict[int, dict[str, Any]] = {}
    given = {"b_photos": wanted}
    for photo in connection.execute(_CARD, given).mappings():
        found[photo["id"]] = {**photo, "people": [], "tags": {}, "places": [], "path": "", "folder": ""}
    for row in connection.execute(_CARD_PEOPLE, given):
        found[row.photo_id]["people"].append({"id": row.slug, "name": row.name, "box": row.box})
    for place in connection.execute(_CARD_PLACES, given):
        found[place.photo_id]["places"].append(
            {"id": place.slug, "name": place.name, "level": place.level, "rank": place.rank}
        )
    for word in connection.execute(_CARD_TAGS, given):
        found[word.photo_id]["tags"][word.name] = word.score
    for photo_id, (path, folder) in paths(connection, wanted).items():
        found[photo_id]["path"], found[photo_id]["folder"] = path, folder
    return found


def paths(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Each photo's path and folder as text for people (bytes that are no UTF-8 are replaced)."""
    found: dict[int, tuple[str, str]] = {}
    for row in connection.execute(_PATHS, {"b_photos": list(ids)}):
        if row.photo_id not in found:
            folder = row.folder.decode(errors="replace")
            parts = [row.root.decode(errors="replace"), folder, row.name.decode(errors="replace")]
            found[row.photo_id] = ("/".join(part for part in parts if part), folder)
    return found


def steps_of(connection: Connection, photo_id: int) -> dict[str, dict[str, Any]]:
    rows = connection.execute(select(photo_steps).where(photo_steps.c.photo_id == photo_id)).mappings()
    return {
        row["step"]: {key: row[key] for key in ("version", "state", "attempts", "problem", "result")} for row in rows
    }


def vocabulary(connection: Connection) -> dict[str, list[tuple[str, str, list[str]]]]:
    """Names of the library for the grammar: people, places, folders as (id, name, aliases), tags by name."""
    named: dict[str, list[tuple[str, str, list[str]]]] = {}
    named["people"] = [
        (row.slug, row.name, list(row.aliases))
        for row in connection.execute(select(people).where(people.c.hidden.is_(False), people.c.name != ""))
    ]
    named["places"] = [(row.slug, row.name, []) for row in connection.execute(select(places))]
    named["folders"] = [
        (str(row.id), row.path.decode(errors="replace").rpartition("/")[2], [row.path.decode(errors="replace")])
        for row in connection.execute(select(folders.c.id, folders.c.path).where(folders.c.path != b""))
    ]
    named["tags"] = [(row.name, row.name, []) for row in connection.execute(select(tags.c.name))]
    return named


def parked(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Files that could not be read, with why; newest first."""
    query = (
        select(roots.c.path.label("root"), folders.c.path.label("folder"), files.c.name, files.c.problem)
        .join(folders, folders.c.id == files.c.folder_id)
        .join(roots, roots.c.id == folders.c.root_id)
        .where(files.c.state == "parked", text("files.state <> 'read'"))
        .order_by(files.c.id.desc())
        .limit(limit)
    )
    return [
        {
            "path": b"/".join(part for part in (row.root, row.folder, row.name) if part).decode(errors="replace"),
            "problem": row.problem,
        }
        for row in connection.execute(query)
    ]


def parked_count(connection: Connection) -> int:
    return _files_in(connection, "parked")


def unread_count(connection: Connection) -> int:
    return _files_in(connection, "new")


def _files_in(connection: Connection, state: str) -> int:
    # Spelt as the index `files_todo` has it, or SQLite reads all rows: 0.1 s of a million files.
    query = select(func.count()).select_from(files).where(files.c.state == state, text("state <> 'read'"))
    return int(connection.execute(query).scalar() or 0)


def json_ids(ids: Iterable[int]) -> str:
    return json.dumps(list(ids))


def people_count(connection: Connection) -> int:
    query = select(func.count(func.distinct(photo_people.c.person_id)))
    return int(connection.execute(query).scalar() or 0)
