"""Requests about playlists: ask in plain words, set, save, edit, list, delete."""

import asyncio
import time
from typing import Any

import structlog
from pydantic import Field, model_validator

from framed.bus import Bus
from framed.errors import BadRequest, UnknownPlaylist
from framed.events import PlaylistChanged
from framed.following import Following, of_the_shown
from framed.frames.player import Player
from framed.frames.publish import iso
from framed.frames.registry import Frame, FrameOptions, Registry
from framed.playlists.ask import Answer, Asker, item_payload
from framed.playlists.grammar import say
from framed.playlists.grammar_say import every
from framed.playlists.kept import Kept, name_of
from framed.playlists.plan import QueryPlan
from framed.playlists.spoken import speech, unknown
from framed.router import Request, Router, answers
from framed.steering import OF_NO_FRAME, Steering
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database

log = structlog.get_logger(__name__)

ITEMS = 50


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
    """Keeps a playlist (`id`, or what `frame` plays), under a new `name` where one is given; with a plan or photos it
    makes one. `photos` of an existing one are its new order: what is not among them is taken out for good."""

    id: str | None = Field(None, max_length=200)
    frame: str | None = Field(None, max_length=80)
    name: str | None = Field(None, min_length=1, max_length=80)
    plan: QueryPlan | None = None
    photos: list[str] | None = Field(None, min_length=1, max_length=1000)
    add: list[str] | None = Field(None, min_length=1, max_length=1000)
    remove: list[str] | None = Field(None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _one_way(self) -> "PlaylistSave":
        edits = self.add is not None or self.remove is not None
        if (self.plan is not None) + (self.photos is not None) + edits > 1:
            raise ValueError("give a plan, all photos in their order, or what to add and remove")
        return self


class PlaylistList(Request):
    saved: bool | None = None


class PlaylistHandler:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        asker: Asker,
        kept: Kept,
        player: Player,
        registry: Registry,
        router: Router,
    ) -> None:
        self._database = database
        self._bus = bus
        self._asker = asker
        self._kept = kept
        self._player = player
        self._registry = registry
        self._following = Following(database=database, kept=kept, player=player, router=router)
        self._steering = Steering(database=database, player=player, registry=registry, router=router)

    def listen(self) -> None:
        """Nothing happens here but requests; `upkeep` follows events."""

    # -- asking --------------------------------------------------------------------------------------------------

    @answers("ask", Ask)
    async def ask(self, request: Ask) -> dict[str, Any]:
        began = time.perf_counter()
        plan = await self._played_by_name(await self._asker.plan(request.text))
        frames = self._frames_of(plan, request.frame)
        frame = frames[0] if frames else None
        if plan.nothing or plan.steer is not None or of_the_shown(plan) is not None:
            said_at = self._registry.find(request.frame) if request.frame else None
            return await self._without_photos(plan, frames, said_at, dry_run=request.dry_run)
        plan = await self._followed_up(plan, frame)
        answer = await self._answer(plan, frame)
        plan = answer.plan
        shows = not (request.dry_run or plan.question)
        keep = shows and bool(answer.composed.ids) and plan.unknown_frame is None
        listed = {"id": "", "name": name_of(plan), "count": len(answer.composed.ids)}
        if keep:
            if frame is not None:
                self._player.begin(frame.id, answer.composed.ids[0])
            listed["id"] = await self._kept.keep(answer, frame_id=frame.id if frame else None)
            lists = [await self._own(each, frames[0], answer, str(listed["id"])) for each in frames]
            await asyncio.gather(*(self._start(each, own, plan) for each, own in zip(frames, lists, strict=True)))
        unlooked = await self._asker.unlooked(plan)
        said = self._speech(answer, frames, keep=keep, dry_run=not shows, unlooked=unlooked)
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
            playlist_id = await self._kept.by_hand(request.photos, None)
        else:
            playlist_id = await self._existing(str(request.id))
        step = await self._player.play(frame.id, playlist_id)
        return {"frame": frame.id, "playlist": playlist_id, "photo": step.photo, "speech": step.said}

    @answers("playlist/save", PlaylistSave)
    async def save(self, request: PlaylistSave) -> dict[str, Any]:
        if request.plan is not None:
            answer = await self._kept.compose(request.plan)
            playlist_id = await self._kept.keep(answer, saved=True, name=request.name, id=request.id)
        elif request.photos is not None and request.frame is None:
            known = request.id and await self._known(request.id)
            playlist_id = await self._kept.by_hand(request.photos, request.name, id=known or request.id)
        else:
            playlist_id = await self._playing_or(request)
            playlist_id = await self._kept.rename(playlist_id, request.name)
            if request.add or request.remove:
                await self._kept.edit(playlist_id, add=request.add or (), remove=request.remove or ())
            elif request.photos is not None:
                await self._kept.by_hand(request.photos, None, id=playlist_id)
        for frame in self._registry.all():
            if await self._plays(frame, playlist_id):
                await self._after_edit(frame)
        listed = await self._database.read(lambda c: rows.get(c, playlist_id, limit=0))
        assert listed is not None
        return {"id": listed.id, "name": listed.name, "count": listed.count}

    async def _after_edit(self, frame: Frame) -> None:
        """A picture that was taken out leaves the frame too."""
        photo, playlist_id = await self._player.current(frame.id)
        ids = await self._database.read(lambda c: rows.photo_ids(c, str(playlist_id)))
        if photo in ids:
            await self._player.republish(frame.id)
        else:
            await self._player.move(frame.id, 1)

    @answers("playlist/delete", PlaylistId)
    async def delete(self, request: PlaylistId) -> dict[str, Any]:
        """Frames that play it keep their picture and go on with their default."""
        playlist_id = await self._existing(request.id)
        playing = [frame for frame in self._registry.all() if await self._plays(frame, playlist_id)]
        await self._database.write(lambda c: rows.remove(c, playlist_id), durable=True)
        self._bus.emit(PlaylistChanged(playlist_id, "", 0))
        for frame in playing:
            await self._player.republish(frame.id)
            if self._player.when_empty is not None:
                await self._player.when_empty(frame.id)
        return {"id": playlist_id}

    async def _plays(self, frame: Frame, playlist_id: str) -> bool:
        return (await self._player.current(frame.id))[1] == playlist_id

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
            "frames": [frame.id for frame in self._registry.all() if await self._plays(frame, listed.id)],
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

    async def _own(self, frame: Frame, first: Frame, answer: Answer, shared: str) -> str:
        """Frames of one filter share a list; one with a filter of its own gets its own."""
        if frame.filter == first.filter:
            return shared
        own = await self._asker.answer(answer.plan, frame_id=frame.id, frame_filter=frame.filter)
        return await self._kept.keep(own, frame_id=frame.id) if own.composed.ids else shared

    async def _answer(self, plan: QueryPlan, frame: Frame | None) -> Answer:
        """Where nothing matches, and a word of it is one letter away from a name of the library, that name's photos."""
        wanted: dict[str, Any] = {
            "frame_id": frame.id if frame else None,
            "frame_filter": frame.filter if frame else "",
        }
        answer = await self._asker.answer(plan, **wanted)
        if answer.composed.ids or not plan.semantic:
            return answer
        nearby = await self._asker.with_near_names(plan)
        other = await self._asker.answer(nearby, **wanted) if nearby is not None else answer
        return other if other.composed.ids else answer

    async def _played_by_name(self, plan: QueryPlan) -> QueryPlan:
        """A playlist that is asked for by its name; where none is called so, its words are searched for."""
        if plan.steer != "play" or await self._steering.playlist(plan.steer_to or ""):
            return plan
        problem = f"No playlist is called “{plan.steer_to}”, so its words were searched for."
        return plan.model_copy(update={"steer": None, "steer_to": None, "problems": [*plan.problems, problem]})

    async def _without_photos(
        self, plan: QueryPlan, frames: list[Frame], said_at: Frame | None, *, dry_run: bool
    ) -> dict[str, Any]:
        """The answer to a sentence that names no photos: it is about the shown one, about a frame, or about nothing."""
        wish = of_the_shown(plan)
        if plan.steer in OF_NO_FRAME:
            said = await self._steering.do(plan, frames, said_at)
        elif wish is None and plan.interval_s is None and plan.steer is None:
            said = "I did not hear what to show. Say for example: photos of the sea."
        elif plan.unknown_frame is not None or not frames:
            said = f"{' '.join(unknown(plan))} Say on which frame: I know {self._known_frames()}.".strip()
        elif dry_run:
            said = "Nothing was changed: it was only asked what would be."
        elif plan.steer is not None:
            said = await self._steering.do(plan, frames, said_at)
        elif wish is not None:
            said = " ".join(dict.fromkeys([await self._following.do(frame, wish, plan.text) for frame in frames]))
        else:
            for frame in frames:
                await self._registry.set(frame.id, FrameOptions(interval_s=max(5, int(plan.interval_s or 0))))
            said = f"The {_spoken(frames)} change{'s' if len(frames) == 1 else ''} {every(plan.interval_s or 0)}."
        listed = await self._playing(frames[0]) if frames else None
        return {
            "frame": frames[0].id if frames else None,
            "frames": [frame.id for frame in frames],
            "playlist": {"id": listed.id, "name": listed.name, "count": listed.count}
            if listed
            else {"id": "", "name": "", "count": 0},
            "count": 0,
            "matched": 0,
            "plan": plan.model_dump(mode="json", exclude_defaults=True),
            "understood": say(plan),
            "speech": said[:250],
            "items": [],
            "relaxed": [],
            "left_out": {},
            "problems": [*unknown(plan), *plan.problems],
        }

    async def _playing(self, frame: Frame) -> rows.Playlist | None:
        playing = (await self._player.current(frame.id))[1]
        return await self._database.read(lambda c: rows.get(c, playing, limit=0)) if playing else None

    def _speech(self, answer: Answer, frames: list[Frame], *, keep: bool, dry_run: bool, unlooked: int) -> str:
        plan, count = answer.plan, len(answer.composed.ids)
        if plan.unknown_frame is not None:
            return f"There is no frame called {plan.unknown_frame}. I know {self._known_frames()}."
        showing = keep and bool(frames)
        matched = answer.composed.matched
        said = speech(plan, count, matched, _spoken(frames), answer.found, showing=showing, unlooked=unlooked)
        if any(problem.startswith("More than one frame") for problem in plan.problems):
            said = f"{said} More than one frame was named: ask for each by itself."[:250]
        if count and not frames and not dry_run:
            said = f"{said} Say on which frame: I know {self._known_frames()}."[:250]
        if count and showing and not any(frame.on for frame in frames):
            said = f"{said} {'It is' if len(frames) == 1 else 'They are'} off now."[:250]
        return said

    async def _followed_up(self, plan: QueryPlan, frame: Frame | None) -> QueryPlan:
        """ "Only the ones with dad" narrows what the frame shows; "without dad" takes away from it."""
        if frame is None or plan.follow_up not in ("only", "without"):
            return plan
        listed = await self._playing(frame)
        if listed is None or listed.plan is None:
            return plan
        before = QueryPlan.model_validate(listed.plan)
        merged: dict[str, Any] = {}
        for key, value in plan:
            if key in ("v", "text", "spans", "problems", "labels", "read_as", "follow_up", "sort", "quality"):
                continue
            old = getattr(before, key)
            if isinstance(value, list):
                merged[key] = [*old, *[entry for entry in value if entry not in old]]
            elif key == "semantic":
                merged[key] = " ".join(part for part in (old, value) if part)
            else:
                merged[key] = value if value != QueryPlan.model_fields[key].default else old  # False may be said
        merged["labels"] = {**before.labels, **plan.labels}
        merged["text"] = f"{before.text}; {plan.text}"[:1000]
        return plan.model_copy(update=merged)

    async def _start(self, frame: Frame, playlist_id: str, plan: QueryPlan) -> None:
        if plan.interval_s is not None:
            await self._registry.set(frame.id, FrameOptions(interval_s=max(5, plan.interval_s)))
        await self._player.play(frame.id, playlist_id, quick=True)

    async def _existing(self, said: str) -> str:
        """A playlist by id or by name."""
        found = await self._known(said)
        if found is None:
            raise UnknownPlaylist(f"There is no playlist {said[:60]!r}.", field="id")
        return found

    async def _known(self, said: str) -> str | None:
        return await self._database.read(
            lambda c: said if rows.get(c, said, limit=0) is not None else rows.by_name(c, said)
        )

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


def _spoken(frames: list[Frame]) -> str | None:
    if not frames:
        return None
    if len(frames) == 1:
        name = frames[0].name
        return name if name.lower().endswith(("frame", "tablet", "display", "screen")) else f"{name} frame"
    return "frames"
