"""Requests about photos and the library, and what follows when photos come, change or go."""

import json
import os
import time
from typing import Any, Literal

import structlog
from pydantic import Field, field_validator, model_validator
from sqlalchemy import Connection

from framed.analysis.pipeline import Pipeline
from framed.analysis.reanalysis import Reanalysis
from framed.analysis.renewal import Renewal
from framed.analysis.steps.bursts import choose_best
from framed.analysis.steps.duplicates import duplicates_of, without
from framed.analysis.tag_categories import of_tags
from framed.bus import Bus
from framed.errors import BadRequest, UnknownPhoto
from framed.events import FilesFound, PhotoAnalysed, PhotoChanged, PhotoGone
from framed.frames.publish import iso
from framed.jobs import Job, JobQueue, Progress
from framed.library.scanner import Scanner
from framed.playlists.ask import Asker, item_payload
from framed.playlists.index import LibraryIndex
from framed.playlists.similar import By, Lookalikes
from framed.playlists.spoken import speech
from framed.playlists.vocabulary import Names
from framed.router import Accepted, Request, answers
from framed.store import overview, traits
from framed.store import photos as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)


class PhotoId(Request):
    id: str = Field(min_length=1, max_length=64)


class PhotoSearch(Request):
    text: str = Field(min_length=1, max_length=1000)
    limit: int = Field(50, ge=1, le=500)


class PhotoSimilar(Request):
    """`by`: its looks (embedding), the people in it (face), or being nearly the same picture (hash)."""

    id: str = Field(min_length=1, max_length=64)
    by: By = "auto"
    limit: int = Field(20, ge=1, le=200)


class PhotoFlag(Request):
    id: str = Field(min_length=1, max_length=64)
    on: bool = True


class PhotoTag(Request):
    id: str = Field(min_length=1, max_length=64)
    tags: list[str] = Field(max_length=50)

    @model_validator(mode="after")
    def _short(self) -> "PhotoTag":
        if any(not tag.strip() or len(tag) > 60 for tag in self.tags):
            raise ValueError("a tag has 1 to 60 characters")
        return self


class PhotoList(Request):
    state: Literal[
        "failed", "parked", "pending", "completed", "partial", "gone", "hidden", "favourite", "new", "all"
    ] = "failed"
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0)


class Rescan(Request):
    """`confirm` says that what is missing was deleted on purpose: it is removed, however much it is."""

    path: str | None = Field(None, min_length=1, max_length=4096)
    confirm: bool = False

    @field_validator("path")
    @classmethod
    def _whole(cls, path: str | None) -> str | None:
        if path is not None and (not os.path.isabs(path) or not _can_be_a_path(path)):
            raise ValueError("a whole path is needed, from / on")
        return path


class Reanalyse(Request):
    step: str | None = Field(None, max_length=40)
    photo: str | None = Field(None, max_length=64)


class PhotoHandler:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        pipeline: Pipeline,
        scanner: Scanner,
        index: LibraryIndex,
        names: Names,
        asker: Asker,
        jobs: JobQueue,
        renewal: Renewal,
    ) -> None:
        self._database = database
        self._bus = bus
        self._pipeline = pipeline
        self._scanner = scanner
        self._index = index
        self._names = names
        self._asker = asker
        self._jobs = jobs
        self._renewal = renewal
        self._lookalikes = Lookalikes(database=database, index=index)

    def listen(self) -> None:
        self._bus.on(FilesFound, self._files_found)
        self._bus.on(PhotoAnalysed, self._analysed)
        self._bus.on(PhotoGone, self._gone)
        self._bus.on(PhotoChanged, self._changed)
        self._jobs.works("library_rescan", self._rescan)
        self._jobs.works("library_reanalyse", self._reanalyse)

    # -- requests ------------------------------------------------------------------------------------------------

    @answers("photo/get", PhotoId)
    async def get(self, request: PhotoId) -> dict[str, Any]:
        photo_id = await self._id(request.id)
        card = (await self._database.read(lambda c: rows.cards(c, [photo_id])))[photo_id]
        steps = await self._database.read(lambda c: rows.steps_of(c, photo_id))
        others = [one for one in (card["duplicate_of"], card["near_of"], card["burst"]) if one is not None]
        uids = await self._database.read(lambda c: rows.uids_of(c, others))
        meta = (steps.get("metadata") or {}).get("result") or {}
        return {
            "photo": card["uid"],
            "path": card["path"],
            "state": card["state"],
            "added": iso(card["added_at"]),
            "taken": meta.get("taken_local"),
            "taken_offset_min": card["taken_offset_min"],
            "taken_source": card["taken_source"],
            "caption": card["caption"],
            "caption_by": ((steps.get("description") or {}).get("result") or {}).get("by"),
            "title": card["title"],
            "kind": card["kind"],
            "orientation": card["orientation"],
            "width": card["width"],
            "height": card["height"],
            "format": card["format"],
            "camera": card["camera"],
            "rating": card["rating"],
            "quality": card["quality"],
            "favourite": bool(card["favourite"]),
            "hidden": bool(card["hidden"]),
            "people": [{"id": person["id"], "name": person["name"]} for person in card["people"]],
            "places": [{"id": place["id"], "name": place["name"], "level": place["level"]} for place in card["places"]],
            "tags": card["tags"],
            "traits": await self._database.read(lambda c: traits.of(c, photo_id)),
            "categories": of_tags(self._index.categories, card["tags"]),
            "duplicate_of": uids.get(card["duplicate_of"]),
            "near_of": uids.get(card["near_of"]),
            "burst": uids.get(card["burst"]),
            "steps": {
                name: {key: step[key] for key in ("version", "state", "attempts", "problem") if step[key] is not None}
                for name, step in steps.items()
            },
        }

    @answers("photo/search", PhotoSearch)
    async def search(self, request: PhotoSearch) -> dict[str, Any]:
        plan = await self._asker.plan_of_photos(request.text)
        answer = await self._asker.answer(plan, limit=request.limit)
        ids = answer.composed.ids[: request.limit]
        return {
            "items": await self._asker.payloads(answer, request.limit),
            "count": len(ids),
            "matched": answer.composed.matched,
            "plan": plan.model_dump(mode="json", exclude_defaults=True),
            "speech": speech(plan, len(ids), answer.composed.matched, None, answer.found, showing=False),
            "relaxed": answer.found.relaxed,
            "left_out": answer.composed.left_out,
        }

    @answers("photo/similar", PhotoSimilar)
    async def similar(self, request: PhotoSimilar) -> dict[str, Any]:
        """`by` says what they were found by; `problem`, where none were, why there was nothing to compare by."""
        alike = await self._lookalikes.of(await self._id(request.id), request.by, request.limit)
        cards = await self._database.read(lambda c: rows.cards(c, [found.photo for found in alike.found]))
        items = [
            item_payload(cards[found.photo], found.score, [found.why]) for found in alike.found if found.photo in cards
        ]
        return {"items": items, "by": alike.by, **({"problem": alike.problem} if alike.problem else {})}

    @answers("photo/favourite", PhotoFlag)
    async def favourite(self, request: PhotoFlag) -> dict[str, Any]:
        return await self._decide(request.id, "favourite", request.on)

    @answers("photo/hide", PhotoFlag)
    async def hide(self, request: PhotoFlag) -> dict[str, Any]:
        return await self._decide(request.id, "hidden", request.on)

    @answers("photo/tag", PhotoTag)
    async def tag(self, request: PhotoTag) -> dict[str, Any]:
        photo_id = await self._id(request.id)
        scores = {tag.strip().lower(): 1.0 for tag in request.tags}
        await self._database.write(lambda c: rows.set_tags(c, photo_id, scores, "user"), durable=True)
        await self._database.write(lambda c: rows.redescribe(c, [photo_id]))
        await self._index.refresh([photo_id])
        self._pipeline.wake()
        self._bus.emit(PhotoChanged(request.id, photo_id, "tags"))
        return {"photo": request.id, "tags": sorted(scores)}

    @answers("photo/list", PhotoList)
    async def listed(self, request: PhotoList) -> dict[str, Any]:
        """`parked` are files that could not be read; `failed` are those and the photos whose analysis failed."""
        aside: list[dict[str, Any]] = []
        count = 0
        if request.state in ("failed", "parked"):
            count = await self._database.read(rows.parked_count)
            most = request.offset + request.limit
            aside = (await self._database.read(lambda c: rows.parked(c, most)))[request.offset :]
            if request.state == "parked":
                return {"items": aside, "count": count}
        left, past = request.limit - len(aside), max(0, request.offset - count)
        found = await self._database.read(lambda c: overview.in_state(c, request.state, left, past))
        cards = await self._database.read(lambda c: rows.cards(c, found))
        problems = await self._database.read(lambda c: overview.problems(c, found))
        items = [
            {
                **item_payload(cards[photo], 0.0, []),
                "state": cards[photo]["state"],
                "hidden": bool(cards[photo]["hidden"]),
                **({"problem": problems[photo]} if photo in problems else {}),
            }
            for photo in found
            if photo in cards
        ]
        count += await self._database.read(lambda c: overview.count_in_state(c, request.state))
        return {"items": [*aside, *items], "count": count}

    @answers("library/rescan", Rescan)
    async def rescan(self, request: Rescan) -> Accepted:
        if request.path is not None:
            self._scanner.check(request.path)
        job = await self._jobs.add(
            "library_rescan",
            {"path": request.path, "confirm": request.confirm},
            dedupe_key=f"{request.path or 'all'}{' confirmed' if request.confirm else ''}",
            transaction=request.transaction,
        )
        return Accepted(job)

    @answers("library/reanalyse", Reanalyse)
    async def reanalyse(self, request: Reanalyse) -> Accepted:
        known = [*(step.name for step in self._pipeline.steps), *self._renewal.late_names()]
        if request.step is not None and request.step not in known:
            raise BadRequest(f"There is no step {request.step!r}. The steps are: {', '.join(known)}.", field="step")
        if request.photo is not None:
            await self._id(request.photo)
        wish = {"step": request.step, "photo": request.photo}
        return Accepted(
            await self._jobs.add(
                "library_reanalyse",
                {**wish, "since": time.time()},
                dedupe_key=json.dumps(wish),
                transaction=request.transaction,
            )
        )

    # -- what follows --------------------------------------------------------------------------------------------

    async def _files_found(self, event: FilesFound) -> None:
        self._pipeline.wake()

    async def _analysed(self, event: PhotoAnalysed) -> None:
        self._names.changed()
        await self._refresh_family(event.photo_id)

    async def _gone(self, event: PhotoGone) -> None:
        def leave(connection: Connection) -> list[int]:
            changed = without(connection, event.photo_id)
            burst = rows.cards(connection, [event.photo_id]).get(event.photo_id, {}).get("burst")
            if burst:
                choose_best(connection, burst)
                changed += rows.of_burst(connection, burst)
            return changed

        changed = await self._database.write(leave)
        self._names.changed()
        await self._index.refresh([event.photo_id, *changed])

    async def _changed(self, event: PhotoChanged) -> None:
        await self._refresh_family(event.photo_id)
        if event.what == "tags":
            self._names.changed(now=True)

    async def _refresh_family(self, photo_id: int) -> None:
        family = await self._database.read(lambda c: rows.family_of(c, photo_id))
        await self._index.refresh([photo_id, *family])

    async def _rescan(self, job: Job, progress: Progress) -> dict[str, Any]:
        report = await self._scanner.scan(path=job.payload["path"], confirm=job.payload.get("confirm", False))
        self._pipeline.wake()
        figures = {name: getattr(report, name) for name in ("files", "new", "changed", "moved", "gone")}
        return {**figures, "problems": report.problems}

    async def _reanalyse(self, job: Job, progress: Progress) -> dict[str, Any]:
        wish = job.payload
        late = self._renewal.late_names()
        if wish["step"] in late:
            # The slower looks may take days: the answer is that they are asked for, `framed/library` says how far.
            return {"photos": await self._renewal.ask_anew([wish["step"]], wish["photo"], wish["since"])}
        if wish["step"] is None:
            await self._renewal.ask_anew(late, wish["photo"], wish["since"])
        again = Reanalysis(database=self._database, pipeline=self._pipeline)
        return await again.run(step=wish["step"], photo=wish["photo"], since=wish["since"], progress=progress)

    async def _decide(self, uid: str, what: str, on: bool) -> dict[str, Any]:
        """Searches know it before this is answered. Hiding goes for duplicates too: nobody wants to hide a picture
        twice; and another shot of its burst may stand for the burst from now on."""

        def write(connection: Connection) -> tuple[dict[int, str], list[int]]:
            found = rows.ids_of(connection, [uid])
            ids = duplicates_of(connection, found[uid]) if what == "hidden" and found else list(found.values())
            changed = set(ids)
            for photo in ids:
                rows.set_values(connection, photo, {what: on})
            for burst in {card["burst"] for card in rows.cards(connection, ids).values()} - {None}:
                choose_best(connection, burst)
                changed.update(rows.of_burst(connection, burst))
            return rows.uids_of(connection, ids), sorted(changed)

        decided, changed = await self._database.write(write, durable=True)
        if not decided:
            raise UnknownPhoto("There is no photo with that id.", field="id")
        await self._index.refresh(changed)
        for photo_id, name in decided.items():
            self._bus.emit(PhotoChanged(name, photo_id, what if on or what != "hidden" else "shown"))
        return {"photo": uid, what: on, "photos": sorted(decided.values())}

    async def _id(self, uid: str) -> int:
        found = await self._database.read(lambda c: rows.ids_of(c, [uid]))
        if uid not in found:
            raise UnknownPhoto("There is no photo with that id.", field="id")
        return found[uid]


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
