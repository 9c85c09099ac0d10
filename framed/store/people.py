"""People: groups of faces with and without a name, and what somebody decides about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from framed.store import faces as face_rows
from framed.store.photos import named_person, slug
from framed.store.tables import face_rules, faces, people, people_apart, photo_people, photos


@dataclass(frozen=True)
class Person:
    id: int
    slug: str
    name: str
    aliases: list[str]
    hidden: bool


_LIST = """
with seen as (
  select person_id, photo_id from faces where person_id is not null
  union select person_id, photo_id from photo_people
), counted as (
  select seen.person_id, count(*) as photos from seen join photos on photos.id = seen.photo_id
  where photos.state <> 'gone' group by seen.person_id
)
select people.id, people.slug, people.name, people.aliases, people.hidden, people.cover_face, counted.photos
from people join counted on counted.person_id = people.id
where people.hidden = :hidden and (:named is null or (people.name <> '') = :named)
  and (people.name <> '' or counted.photos >= :least)
order by people.name = '', counted.photos desc, people.id limit :limit offset :offset
"""


def listed(
    connection: Connection, *, named: bool | None, hidden: bool, least: int, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Those with a name first, then by how many photos show them; without a name only from `least` photos on."""
    given = {"named": named, "hidden": hidden, "least": least, "limit": limit, "offset": offset}
    rows = connection.execute(text(_LIST), given).mappings().all()
    covers = _covers(connection, [(row["id"], row["cover_face"]) for row in rows])
    return [
        {
            "id": row["slug"],
            "name": row["name"] or None,
            "photos": row["photos"],
            "hidden": bool(row["hidden"]),
            "cover": covers.get(row["id"]),
        }
        for row in rows
    ]


def _covers(connection: Connection, wanted: Sequence[tuple[int, int | None]]) -> dict[int, dict[str, Any]]:
    """The face that stands for each person: the chosen one, else the best."""
    found: dict[int, dict[str, Any]] = {}
    for person, chosen in wanted:
        query = (
            select(faces.c.id, photos.c.uid)
            .join(photos, photos.c.id == faces.c.photo_id)
            .where(faces.c.person_id == person, photos.c.state != "gone")
            .order_by((faces.c.id == (chosen or 0)).desc(), faces.c.quality.desc(), faces.c.id)
            .limit(1)
        )
        row = connection.execute(query).first()
        if row is not None:
            found[person] = {"face": row.id, "photo": row.uid}
    return found


def count(connection: Connection, *, least: int = 2) -> dict[str, int]:
    """How many people have a name, how many groups have none, and how many faces belong to nobody."""
    groups = (
        select(faces.c.person_id)
        .join(people, people.c.id == faces.c.person_id)
        .where(people.c.name == "", people.c.hidden.is_(False))
        .group_by(faces.c.person_id)
        .having(func.count(faces.c.photo_id.distinct()) >= least)
    )
    named = select(func.count()).select_from(people).where(people.c.name != "", people.c.hidden.is_(False))
    alone = select(func.count()).select_from(faces).where(faces.c.person_id.is_(None))
    return {
        "named": int(connection.execute(named).scalar_one()),
        "unnamed": int(connection.execute(select(func.count()).select_from(groups.subquery())).scalar_one()),
        "faces_alone": int(connection.execute(alone).scalar_one()),
    }


def find(connection: Connection, slug_: str) -> Person | None:
    row = connection.execute(select(people).where(people.c.slug == slug_)).first()
    return Person(row.id, row.slug, row.name, list(row.aliases), bool(row.hidden)) if row is not None else None


def by_id(connection: Connection, person: int) -> Person | None:
    slug_ = connection.execute(select(people.c.slug).where(people.c.id == person)).scalar()
    return find(connection, slug_) if slug_ is not None else None


def by_name(connection: Connection, name: str) -> int | None:
    """The person who is called this, by name or alias."""
    found = connection.execute(select(people.c.id).where(func.lower(people.c.name) == name.strip().lower())).scalar()
    return int(found) if found is not None else named_person(connection, name)


def faces_of(connection: Connection, person: int, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    """The faces of a person, the best first, and how many there are."""
    own = (faces.c.person_id == person) & (photos.c.state != "gone")
    query = (
        select(faces.c.id, faces.c.box, faces.c.quality, faces.c.named_by, photos.c.uid)
        .join(photos, photos.c.id == faces.c.photo_id)
        .where(own)
        .order_by(faces.c.quality.desc(), faces.c.id)
    )
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    many = select(func.count()).select_from(faces).join(photos, photos.c.id == faces.c.photo_id).where(own)
    items = [
        {"face": row.id, "photo": row.uid, "box": row.box, "quality": row.quality, "said_by": row.named_by}
        for row in rows
    ]
    return items, int(connection.execute(many).scalar_one())


def faces_in(connection: Connection, photo_id: int) -> list[dict[str, Any]]:
    """The faces of a photo from left to right, with who they are."""
    query = (
        select(faces.c.id, faces.c.box, faces.c.eyes_open, people.c.slug, people.c.name)
        .outerjoin(people, people.c.id == faces.c.person_id)
        .where(faces.c.photo_id == photo_id)
    )
    found = [
        {"face": row.id, "box": row.box, "person": row.slug, "name": row.name or None, "eyes_open": row.eyes_open}
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda face: float(face["box"][0]))


def people_of_faces(connection: Connection, ids: Sequence[int]) -> dict[int, int | None]:
    """Each of these faces that exists, with its person."""
    query = select(faces.c.id, faces.c.person_id).where(faces.c.id.in_(list(ids)))
    return {row.id: row.person_id for row in connection.execute(query)}


def face_place(connection: Connection, uid: str, face: int) -> list[float] | None:
    """The box of a face of this photo."""
    query = select(faces.c.box).join(photos, photos.c.id == faces.c.photo_id)
    box: list[float] | None = connection.execute(query.where(photos.c.uid == uid, faces.c.id == face)).scalar()
    return box


# -- what somebody decides -------------------------------------------------------------------------------------------


def make(connection: Connection, name: str) -> int:
    wanted = free_slug(connection, name)
    return face_rows.make_person(connection, name.strip(), wanted)


def free_slug(connection: Connection, name: str) -> str | None:
    """An id out of the name that nobody has; None where nothing is left of the name."""
    base = slug(name)
    if not base:
        return None
    taken = set(connection.execute(select(people.c.slug).where(people.c.slug.like(f"{base[:28]}%"))).scalars())
    for number in range(1, 1000):
        wanted = base if number == 1 else f"{base[:28]}-{number}"
        if wanted not in taken:
            return wanted
    return None


def name(connection: Connection, person: Person, wanted: str) -> None:
    """A group without a name gets an id out of it too; who has one keeps the id that playlists know."""
    values: dict[str, Any] = {"name": wanted.strip()}
    if not person.name and (fresh := free_slug(connection, wanted)) is not None:
        values["slug"] = fresh
    if person.name and person.name != wanted.strip():
        values["aliases"] = [*person.aliases, person.name]  # the files still call them so
    connection.execute(update(people).where(people.c.id == person.id).values(**values))
    face_rows.pin(connection, person.id)


def merge(connection: Connection, into: Person, other: Person) -> None:
    """`other` was `into` all along: faces, words, photos; its name becomes another name of the same person."""
    face_rows.pin(connection, into.id)
    face_rows.pin(connection, other.id)
    connection.execute(update(faces).where(faces.c.person_id == other.id).values(person_id=into.id))
    connection.execute(update(face_rules).where(face_rules.c.person_id == other.id).values(person_id=into.id))
    connection.execute(
        text("update or ignore photo_people set person_id = :into where person_id = :other"),
        {"into": into.id, "other": other.id},
    )
    pairs = connection.execute(
        select(people_apart).where(or_(people_apart.c.one == other.id, people_apart.c.other == other.id))
    ).all()
    for pair in pairs:
        third = pair.other if pair.one == other.id else pair.one
        if third != into.id:
            apart(connection, into.id, third)
    connection.execute(
        delete(people_apart).where(
            (people_apart.c.one == min(into.id, other.id)) & (people_apart.c.other == max(into.id, other.id))
        )
    )
    known = [*into.aliases, *([other.name] if other.name and other.name != into.name else []), *other.aliases]
    connection.execute(update(people).where(people.c.id == into.id).values(aliases=list(dict.fromkeys(known))))
    connection.execute(delete(people).where(people.c.id == other.id))
    refusals = face_rules.c.person_id == into.id, face_rules.c.rule == "is_not"
    for rule in connection.execute(select(face_rules).where(*refusals)).all():
        here = select(face_rules).where(
            face_rules.c.photo_id == rule.photo_id, face_rules.c.person_id == into.id, face_rules.c.rule == "is"
        )
        if any(face_rows.same_place(own.box, rule.box) >= 0.5 for own in connection.execute(here)):
            connection.execute(delete(face_rules).where(face_rules.c.id == rule.id))


def apart(connection: Connection, one: int, other: int) -> None:
    """These two are never taken for one person."""
    row = {"one": min(one, other), "other": max(one, other)}
    connection.execute(upsert(people_apart).values(**row).on_conflict_do_nothing())


def hide(connection: Connection, person: int, on: bool) -> None:
    connection.execute(update(people).where(people.c.id == person).values(hidden=on))


def cover(connection: Connection, person: int, face: int) -> None:
    connection.execute(update(people).where(people.c.id == person).values(cover_face=face))


def forget_word(connection: Connection, photo_ids: Sequence[int], person: int) -> None:
    """The file called somebody in these photos by this name, and somebody says that it is not so."""
    for photo_id in photo_ids:
        stays = select(faces.c.id).where(faces.c.photo_id == photo_id, faces.c.person_id == person)
        if connection.execute(stays.limit(1)).first() is None:
            own = (photo_people.c.photo_id == photo_id) & (photo_people.c.person_id == person)
            connection.execute(delete(photo_people).where(own))
