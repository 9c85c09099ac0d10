"""What is asked of a frame or of its playlist instead of photos: on and off, brighter, the last list, this photo there
too. What framed cannot do is answered with what it can, and nothing is changed."""

from typing import Any

from sqlalchemy import Connection

from framed.errors import BadRequest
from framed.frames.player import Player
from framed.frames.registry import Frame, Registry
from framed.playlists.grammar_say import every
from framed.playlists.grammar_words import FRAME_WORDS
from framed.playlists.plan import QueryPlan, Steer
from framed.router import Router
from framed.store import frames as frame_rows
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database

BRIGHTER = 20
DIMMEST = 5
_RHYTHMS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
_LOOKED_BACK = 500  # pictures that a frame has shown, among which its list before this one is looked for

CANNOT: dict[Steer, str] = {
    "leave": "All right, nothing was changed.",
    "delete": "I never delete a photo. Say “never show it again”, and no frame shows it.",
    "delete_list": "I delete no playlist by a sentence. The page of the playlists does.",
    "edit": "I change no photo. “Show the whole picture” and “fill the screen” change how it fits.",
    "send": "I only show photos on frames: I cannot send, share or print one.",
    "help": "Say for example: Anna at the beach last summer · no screenshots · next · never show it again · brighter.",
    "later": "I do that only at once. Dark hours of every day are a frame's quiet_hours in config.yaml.",
}
OF_NO_FRAME = frozenset({*CANNOT, "other", "playlists", "frames"})


class Steering:
    """`do` follows such a sentence; what is said about it is its answer."""

    def __init__(self, *, database: Database, player: Player, registry: Registry, router: Router) -> None:
        self._database = database
        self._player = player
        self._registry = registry
        self._router = router

    async def do(self, plan: QueryPlan, frames: list[Frame], said_at: Frame | None) -> str:
        """`frames` are those that are meant, `said_at` is the one that the sentence was said to."""
        steer, to = plan.steer, plan.steer_to or ""
        if steer in CANNOT:
            return CANNOT[steer]
        if steer == "other":
            return f"I only look after photos and frames. {self._known_frames()}"
        if steer == "frames":
            return self._known_frames()
        if steer == "playlists":
            return await self._playlists()
        if steer in ("show_here", "list_here"):
            if frames and plan.frame is None and not plan.all_frames:
                return f"{_the(frames[0])} shows it already."
            return await self._shown_there(frames, said_at, whole=steer == "list_here")
        said = dict.fromkeys([await self._one(frame, str(steer), to) for frame in frames])
        plainly = {"on": " is on again.", "off": " is off. “Turn it on” brings it back."}.get(str(steer))
        alike = plainly is not None and len(said) > 1 and all(one.endswith(plainly) for one in said)
        return f"{len(said)} frames are {steer} now." if alike else " ".join(said)

    async def playlist(self, name: str) -> str | None:
        """The id of the playlist that is called so."""
        return await self._database.read(lambda c: rows.by_name(c, name))

    async def _one(self, frame: Frame, steer: str, to: str) -> str:
        if steer in ("on", "off"):
            return await self._switched(frame, on=steer == "on")
        if steer in ("brighter", "dimmer", "brightness"):
            return await self._lit(frame, steer, to)
        if steer in ("faster", "slower"):
            return await self._paced(frame, faster=steer == "faster")
        if steer in ("whole", "fill"):
            await self._asked("frame/set", frame=frame.id, fit="contain" if steer == "whole" else "cover")
            return f"{_the(frame)} {'shows whole pictures' if steer == 'whole' else 'fills its panel'} now."
        if steer in ("undo", "refresh", "identify"):
            return str((await self._asked("frame/cmd", frame=frame.id, action=steer)).get("speech", "Done."))
        if steer == "save":
            saved = await self._asked("playlist/save", frame=frame.id, **({"name": to[:80]} if to else {}))
            return f"Saved as “{saved['name']}”, {_photos(saved['count'])}."
        if steer == "add":
            return await self._added(frame, to)
        if steer == "play":
            return await self._played(frame, await self.playlist(to))
        if steer == "restart":
            playlist = (await self._player.current(frame.id))[1]
            await self._played(frame, playlist)
            return "From the first picture again." if playlist else f"{_the(frame)} shows no photo yet."
        if steer == "last_list":
            return await self._last_list(frame)
        return await self._usual(frame) if steer == "usual" else await self._playing(frame)

    async def _switched(self, frame: Frame, *, on: bool) -> str:
        if frame.on == on and not (on and await self._dark(frame)):
            return f"{_the(frame)} is {'on' if on else 'off'} already."
        await self._asked("frame/set", frame=frame.id, on=on)
        if on and await self._dark(frame) and frame.quiet_hours is not None:
            return f"{_the(frame)} is on, but stays dark in its quiet hours, until {frame.quiet_hours.end:%H:%M}."
        return f"{_the(frame)} is on again." if on else f"{_the(frame)} is off. “Turn it on” brings it back."

    async def _dark(self, frame: Frame) -> bool:
        return not (await self._player.state_payload(frame.id))["on"]

    async def _lit(self, frame: Frame, steer: str, to: str) -> str:
        if frame.panel.palette is not None:
            return f"{_the(frame)} is e-paper: it has no light that could be brighter or darker."
        step = BRIGHTER if steer == "brighter" else -BRIGHTER
        wanted = int(to) if steer == "brightness" else max(DIMMEST, min(100, frame.brightness + step))
        if wanted == frame.brightness:
            end = {100: "as bright as it can be", DIMMEST: "as dark as it can be without being off"}
            return f"{_the(frame)} is {end.get(wanted, f'at {wanted} percent')} already."
        await self._asked("frame/set", frame=frame.id, brightness=wanted)
        return f"The brightness of the {_called(frame)} is {wanted} percent now."

    async def _paced(self, frame: Frame, *, faster: bool) -> str:
        others = [s for s in _RHYTHMS if (s < frame.interval_s if faster else s > frame.interval_s)]
        if not others:
            return f"{_the(frame)} changes {every(frame.interval_s)} already; name a time for more."
        interval_s = others[-1] if faster else others[0]
        await self._asked("frame/set", frame=frame.id, interval_s=interval_s)
        return f"{_the(frame)} changes {every(interval_s)} now."

    async def _shown_there(self, frames: list[Frame], said_at: Frame | None, *, whole: bool) -> str:
        """The photo, or the `whole` list, of the frame that the sentence was said to; else of the only other one."""
        targets = {frame.id for frame in frames}
        source = said_at if said_at is not None and said_at.id not in targets else None
        others = [frame for frame in self._registry.all() if frame.id not in targets]
        if source is None and len(others) == 1:
            source = others[0]
        if source is None and said_at is not None and len(targets) > 1:
            source = said_at
        if source is None:
            return "I don't know which photo is meant: say it at the frame that shows it."
        photo, playlist = await self._player.current(source.id)
        if photo is None or (whole and playlist is None):
            return f"{_the(source)} shows no photo yet."
        there = [frame for frame in frames if frame.id != source.id]
        if not there:
            return f"{_the(source)} shows it already."
        names = " and ".join(_called(frame) for frame in there)
        if whole:
            for frame in there:
                await self._asked("playlist/set", frame=frame.id, id=playlist)
            return f"The {names} {'plays' if len(there) == 1 else 'play'} the same photos now."
        uid = (await self._database.read(lambda c: photo_rows.uids_of(c, [photo])))[photo]
        for frame in there:
            await self._player.show_photo(frame.id, uid)
        after = "shows it too, then its own list" if len(there) == 1 else "show it too, then their own lists"
        return f"The {names} {after} again."

    async def _added(self, frame: Frame, name: str) -> str:
        playlist, (photo, _) = await self.playlist(name), await self._player.current(frame.id)
        if playlist is None:
            return f"There is no playlist called {name}. {await self._playlists()}"
        if photo is None:
            return f"{_the(frame)} shows no photo yet."
        uid = (await self._database.read(lambda c: photo_rows.uids_of(c, [photo])))[photo]
        saved = await self._asked("playlist/save", id=playlist, add=[uid])
        return f"Added to “{saved['name']}”, {_photos(saved['count'])} now."

    async def _played(self, frame: Frame, playlist: str | None) -> str:
        listed = await self._database.read(lambda c: rows.get(c, playlist, limit=0)) if playlist else None
        if listed is None or not listed.count:
            return "That playlist is empty or gone."
        await self._asked("playlist/set", frame=frame.id, id=listed.id)
        return f"{_the(frame)} plays “{listed.name}”, {_photos(listed.count)}."

    async def _last_list(self, frame: Frame) -> str:
        """What the frame played before what it plays now, as far as that is still there."""
        _, now = await self._player.current(frame.id)

        def before(connection: Connection) -> str | None:
            shown = [row["playlist_id"] for row in frame_rows.recent(connection, frame.id, _LOOKED_BACK)]
            others = [one for one in dict.fromkeys(shown) if one not in (None, now)]
            return next((one for one in others if rows.photo_ids(connection, one)), None)

        playlist = await self._database.read(before)
        if playlist is None:
            return f"I know no list that the {_called(frame)} played before this one."
        return await self._played(frame, playlist)

    async def _usual(self, frame: Frame) -> str:
        if not frame.default or self._player.when_empty is None:
            return f"{_the(frame)} has no usual photos: slideshow.default in config.yaml is empty."
        await self._player.when_empty(frame.id)
        return f"{_the(frame)} shows its usual photos: {frame.default}."

    async def _playing(self, frame: Frame) -> str:
        state = await self._player.state_payload(frame.id)
        if not state["playlist"]:
            return f"{_the(frame)} shows no photo yet."
        paused = ", paused" if state["paused"] else ""
        return (
            f"{_the(frame)} shows “{state['playlist_name']}”, picture {state['position']} of {state['count']}{paused}."
        )

    async def _playlists(self) -> str:
        saved = [one.name for one in await self._database.read(rows.listed) if one.saved]
        if not saved:
            return "No playlist is saved yet. Say “save this as” and a name."
        more = f" and {len(saved) - 8} more" if len(saved) > 8 else ""
        return f"Saved playlists: {', '.join(saved[:8])}{more}."

    def _known_frames(self) -> str:
        frames = self._registry.all()
        names = [frame.name + ("" if frame.on else " (off)") for frame in frames]
        return (
            f"I know {len(names)} frame{'s' if len(names) != 1 else ''}: {', '.join(names)}."
            if names
            else "No frame yet."
        )

    async def _asked(self, verb: str, **payload: Any) -> dict[str, Any]:
        answer = await self._router.call(verb, payload, source="ask")
        if answer["status"] == "error":
            raise BadRequest(answer["error"]["message"])
        return dict(answer["data"])


def _called(frame: Frame) -> str:
    """ "Kitchen frame"; "Hall tablet" keeps its word."""
    return frame.name if frame.name.lower().rpartition(" ")[2] in FRAME_WORDS else f"{frame.name} frame"


def _the(frame: Frame) -> str:
    return f"The {_called(frame)}"


def _photos(count: int) -> str:
    return "one photo" if count == 1 else f"{count} photos"
