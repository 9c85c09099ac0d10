"""Faces found in photos, what people said of them, and whose photos those are."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store.tables import face_rules, faces, people, people_apart, photo_people, photos

Box = Sequence[float]
_SAME_PLACE = 0.5


@dataclass(frozen=True)
class Found:
    """A face as a model found it; see `tables.faces`."""

    box: list[float]
    points: list[list[float]] | None
    score: float
    quality: float
    vector: NDArray[np.float32]
    child: float | None = None
    eyes_open: float | None = None


@dataclass
class Loaded:
    """Every face of a model in photos that are still there, as arrays, and what was said."""

    ids: NDArray[np.int64]
    photo: NDArray[np.int64]
    vectors: NDArray[np.float32]
    quality: NDArray[np.float32]
    child: NDArray[np.float32]
    person: NDArray[np.int64]
    said: NDArray[np.int64]
    refused: set[tuple[int, int]] = field(default_factory=set)
    apart: set[tuple[int, int]] = field(default_factory=set)
    named: set[int] = field(default_factory=set)


def same_place(one: Box, other: Box) -> float:
    """How much two boxes mark the same face: the shared part of the smaller, 0 where sizes or middles differ much.
    Models and programs disagree about how much of the head is the face."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    small, large = sorted((one[2] * one[3], other[2] * other[3]))
    if width <= 0 or height <= 0 or small <= 0 or large > 8 * small:
        return 0.0
    apart_x = abs(one[0] + one[2] / 2 - other[0] - other[2] / 2)
    apart_y = abs(one[1] + one[3] / 2 - other[1] - other[3] / 2)
    if apart_x > max(one[2], other[2]) / 2 or apart_y > max(one[3], other[3]) / 2:
        return 0.0
    return float(width * height / small)


def _matched(boxes: Sequence[Box], others: Sequence[Box]) -> dict[int, int]:
    """Which of `boxes` is which of `others`, the best agreement first, each once."""
    pairs = sorted(
        ((same_place(one, other), a, b) for a, one in enumerate(boxes) for b, other in enumerate(others)), reverse=True
    )
    found: dict[int, int] = {}
    for value, a, b in pairs:
        if value >= _SAME_PLACE and a not in found and b not in found.values():
            found[a] = b
    return found


# -- what a model found ----------------------------------------------------------------------------------------------


def put(connection: Connection, photo_id: int, model: str, found: Sequence[Found], regions: Sequence[Any]) -> None:
    """The faces of a photo, in place of those it had. Each keeps its person, by place in the picture: first as somebody
    said, then as the file's `regions` (name and x, y, w, h) say, then as it was grouped before."""
    before = connection.execute(
        select(faces.c.box, faces.c.person_id, faces.c.named_by, faces.c.model).where(faces.c.photo_id == photo_id)
    ).all()
    carried = _matched([face.box for face in found], [row.box for row in before])
    connection.execute(delete(faces).where(faces.c.photo_id == photo_id))
    for number, face in enumerate(found):
        old = before[carried[number]] if number in carried else None
        grouped = old is not None and old.named_by == "cluster"
        connection.execute(
            insert(faces).values(
                photo_id=photo_id,
                model=model,
                box=face.box,
                points=face.points,
                score=face.score,
                quality=face.quality,
                child=face.child,
                eyes_open=face.eyes_open,
                vector=face.vector.astype(np.float16).tobytes(),
                person_id=old.person_id if old is not None and grouped else None,
                named_by="cluster" if grouped else None,
            )
        )
    settle(connection, photo_id, regions)
    tell_photos(connection, [photo_id])


def settle(connection: Connection, photo_id: int, regions: Sequence[Any] | None = None) -> None:
    """Writes to a photo's faces what people, and its file, said of them."""
    rows = connection.execute(
        select(faces.c.id, faces.c.box, faces.c.person_id, faces.c.named_by).where(faces.c.photo_id == photo_id)
    ).all()
    if not rows:
        return
    boxes = [row.box for row in rows]
    rules = connection.execute(select(face_rules).where(face_rules.c.photo_id == photo_id)).all()
    is_, refused = [r for r in rules if r.rule == "is"], [r for r in rules if r.rule == "is_not"]
    said: dict[int, tuple[int | None, str | None]] = {}
    for number, place in _matched(boxes, [rule.box for rule in is_]).items():
        said[number] = (is_[place].person_id, "user")
    not_this = {
        (number, rule.person_id)
        for rule in refused
        for number, box in enumerate(boxes)
        if same_place(box, rule.box) >= _SAME_PLACE
    }
    for number, person in _from_file(connection, photo_id, boxes, regions).items():
        if number not in said and (number, person) not in not_this:
            said[number] = (person, "metadata")
    for number, row in enumerate(rows):
        if number in said:
            now = said[number]
        elif row.named_by == "user" or (number, row.person_id) in not_this:
            now = (None, None)
        else:
            continue
        if now != (row.person_id, row.named_by):
            connection.execute(update(faces).where(faces.c.id == row.id).values(person_id=now[0], named_by=now[1]))


def _from_file(
    connection: Connection, photo_id: int, boxes: Sequence[Box], regions: Sequence[Any] | None
) -> dict[int, int]:
    """Faces by what the file says: the names with their boxes, or the one name of the one face."""
    known = connection.execute(
        select(photo_people.c.person_id, photo_people.c.box).where(
            photo_people.c.photo_id == photo_id, photo_people.c.source == "metadata"
        )
    ).all()
    placed = [row for row in known if row.box is not None]
    found = {number: placed[place].person_id for number, place in _matched(boxes, [row.box for row in placed]).items()}
    if len(known) == len(boxes) == 1 and not placed:
        found[0] = known[0].person_id
    return found


def tell_photos(connection: Connection, photo_ids: Iterable[int]) -> list[int]:
    """Writes down which named people these photos show by their faces; the photos for which that is something new."""
    changed: list[int] = []
    for photo_id in photo_ids:
        now = {
            row.person_id: row.box
            for row in connection.execute(
                select(faces.c.person_id, faces.c.box)
                .join(people, people.c.id == faces.c.person_id)
                .where(faces.c.photo_id == photo_id, people.c.name != "")
            )
        }
        own = (photo_people.c.photo_id == photo_id) & (photo_people.c.source == "face")
        before = set(connection.execute(select(photo_people.c.person_id).where(own)).scalars())
        known = set(
            connection.execute(select(photo_people.c.person_id).where(photo_people.c.photo_id == photo_id)).scalars()
        )
        if now.keys() - known or before - now.keys():
            changed.append(photo_id)
        connection.execute(delete(photo_people).where(own, photo_people.c.person_id.not_in(list(now))))
        for person, box in now.items():
            row = {"photo_id": photo_id, "person_id": person, "box": box, "source": "face"}
            connection.execute(upsert(photo_people).values(**row).on_conflict_do_nothing())
    return changed


# -- grouping --------------------------------------------------------------------------------------------------------


def load(connection: Connection, model: str) -> Loaded:
    """Everything that grouping is made from."""
    query = (
        select(
            faces.c.id,
            faces.c.photo_id,
            faces.c.vector,
            faces.c.quality,
            faces.c.child,
            faces.c.person_id,
            faces.c.named_by,
            faces.c.box,
        )
        .join(photos, photos.c.id == faces.c.photo_id)
        .where(faces.c.model == model, photos.c.state != "gone")
        .order_by(faces.c.id)
    )
    rows = connection.execute(query).all()
    count = len(rows)
    dim = len(rows[0].vector) // 2 if rows else 0
    said = [(row.person_id or 0) if row.named_by in ("user", "metadata") else 0 for row in rows]
    found = Loaded(
        ids=np.fromiter((row.id for row in rows), np.int64, count),
        photo=np.fromiter((row.photo_id for row in rows), np.int64, count),
        vectors=np.frombuffer(b"".join(row.vector for row in rows), np.float16).reshape(count, dim).astype(np.float32),
        quality=np.fromiter((row.quality for row in rows), np.float32, count),
        child=np.fromiter((row.child or 0.0 for row in rows), np.float32, count),
        person=np.fromiter((row.person_id or 0 for row in rows), np.int64, count),
        said=np.array(said, np.int64),
    )
    found.refused = _refused(connection, {row.photo_id: [] for row in rows}, rows)
    found.apart = {(row.one, row.other) for row in connection.execute(select(people_apart))}
    found.named = set(connection.execute(select(people.c.id).where(people.c.name != "")).scalars())
    return found


def _refused(connection: Connection, photos_of: dict[int, list[int]], rows: Sequence[Any]) -> set[tuple[int, int]]:
    refusals = connection.execute(select(face_rules).where(face_rules.c.rule == "is_not")).all()
    if not refusals:
        return set()
    for number, row in enumerate(rows):
        photos_of[row.photo_id].append(number)
    return {
        (number, rule.person_id)
        for rule in refusals
        for number in photos_of.get(rule.photo_id, [])
        if same_place(rows[number].box, rule.box) >= _SAME_PLACE
    }


def regroup(
    connection: Connection,
    model: str,
    loaded: Loaded,
    person: NDArray[np.int64],
    core: NDArray[np.bool_] | None,
) -> tuple[list[int], list[int]]:
    """Writes a grouping of `loaded` down; new groups (negative numbers) become people without a name. What somebody
    said meanwhile stands. Gives the photos whose faces changed hands, and those of them with other named people now."""
    person = person.copy()
    for new in np.unique(person[person < 0]).tolist():
        person[person == new] = make_person(connection, "")
    moved = np.flatnonzero((person != loaded.person) & (loaded.said == 0))
    theirs = faces.c.named_by.is_(None) | (faces.c.named_by == "cluster")
    for row in moved.tolist():
        to = int(person[row]) or None
        connection.execute(
            update(faces)
            .where(faces.c.id == int(loaded.ids[row]), faces.c.model == model, theirs)
            .values(person_id=to, named_by="cluster" if to else None)
        )
    if core is not None:
        connection.execute(update(faces).where(faces.c.model == model, faces.c.core).values(core=False))
        for start in range(0, len(loaded.ids), 500):
            some = loaded.ids[start : start + 500][core[start : start + 500]].tolist()
            connection.execute(update(faces).where(faces.c.id.in_(some)).values(core=True))
    touched = np.unique(loaded.photo[moved]).tolist()
    changed = tell_photos(connection, touched)
    drop_empty(connection)
    return touched, changed


def drop_empty(connection: Connection) -> None:
    """People without a name whom no face and no word of anybody knows any more."""
    connection.execute(
        text(
            "delete from people where name = '' and id not in (select person_id from faces where person_id is not null)"
            " and id not in (select person_id from photo_people) and id not in (select person_id from face_rules)"
        )
    )


def make_person(connection: Connection, name: str, slug: str | None = None) -> int:
    made = connection.execute(insert(people).values(slug=slug or "new", name=name, aliases=[]))
    assert made.inserted_primary_key is not None
    found = int(made.inserted_primary_key[0])
    if slug is None:
        connection.execute(update(people).where(people.c.id == found).values(slug=f"person-{found}"))
    return found


def redo_other_models(connection: Connection, step: str, model: str) -> int:
    """Another model finds faces now: photos looked at by another are to be looked at again. How many."""
    done = connection.execute(
        text("delete from photo_steps where step = :step and json_extract(result, '$.model') <> :model"),
        {"step": step, "model": model},
    )
    return int(done.rowcount)


# -- what people say -------------------------------------------------------------------------------------------------


def say(connection: Connection, face_ids: Sequence[int], person: int, rule: str) -> list[int]:
    """Somebody says that these faces are (`is`) or are not (`is_not`) this person; their photos."""
    rows = connection.execute(select(faces.c.photo_id, faces.c.box).where(faces.c.id.in_(list(face_ids)))).all()
    now = time.time()
    for row in rows:
        for old in connection.execute(select(face_rules).where(face_rules.c.photo_id == row.photo_id)).all():
            here = same_place(old.box, row.box) >= _SAME_PLACE
            contrary = old.rule == "is" if rule == "is" else old.rule == "is" and old.person_id == person
            if here and (contrary or old.person_id == person):
                connection.execute(delete(face_rules).where(face_rules.c.id == old.id))
        connection.execute(
            insert(face_rules).values(photo_id=row.photo_id, box=row.box, person_id=person, rule=rule, at=now)
        )
    touched = sorted({row.photo_id for row in rows})
    for photo_id in touched:
        settle(connection, photo_id)
    return touched


def pin(connection: Connection, person: int, most: int = 24) -> None:
    """What somebody sees when giving a name holds from now on: the best faces are this person's by their word."""
    query = (
        select(faces.c.id)
        .where(faces.c.person_id == person, faces.c.named_by == "cluster")
        .order_by(faces.c.core.desc(), faces.c.quality.desc())
        .limit(most)
    )
    say(connection, list(connection.execute(query).scalars()), person, "is")


def photos_of(connection: Connection, person: int) -> list[int]:
    by_face = select(faces.c.photo_id).where(faces.c.person_id == person)
    by_word = select(photo_people.c.photo_id).where(photo_people.c.person_id == person)
    return sorted(set(connection.execute(by_face.union(by_word)).scalars()))


def unlooked(connection: Connection) -> int:
    """How many photos have not been looked through for faces, whatever keeps it: no model, or no time yet."""
    query = (
        "select (select count(*) from photos where state in ('completed', 'partial')) - (select count(*) from "
        "photo_steps where step = 'faces' and state in ('completed', 'skipped', 'failed'))"
    )
    return max(0, int(connection.exec_driver_sql(query).scalar() or 0))
