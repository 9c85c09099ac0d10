"""Keeps playlists right as photos come, change and go, as days pass, and as frames want other things."""

import time
import zlib
from typing import Any

import structlog

from framed.bus import Bus
from framed.errors import FramedError
from framed.events import FrameWishesChanged, PhotoAnalysed, PhotoChanged, PhotoGone, PlaylistChanged
from framed.frames.player import Player
from framed.frames.registry import Frame, Registry
from framed.jobs import Job, JobQueue, Progress
from framed.playlists.ask import Answer, Asker
from framed.playlists.kept import Kept
from framed.playlists.plan import QueryPlan
from framed.store import frames as frame_rows
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database
from framed.store.playlists import Item, Playlist

log = structlog.get_logger(__name__)

REFRESH_S = 20.0
_TRIES = 3


class PlaylistUpkeep:
    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        asker: Asker,
        kept: Kept,
        player: Player,
        registry: Registry,
        jobs: JobQueue,
    ) -> None:
        self._database = database
        self._bus = bus
        self._asker = asker
        self._kept = kept
        self._player = player
        self._registry = registry
        self._jobs = jobs
        self._refresh_at = 0.0

    def listen(self) -> None:
        self._bus.on(PhotoAnalysed, self._analysed)
        self._bus.on(PhotoGone, self._gone)
        self._bus.on(PhotoChanged, self._changed)
        self._bus.on(FrameWishesChanged, self._wishes_changed)
        self._jobs.works("playlist_refresh", self._refresh_all)
        self._player.when_finished = self._finished
        self._player.when_empty = self.play_default

    # -- photos come, change and go ------------------------------------------------------------------------------

    async def _analysed(self, event: PhotoAnalysed) -> None:
        await self._refresh_soon(REFRESH_S)

    async def _refresh_soon(self, delay_s: float) -> None:
        """Where one is written down already that is not due yet, it will see this change too: a job is a synced write,
        too dear for each of a hundred thousand photos."""
        now = time.monotonic()
        if now < self._refresh_at <= now + delay_s:
            return
        await self._jobs.add("playlist_refresh", {}, dedupe_key="all", priority=80, delay_s=delay_s)
        self._refresh_at = now + delay_s

    async def _gone(self, event: PhotoGone) -> None:
        await self._take_out(event.photo_id, await self._database.read(lambda c: rows.holding(c, event.photo_id)))

    async def _changed(self, event: PhotoChanged) -> None:
        holding = await self._database.read(lambda c: rows.holding(c, event.photo_id))
        if event.what == "hidden":
            await self._take_out(event.photo_id, holding)
            return
        if event.what == "favourite":
            await self._no_favourite(event.photo_id, holding)
        await self._refresh_soon(REFRESH_S)

    async def _no_favourite(self, photo_id: int, holding: list[str]) -> None:
        """A photo that is no favourite any more leaves the lists of favourites."""
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo_id]))).get(photo_id)
        if card is None or card["favourite"]:
            return
        listed = await self._database.read(rows.listed)
        of_favourites = {p.id for p in listed if p.plan is not None and p.plan.get("favourites")}
        await self._take_out(photo_id, [id for id in holding if id in of_favourites], move=False)

    async def _take_out(self, photo_id: int, playlists: list[str], *, move: bool = True) -> None:
        await self._database.write(lambda c: rows.without_photo(c, photo_id, playlists))
        for playlist_id in playlists:
            listed = await self._database.read(lambda c, id=playlist_id: rows.get(c, id, limit=0))  # type: ignore[misc]
            if listed is not None:
                self._bus.emit(PlaylistChanged(listed.id, listed.name, listed.count))
        for frame in self._registry.all():
            current, playing = await self._player.current(frame.id)
            if current == photo_id and move:
                await self._player.move(frame.id, 1)
            elif playing in playlists:
                await self._player.republish(frame.id)

    # -- days pass -----------------------------------------------------------------------------------------------

    async def new_day(self) -> None:
        """What was asked for as "today" or "this week" means other days now."""
        await self._refresh_soon(0.0)

    async def _refresh_all(self, job: Job, progress: Progress) -> dict[str, Any]:
        """Photos that came since are added to every playlist with a plan that is saved or playing."""
        playing = await self._playing()
        found = await self._database.read(rows.listed)
        wanted = [p for p in found if p.plan is not None and (p.saved or p.id in playing)]
        added = 0
        for place, listed in enumerate(wanted):
            added += await self._refresh(listed.id, playing.get(listed.id, []))
            progress((place + 1) / len(wanted), listed.name)
        for frame in self._registry.all():
            if (await self._player.current(frame.id))[1] is None:
                await self.play_default(frame.id)
        return {"playlists": len(wanted), "added": added}

    async def _playing(self) -> dict[str, list[Frame]]:
        """The frames that play each playlist."""
        playing: dict[str, list[Frame]] = {}
        for frame in self._registry.all():
            playlist_id = (await self._player.current(frame.id))[1]
            if playlist_id is not None:
                playing.setdefault(playlist_id, []).append(frame)
        return playing

    async def _refresh(self, playlist_id: str, frames: list[Frame]) -> int:
        """How many photos were added."""
        for _ in range(_TRIES):
            added = await self._refresh_once(playlist_id, frames)
            if added is not None:
                return added
        await self._refresh_soon(REFRESH_S)
        return 0

    async def _refresh_once(self, playlist_id: str, frames: list[Frame]) -> int | None:
        """None where the list was changed meanwhile."""
        listed = await self._database.read(lambda c: rows.get(c, playlist_id))
        if listed is None or listed.plan is None:
            return 0
        before = QueryPlan.model_validate(listed.plan)
        plan = await self._kept.as_of_today(before)
        first = frames[0] if frames else None
        answer = await self._kept.compose(
            plan, frame_id=first.id if first else None, frame_filter=first.filter if first else ""
        )
        known = {item.photo_id for item in listed.items}
        fresh = [item for item in answer.items() if item.photo_id not in known]
        if plan != before:
            items = answer.items()
        else:
            items = self._with(listed, fresh, plan, answer, await self._place(first, listed))
        if not items or [item.photo_id for item in items] == [item.photo_id for item in listed.items]:
            return 0
        if not await self._replaced(listed, items, plan):
            return None
        self._bus.emit(PlaylistChanged(listed.id, listed.name, len(items)))
        for frame in frames:
            await self._player.republish(frame.id)
        return len(fresh)

    async def _place(self, frame: Frame | None, listed: Playlist) -> int:
        """Where new photos come in: behind what the frame shows, so that a person sees them the same evening."""
        if frame is None:
            return len(listed.items)
        state = await self._database.read(lambda c: frame_rows.state(c, frame.id))
        return min(int(state["position"]) + 1, len(listed.items))

    def _with(self, listed: Playlist, fresh: list[Item], plan: QueryPlan, answer: Answer, place: int) -> list[Item]:
        if plan.sort in ("newest", "oldest") and not plan.by_hand:
            return answer.items()
        room = (plan.count or self._asker.settings.max_count) - len(listed.items)
        fresh = fresh[: max(0, room)]
        return [*listed.items[:place], *fresh, *listed.items[place:]]

    async def _finished(self, frame_id: str, playlist_id: str) -> None:
        """Played to the end: composed anew, so that what has been shown least comes first."""
        listed = await self._database.read(lambda c: rows.get(c, playlist_id))
        if listed is None or listed.plan is None:
            return
        plan = QueryPlan.model_validate(listed.plan)
        if plan.count is not None or plan.by_hand or plan.sort in ("newest", "oldest"):
            return
        frame = self._registry.get(frame_id)
        answer = await self._kept.compose(plan, frame_id=frame_id, frame_filter=frame.filter)
        current, _ = await self._player.current(frame_id)
        items = [item for item in answer.items() if item.photo_id != current]
        showing = [item for item in listed.items if item.photo_id == current]
        if items and await self._replaced(listed, [*showing[:1], *items], plan):
            await self._player.republish(frame_id)

    async def _replaced(self, listed: Playlist, items: list[Item], plan: QueryPlan) -> bool:
        """What somebody did to the list while it was composed anew stands: a photo taken out must not come back."""
        document = plan.model_dump(mode="json")
        return await self._database.write(lambda c: rows.replace(c, listed, items, document))

    # -- frames want other things --------------------------------------------------------------------------------

    async def _wishes_changed(self, event: FrameWishesChanged) -> None:
        """What the frame plays is composed anew under its filter; a list chosen by hand is left alone."""
        if not self._registry.knows(event.frame):
            return
        frame = self._registry.get(event.frame)
        playing = (await self._player.current(frame.id))[1]
        if playing is None or playing == default_id(frame.id):
            await self.play_default(frame.id)
            return
        listed = await self._database.read(lambda c: rows.get(c, playing, limit=0))
        if listed is None or listed.plan is None:
            return
        plan = QueryPlan.model_validate(listed.plan)
        answer = await self._kept.compose(plan, frame_id=frame.id, frame_filter=frame.filter)
        if answer.composed.ids:
            await self._player.play(frame.id, await self._kept.keep(answer, frame_id=frame.id))
        else:
            await self.play_default(frame.id)

    async def play_default(self, frame_id: str) -> None:
        """A frame with nothing to show gets its default, a sentence like any other."""
        frame = self._registry.get(frame_id)
        if not frame.default:
            return
        try:
            plan = await self._asker.plan(frame.default)
            answer = await self._kept.compose(plan, frame_id=frame_id, frame_filter=frame.filter)
        except FramedError as error:
            log.warning("the frame's default cannot be played", frame=frame_id, problem=error.message)
            return
        if answer.composed.ids:
            await self._player.play(frame_id, await self._kept.keep(answer, id=default_id(frame_id)))


def default_id(frame_id: str) -> str:
    """The playlist of a frame that was asked for nothing."""
    if len(frame_id) > 24:
        frame_id = f"{frame_id[:15]}-{zlib.crc32(frame_id.encode()):08x}"
    return f"default-{frame_id}"
