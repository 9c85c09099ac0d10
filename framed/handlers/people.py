"""Requests about people: who is in the photos, what they are called, who is the same and who is not."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection

from framed.analysis.grouping import Grouping
from framed.bus import Bus
from framed.errors import BadRequest, UnknownPerson
from framed.events import BackendChanged
from framed.jobs import Job, JobQueue, Progress
from framed.playlists.index import LibraryIndex
from framed.playlists.vocabulary import Names
from framed.router import Accepted, Nothing, Request, answers
from framed.store import faces as face_rows
from framed.store import people as rows
from framed.store import photos as photo_rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

_SLUG = Field(min_length=1, max_length=40)
_NAME = Field(min_length=1, max_length=80)
_FACES = Field(min_length=1, max_length=500)


class PersonList(Request):
    """`named` leaves out those without a name, or those with one; `least` is for groups without a name: photos."""

    named: bool | None = None
    hidden: bool = False
    least: int = Field(2, ge=1, le=1000)
    limit: int = Field(100, ge=1, le=500)
    offset: int = Field(0, ge=0)


class PersonGet(Request):
    id: str = _SLUG
    limit: int = Field(100, ge=1, le=500)
    offset: int = Field(0, ge=0)


class PersonName(Request):
    id: str = _SLUG
    name: str = _NAME

    @field_validator("name")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not any(character.isalnum() for character in name) or any(not c.isprintable() for c in name):
            raise ValueError("a name has letters")
        return name


class PersonMerge(Request):
    """`ids` are the same person as `id`, whose name stays."""

    id: str = _SLUG
    ids: list[str] = Field(min_length=1, max_length=50)


class PersonSplit(Request):
    """`faces` of this person are somebody else, called `name` where that is known."""

    id: str = _SLUG
    faces: list[int] = _FACES
    name: str | None = Field(None, min_length=1, max_length=80)


class PersonFlag(Request):
    id: str = _SLUG
    on: bool = True


class PersonReject(Request):
    """These faces are not this person, whoever they are."""

    id: str = _SLUG
    faces: list[int] = _FACES


class PersonAssign(Request):
    """These faces are the person of this `id`, or the one called `name`, who may be new."""

    faces: list[int] = _FACES
    id: str | None = Field(None, min_length=1, max_length=40)
    name: str | None = Field(None, min_length=1, max_length=80)

    @model_validator(mode="after")
    def _one_of_both(self) -> "PersonAssign":
        if (self.id is None) == (self.name is None):
            raise ValueError("say either id or name")
        return self


class PersonCover(Request):
    id: str = _SLUG
    face: int


class PersonPhoto(Request):
    photo: str = Field(min_length=1, max_length=64)


class PeopleHandler:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        index: LibraryIndex,
        names: Names,
        jobs: JobQueue,
        grouping: Grouping,
        model: Callable[[], str | None],
        described: Callable[[], None],
        look_again: Callable[[], None],
        told: Callable[[], Awaitable[None]],
    ) -> None:
        """`described`: photos wait for another description. `look_again`: photos wait to be looked at for faces.
        `told`: how many people there are has changed."""
        self._database = database
        self._bus = bus
        self._index = index
        self._names = names
        self._jobs = jobs
        self._grouping = grouping
        self._model = model
        self._described = described
        self._look_again = look_again
        self._told = told

    def listen(self) -> None:
        self._bus.on(BackendChanged, self._backend_changed)
        self._jobs.works("people_group", self._group)

    # -- looking -------------------------------------------------------------------------------------------------

    @answers("person/list", PersonList)
    async def listed(self, request: PersonList) -> dict[str, Any]:
        given = request.model_dump(include={"named", "hidden", "least", "limit", "offset"})
        items = await self._database.read(lambda c: rows.listed(c, **given))
        counts = await self._database.read(partial(rows.count, least=request.least))
        for item in items:
            item["cover"] = _with_picture(item["cover"]) if item["cover"] else None
        return {"items": items, "count": len(items), **counts}

    @answers("person/get", PersonGet)
    async def get(self, request: PersonGet) -> dict[str, Any]:
        person = await self._person(request.id)
        items, count = await self._database.read(lambda c: rows.faces_of(c, person.id, request.limit, request.offset))
        photos = await self._database.read(partial(face_rows.photos_of, person=person.id))
        return {
            "id": person.slug,
            "name": person.name or None,
            "aliases": person.aliases,
            "hidden": person.hidden,
            "photos": len(photos),
            "count": count,
            "items": [_with_picture(item) for item in items],
        }

    @answers("person/photo", PersonPhoto)
    async def photo(self, request: PersonPhoto) -> dict[str, Any]:
        """The faces of one photo, from left to right, and who they are."""

        def read(connection: Connection) -> list[dict[str, Any]]:
            ids = photo_rows.ids_of(connection, [request.photo])
            return [face for photo in ids.values() for face in rows.faces_in(connection, photo)]

        found = await self._database.read(read)
        return {"photo": request.photo, "items": [_with_picture(face | {"photo": request.photo}) for face in found]}

    # -- deciding ------------------------------------------------------------------------------------------------

    @answers("person/name", PersonName)
    async def name(self, request: PersonName) -> dict[str, Any]:
        """A group that gets the name of somebody who is known joins them."""

        def write(connection: Connection) -> tuple[int, list[int]]:
            person = _found(connection, request.id)
            other = rows.by_name(connection, request.name)
            if other is None or other == person.id:
                rows.name(connection, person, request.name)
                return person.id, []
            if person.name:
                raise BadRequest(f"There is a {request.name} already; merge the two if they are one.", field="name")
            known = _by_id(connection, other)
            rows.merge(connection, known, person)
            return known.id, []

        return await self._decide(write)

    @answers("person/merge", PersonMerge)
    async def merge(self, request: PersonMerge) -> dict[str, Any]:
        def write(connection: Connection) -> tuple[int, list[int]]:
            into = _found(connection, request.id)
            for slug in dict.fromkeys(request.ids):
                if slug != request.id:
                    rows.merge(connection, _by_id(connection, into.id), _found(connection, slug))
            return into.id, []

        return await self._decide(write)

    @answers("person/split", PersonSplit)
    async def split(self, request: PersonSplit) -> dict[str, Any]:
        def write(connection: Connection) -> tuple[int, list[int]]:
            person = _found(connection, request.id)
            _theirs(connection, request.faces, person)
            other = _known_as(connection, request.name) if request.name else rows.make(connection, "")
            if other == person.id:
                raise BadRequest("Somebody else's name is needed.", field="name")
            face_rows.say(connection, request.faces, person.id, "is_not")
            touched = face_rows.say(connection, request.faces, other, "is")
            rows.apart(connection, person.id, other)
            rows.forget_word(connection, touched, person.id)
            return other, touched

        return await self._decide(write)

    @answers("person/reject", PersonReject)
    async def reject(self, request: PersonReject) -> dict[str, Any]:
        def write(connection: Connection) -> tuple[int, list[int]]:
            person = _found(connection, request.id)
            _theirs(connection, request.faces, person)
            touched = face_rows.say(connection, request.faces, person.id, "is_not")
            rows.forget_word(connection, touched, person.id)
            return person.id, touched

        return await self._decide(write)

    @answers("person/assign", PersonAssign)
    async def assign(self, request: PersonAssign) -> dict[str, Any]:
        def write(connection: Connection) -> tuple[int, list[int]]:
            known = rows.people_of_faces(connection, request.faces)
            if missing := set(request.faces) - known.keys():
                raise BadRequest(f"There is no face {min(missing)}.", field="faces")
            person = _found(connection, request.id).id if request.id else _known_as(connection, request.name or "")
            return person, face_rows.say(connection, request.faces, person, "is")

        return await self._decide(write)

    @answers("person/hide", PersonFlag)
    async def hide(self, request: PersonFlag) -> dict[str, Any]:
        def write(connection: Connection) -> tuple[int, list[int]]:
            person = _found(connection, request.id)
            rows.hide(connection, person.id, request.on)
            return person.id, []

        return await self._decide(write)

    @answers("person/cover", PersonCover)
    async def cover(self, request: PersonCover) -> dict[str, Any]:
        def write(connection: Connection) -> None:
            person = _found(connection, request.id)
            _theirs(connection, [request.face], person)
            rows.cover(connection, person.id, request.face)

        await self._database.write(write, durable=True)
        return {"id": request.id, "face": request.face}

    @answers("person/group", Nothing)
    async def group(self, request: Nothing) -> Accepted:
        return Accepted(await self._jobs.add("people_group", {}, dedupe_key="all", transaction=request.transaction))

    # -- what follows --------------------------------------------------------------------------------------------

    async def changed(self, touched: Sequence[int], renamed: Sequence[int]) -> None:
        """Faces of these photos changed hands; `renamed` of them show other named people: they are described anew."""
        if renamed:
            await self._database.write(lambda c: photo_rows.redescribe(c, renamed))
            self._described()
        self._names.changed(now=True)
        await self._index.refresh([*touched, *renamed])
        self._index.forget("person")
        await self._told()

    async def look_with(self) -> None:
        """Photos that another face model looked at wait for the one in use; what was said of their faces stays."""
        model = self._model()
        if model is None:
            return
        count = await self._database.write(lambda c: face_rows.redo_other_models(c, "faces", model))
        if count:
            log.info("faces are looked for again, by another model", photos=count, model=model)
        self._look_again()
        self._grouping.wake()

    async def _backend_changed(self, event: BackendChanged) -> None:
        if event.task == "faces" and event.state == "ready":
            await self.look_with()

    async def _group(self, job: Job, progress: Progress) -> dict[str, Any]:
        return dict(await self._grouping.regroup())

    async def _decide(self, write: Callable[[Connection], tuple[int, list[int]]]) -> dict[str, Any]:
        """Searches, names and descriptions know it before this is answered; then the other faces follow it."""

        def whole(connection: Connection) -> tuple[rows.Person, list[int], list[int]]:
            person, touched = write(connection)
            every = sorted({*touched, *face_rows.photos_of(connection, person)})
            face_rows.tell_photos(connection, every)
            face_rows.drop_empty(connection)
            return _by_id(connection, person), every, every

        person, touched, renamed = await self._database.write(whole, durable=True)
        await self.changed(touched, renamed)
        self._grouping.wake()
        return {"id": person.slug, "name": person.name or None, "photos": len(touched), "hidden": person.hidden}

    async def _person(self, slug: str) -> rows.Person:
        return await self._database.read(lambda c: _found(c, slug))


def _found(connection: Connection, slug: str) -> rows.Person:
    person = rows.find(connection, slug)
    if person is None:
        raise UnknownPerson(f"There is nobody with the id {slug!r}; person/list has them all.")
    return person


def _by_id(connection: Connection, person: int) -> rows.Person:
    found = rows.by_id(connection, person)
    if found is None:
        raise UnknownPerson("There is nobody like that any more.")
    return found


def _known_as(connection: Connection, name: str) -> int:
    found = rows.by_name(connection, name)
    return rows.make(connection, name) if found is None else found


def _theirs(connection: Connection, faces: Sequence[int], person: rows.Person) -> None:
    known = rows.people_of_faces(connection, faces)
    for face in faces:
        if known.get(face) != person.id:
            raise BadRequest(f"Face {face} is not one of {person.name or person.slug}'s.", field="faces")


def _with_picture(face: dict[str, Any]) -> dict[str, Any]:
    return {**face, "picture": f"/photo/{face['photo']}/face/{face['face']}"}
