"""Requests about playlists: ask in plain words, set, save, list, delete; and keeping lists fresh as photos come."""

import re
import secrets
import time
from typing import Any

import structlog
from pydantic import Field, model_validator

from framed.bus import Bus
from framed.errors import BadRequest, FramedError, UnknownPhoto, UnknownPlaylist
from framed.events import PhotoAnalysed, PhotoChanged, PhotoGone, PlaylistChanged
from framed.frames.player import Player
from framed.frames.publish import iso
from framed.frames.registry import Frame, Registry
from framed.jobs import Job, JobQueue, Progress
from framed.playlists.ask import Answer, Asker, item_payload
from framed.playlists.explain import speech, spoken, unknown
from framed.playlists.grammar import say
from framed.playlists.plan import QueryPlan
from framed.router import Request, answers
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database
from framed.store.playlists import Item

log = structlog.get_logger(__name__)

ITEMS = 50
REFRESH_S = 20.0


class Ask(Request):
    text: str = Field(min_length=1, max_length=1000)
    frame: str | None = Field(None, max_length=80)
    source: str | None = Field(None, max_length=80)
    lang: str | None = Field(None, max_length=16)
    device_id: str | None = Field(None, max_length=80)
    dry_run: bool = False


class PlanText(Request):
    text: str = Field(max_length=1000)


class PlaylistSet(Request):
    frame: str = Field(max_length=80)
    id: str | None = Field(None, max_length=200)
    query: str | None = Field(None, min_length=1, max_length=1000)
    photos: list[str] | None = Field(None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _one(self) -> "PlaylistSet":
        if sum(value is not None for value in (self.id, self.query, self.photos)) != 1:
            raise ValueError("give one of id, query and photos")
        return self


class PlaylistId(Request):
    id: str = Field(min_length=1, max_length=200)


class PlaylistSave(Request):
    id: str | None = Field(None, max_length=200)
    frame: str | None = Field(None, max_length=80)
    name: str | None = Field(None, min_length=1, max_length=80)
    plan: QueryPlan | None = None
    photos: list[str] | None = Field(None, min_length=1, max_length=1000)


class PlaylistList(Request):
    saved: bool | None = None


class PlaylistHandler:
    def __init__(
        self, *, database: Database, bus: Bus, asker: Asker, player: Player, registry: Registry, jobs: JobQueue
    ) -> None:
        self._database = database
        self._bus = bus
        self._asker = asker
        self._player = player
        self._registry = registry
        self._jobs = jobs
        self._last_plans: dict[str, QueryPlan] = {}
        self._default_frame = ""

    def listen(self) -> None:
        self._bus.on(PhotoAnalysed, self._analysed)
        self._bus.on(PhotoGone, self._gone)
        self._bus.on(PhotoChanged, self._changed)
        self._jobs.works("playlist_refresh", self._refresh_all)
        self._player.when_finished = self._finished
        self._player.when_empty = self._empty

    # -- asking --------------------------------------------------------------------------------------------------

    @answers("ask", Ask)
    async def ask(self, request: Ask) -> dict[str, Any]:
        began = time.perf_counter()
        plan = await self._asker.plan(request.text)
        frames = self._frames_of(plan, request.frame)
        frame = frames[0] if frames else None
        plan = self._followed_up(plan, frame)
        answer = await self._asker.answer(
            plan, frame_id=frame.id if frame else None, frame_filter=frame.filter if frame else ""
        )
        keep = not request.dry_run and bool(answer.composed.ids) and plan.unknown_frame is None
        listed = {"id": "", "name": name_of(plan), "count": len(answer.composed.ids)}
        if keep:
            listed["id"] = await self._keep(answer)
            for each in frames:
                await self._start(each, str(listed["id"]), plan)
            if frame is not None:
                self._last_plans[frame.id] = plan
        said = speech(plan, len(answer.composed.ids), answer.composed.matched, _spoken(frames), answer.found)
        if plan.unknown_frame is not None:
            said = f"There is no frame called {plan.unknown_frame}. I know {self._known_frames()}."
        log.info(
            "asked",
            playlist=listed["id"],
            count=listed["count"],
            frame=frame.id if frame else None,
            ms=round((time.perf_counter() - began) * 1000, 1),
            **{f"{part}_ms": ms for part, ms in answer.took_ms.items()},
        )
        return await self._answered(answer, listed, frames, said)

    @answers("playlist/plan", PlanText)
    async def plan(self, request: PlanText) -> dict[str, Any]:
        plan = await self._asker.plan(request.text)
        return {"plan": plan.model_dump(mode="json"), "understood": say(plan), "unknown": unknown(plan)}

    @answers("playlist/set", PlaylistSet)
    async def set(self, request: PlaylistSet) -> dict[str, Any]:
        frame = self._registry.find(request.frame)
        if request.query is not None:
            answered: dict[str, Any] = await self.ask(Ask(text=request.query, frame=frame.id))
            return answered
        if request.photos is not None:
            playlist_id = await self._by_hand(request.photos, None)
        else:
            playlist_id = await self._existing(str(request.id))
        step = await self._player.play(frame.id, playlist_id)
        return {"frame": frame.id, "playlist": playlist_id, "photo": step.photo, "speech": step.said}

    @answers("playlist/save", PlaylistSave)
    async def save(self, request: PlaylistSave) -> dict[str, Any]:
        if request.plan is not None:
            answer = await self._asker.answer(request.plan)
            playlist_id = await self._keep(answer, saved=True, name=request.name, id=request.id)
        elif request.photos is not None:
            playlist_id = await self._by_hand(request.photos, request.name, id=request.id)
        else:
            playlist_id = await self._playing_or(request)
            if not await self._database.write(lambda c: rows.save(c, playlist_id, request.name), durable=True):
                raise UnknownPlaylist("There is no playlist with that id.", field="id")
        listed = await self._database.read(lambda c: rows.get(c, playlist_id, limit=0))
        assert listed is not None
        self._bus.emit(PlaylistChanged(listed.id, listed.name, listed.count))
        return {"id": listed.id, "name": listed.name, "count": listed.count}

    @answers("playlist/delete", PlaylistId)
    async def delete(self, request: PlaylistId) -> dict[str, Any]:
        playlist_id = await self._existing(request.id)
        await self._database.write(lambda c: rows.remove(c, playlist_id), durable=True)
        self._bus.emit(PlaylistChanged(playlist_id, "", 0))
        for frame in self._registry.all():
            await self._player.publish_state(frame.id)
        return {"id": playlist_id}

    @answers("playlist/get", PlaylistId)
    async def get(self, request: PlaylistId) -> dict[str, Any]:
        playlist_id = await self._existing(request.id)
        listed = await self._database.read(lambda c: rows.get(c, playlist_id))
        assert listed is not None
        cards = await self._database.read(lambda c: photo_rows.cards(c, [item.photo_id for item in listed.items]))
        return {
            "id": listed.id,
            "name": listed.name,
            "saved": listed.saved,
            "count": listed.count,
            "plan": listed.plan,
            "relaxed": listed.relaxed,
            "left_out": listed.left_out,
            "items": [
                item_payload(cards[item.photo_id], item.score, item.why)
                for item in listed.items
                if item.photo_id in cards
            ],
        }

    @answers("playlist/list", PlaylistList)
    async def listed(self, request: PlaylistList) -> dict[str, Any]:
        found = await self._database.read(rows.listed)
        items = [
            {"id": p.id, "name": p.name, "count": p.count, "saved": p.saved, "updated": iso(p.updated_at)}
            for p in found
            if request.saved is None or p.saved == request.saved
        ]
        return {"items": items}

    # -- inside --------------------------------------------------------------------------------------------------

    def _frames_of(self, plan: QueryPlan, said: str | None) -> list[Frame]:
        """The frames that are meant: those of the sentence, else of the request, else the only one there is."""
        if plan.all_frames:
            return self._registry.all()
        if plan.frame is not None and self._registry.knows(plan.frame):
            return [self._registry.get(plan.frame)]
        if said:
            return [self._registry.find(said)]
        every = self._registry.all()
        return every if len(every) == 1 else []

    def _followed_up(self, plan: QueryPlan, frame: Frame | None) -> QueryPlan:
        """ "Only the ones with dad" narrows what the frame shows; "without dad" takes away from it."""
        before = self._last_plans.get(frame.id) if frame else None
        if before is None or plan.follow_up not in ("only", "without"):
            return plan
        merged: dict[str, Any] = {}
        for key, value in plan:
            if key in ("v", "text", "spans", "problems", "labels", "follow_up", "sort", "quality"):
                continue
            old = getattr(before, key)
            if isinstance(value, list):
                merged[key] = [*old, *[entry for entry in value if entry not in old]]
            elif key == "semantic":
                merged[key] = " ".join(part for part in (old, value) if part)
            else:
                merged[key] = value if value not in (None, False) else old
        merged["labels"] = {**before.labels, **plan.labels}
        merged["text"] = f"{before.text}; {plan.text}"[:1000]
        return plan.model_copy(update=merged)

    async def _start(self, frame: Frame, playlist_id: str, plan: QueryPlan) -> None:
        from framed.frames.registry import FrameOptions

        if plan.interval_s is not None:
            await self._registry.set(frame.id, FrameOptions(interval_s=max(5, plan.interval_s)))
        await self._player.play(frame.id, playlist_id, quick=True)

    async def _keep(
        self, answer: Answer, *, saved: bool = False, name: str | None = None, id: str | None = None
    ) -> str:
        plan = answer.plan
        called = name or plan.named or name_of(plan)
        same = await self._database.read(lambda c: rows.by_name(c, called)) if plan.named or name else None
        playlist_id = id or same or new_id(called)
        items = answer.items()

        def store(connection: Any) -> list[str]:
            rows.put(
                connection,
                id=playlist_id,
                name=called,
                plan=plan.model_dump(mode="json"),
                items=items,
                relaxed=answer.found.relaxed,
                left_out=answer.composed.left_out,
                saved=saved or plan.named is not None,
            )
            return rows.prune(connection)

        await self._database.write(store)
        self._bus.emit(PlaylistChanged(playlist_id, called, len(items)))
        return playlist_id

    async def _by_hand(self, uids: list[str], name: str | None, *, id: str | None = None) -> str:
        found = await self._database.read(lambda c: photo_rows.ids_of(c, uids))
        missing = [uid for uid in uids if uid not in found]
        if missing:
            raise UnknownPhoto(f"There is no photo {missing[0][:40]!r}.", field="photos")
        before = await self._database.read(lambda c: rows.get(c, id)) if id else None
        known = {item.photo_id: item for item in before.items} if before else {}
        called = name or (before.name if before else "Chosen by hand")
        playlist_id = id or new_id(called)
        items = [known.get(found[uid]) or Item(found[uid], 1.0, ["chosen by hand"]) for uid in uids]

        def store(connection: Any) -> None:
            options: dict[str, Any] = {"plan": None, "relaxed": [], "left_out": {}, "saved": name is not None}
            rows.put(connection, id=playlist_id, name=called, items=items, **options)
            rows.keep_places(connection, playlist_id, [item.photo_id for item in items])

        await self._database.write(store, durable=True)
        self._bus.emit(PlaylistChanged(playlist_id, called, len(items)))
        return playlist_id

    async def _existing(self, said: str) -> str:
        """A playlist by id or by name."""
        found = await self._database.read(
            lambda c: said if rows.get(c, said, limit=0) is not None else rows.by_name(c, said)
        )
        if found is None:
            raise UnknownPlaylist(f"There is no playlist {said[:60]!r}.", field="id")
        return found

    async def _playing_or(self, request: PlaylistSave) -> str:
        if request.id is not None:
            return await self._existing(request.id)
        if request.frame is None:
            raise BadRequest("Say which playlist: id, frame, plan or photos.", field="id")
        _, playing = await self._player.current(self._registry.find(request.frame).id)
        if playing is None:
            raise UnknownPlaylist("That frame plays no playlist.", field="frame")
        return playing

    async def _answered(self, answer: Answer, listed: dict[str, Any], frames: list[Frame], said: str) -> dict[str, Any]:
        return {
            "frame": frames[0].id if frames else None,
            "frames": [frame.id for frame in frames],
            "playlist": listed,
            "count": listed["count"],
            "matched": answer.composed.matched,
            "plan": answer.plan.model_dump(mode="json", exclude_defaults=True),
            "understood": say(answer.plan),
            "speech": said,
            "items": await self._asker.payloads(answer, ITEMS),
            "relaxed": answer.found.relaxed,
            "left_out": answer.composed.left_out,
            "problems": [*unknown(answer.plan), *answer.plan.problems],
        }

    def _known_frames(self) -> str:
        return ", ".join(frame.name for frame in self._registry.all()) or "no frame yet"

    # -- keeping fresh -------------------------------------------------------------------------------------------

    async def _analysed(self, event: PhotoAnalysed) -> None:
        await self._jobs.add("playlist_refresh", {}, dedupe_key="all", priority=80, delay_s=REFRESH_S)

    async def _gone(self, event: PhotoGone) -> None:
        await self._take_out(event.photo_id)

    async def _changed(self, event: PhotoChanged) -> None:
        if event.what == "hidden":
            await self._take_out(event.photo_id)

    async def _take_out(self, photo_id: int) -> None:
        changed = await self._database.write(lambda c: rows.without_photo(c, photo_id))
        for playlist_id in changed:
            listed = await self._database.read(lambda c, id=playlist_id: rows.get(c, id, limit=0))  # type: ignore[misc]
            if listed is not None:
                self._bus.emit(PlaylistChanged(listed.id, listed.name, listed.count))
        for frame in self._registry.all():
            current, _ = await self._player.current(frame.id)
            if current == photo_id:
                await self._player.move(frame.id, 1)

    async def new_day(self) -> None:
        """What was asked for as "today" or "this week" means other days now."""
        await self._jobs.add("playlist_refresh", {}, dedupe_key="all", priority=80)

    async def _refresh_all(self, job: Job, progress: Progress) -> dict[str, Any]:
        """Photos that came since are added to every playlist with a plan that is saved or playing."""
        found = await self._database.read(rows.listed)
        playing = {(await self._player.current(frame.id))[1]: frame for frame in self._registry.all()}
        wanted = [p for p in found if p.plan is not None and (p.saved or p.id in playing)]
        added = 0
        for place, listed in enumerate(wanted):
            added += await self._refresh(listed.id, playing.get(listed.id))
            progress((place + 1) / len(wanted), listed.name)
        for frame in self._registry.all():
            if (await self._player.current(frame.id))[1] is None:
                await self._empty(frame.id)
        return {"playlists": len(wanted), "added": added}

    async def _refresh(self, playlist_id: str, frame: Frame | None) -> int:
        listed = await self._database.read(lambda c: rows.get(c, playlist_id))
        if listed is None or listed.plan is None:
            return 0
        plan = QueryPlan.model_validate(listed.plan)
        answer = await self._asker.answer(
            plan, frame_id=frame.id if frame else None, frame_filter=frame.filter if frame else ""
        )
        known = {item.photo_id for item in listed.items}
        fresh = [item for item in answer.items() if item.photo_id not in known]
        room = (plan.count or self._asker.settings.max_count) - len(known)
        if plan.sort != "newest":
            fresh = fresh[: max(0, room)]
        if not fresh:
            return 0
        await self._database.write(lambda c: self._insert(c, playlist_id, listed.items, fresh, plan, frame))
        self._bus.emit(PlaylistChanged(playlist_id, listed.name, len(listed.items) + len(fresh)))
        return len(fresh)

    @staticmethod
    def _insert(
        connection: Any,
        playlist_id: str,
        items: list[Item],
        fresh: list[Item],
        plan: QueryPlan,
        frame: Frame | None,
    ) -> None:
        """New photos come next: right behind what the frame shows, so that a person sees them the same evening."""
        from framed.store import frames as frame_rows

        place = len(items)
        if frame is not None:
            place = frame_rows.state(connection, frame.id)["position"] + 1
        merged = [*items[:place], *fresh, *items[place:]]
        if plan.count is not None:
            merged = merged[: max(plan.count, place + len(fresh))]
        rows.set_items(connection, playlist_id, merged)

    async def _finished(self, frame_id: str, playlist_id: str) -> None:
        """Played to the end: composed anew, so that what has been shown least comes first."""
        listed = await self._database.read(lambda c: rows.get(c, playlist_id))
        if listed is None or listed.plan is None:
            return
        plan = QueryPlan.model_validate(listed.plan)
        if plan.count is not None or plan.sort in ("newest", "oldest"):
            return
        frame = self._registry.get(frame_id)
        answer = await self._asker.answer(plan, frame_id=frame_id, frame_filter=frame.filter)
        current, _ = await self._player.current(frame_id)
        items = [item for item in answer.items() if item.photo_id != current]
        showing = [item for item in listed.items if item.photo_id == current]
        if not items:
            return

        def store(connection: Any) -> None:
            from framed.store import frames as frame_rows

            rows.set_items(connection, playlist_id, [*showing[:1], *items])
            frame_rows.set_state(connection, frame_id, position=0 if showing else -1)

        await self._database.write(store)

    async def _empty(self, frame_id: str) -> None:
        """A frame with nothing to show gets its default, a sentence like any other."""
        frame = self._registry.get(frame_id)
        if not frame.default:
            return
        try:
            plan = await self._asker.plan(frame.default)
            answer = await self._asker.answer(plan, frame_id=frame_id, frame_filter=frame.filter)
        except FramedError as error:
            log.warning("the frame's default cannot be played", frame=frame_id, problem=error.message)
            return
        if answer.composed.ids:
            playlist_id = await self._keep(answer, id=f"default-{frame_id}"[:32])
            await self._player.play(frame_id, playlist_id)


def name_of(plan: QueryPlan) -> str:
    said = spoken(plan)
    return (said[0].upper() + said[1:])[:80] if said else "Photos"


def new_id(name: str) -> str:
    """A readable id that no other playlist has."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "playlist"
    return f"{stem}-{secrets.token_hex(3)}"


def _spoken(frames: list[Frame]) -> str | None:
    if not frames:
        return None
    if len(frames) == 1:
        name = frames[0].name
        return name if name.lower().endswith(("frame", "tablet", "display", "screen")) else f"{name} frame"
    return "frames"
