"""What is asked of the picture on a frame: another, more like it, not that one, what is it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from framed.errors import BadRequest
from framed.frames.player import Player
from framed.frames.registry import Frame
from framed.playlists.explain import taken_words
from framed.playlists.kept import Kept
from framed.playlists.plan import FollowUp, QueryPlan
from framed.router import Router
from framed.store import photos as photo_rows
from framed.store import playlists as rows
from framed.store.database import Database

Said = Callable[[Frame], Awaitable[str]]

_ABOUT_THE_REQUEST = {
    "v", "text", "spans", "problems", "labels", "read_as", "follow_up", "frame", "all_frames", "count", "nothing"
}  # fmt: skip
_TITLE = 120
_COMMANDS = {"next": "next", "previous": "previous", "pause": "pause", "resume": "resume", "hide": "hide"}


def of_the_shown(plan: QueryPlan) -> FollowUp | None:
    """What the sentence asks of the shown picture, where it asks for nothing else ("more photos of Anna" does)."""
    if plan.follow_up in (None, "only", "without"):
        return None
    return None if plan.model_dump(exclude_defaults=True, exclude=_ABOUT_THE_REQUEST) else plan.follow_up


class Following:
    """`do` follows one of these wishes on a frame; what is said about it is its answer."""

    def __init__(self, *, database: Database, kept: Kept, player: Player, router: Router) -> None:
        self._database = database
        self._kept = kept
        self._player = player
        self._router = router

    async def do(self, frame: Frame, wish: FollowUp, text: str) -> str:
        if wish == "more":
            return await self._asked("frame/cmd", {"frame": frame.id, "action": "more_like_this"})
        if wish in _COMMANDS:
            said = await self._asked("frame/cmd", {"frame": frame.id, "action": _COMMANDS[wish]})
            if wish == "hide":
                await self._player.move(frame.id, 1)
            return said
        photo, playlist = await self._player.current(frame.id)
        if photo is None:
            return f"{frame.name} shows no photo yet."
        card = (await self._database.read(lambda c: photo_rows.cards(c, [photo])))[photo]
        if wish == "favourite":
            await self._asked("photo/favourite", {"id": card["uid"], "on": True})
            await self._player.publish_state(frame.id)
            return "A favourite now."
        if wish == "not_this":
            return await self._leave_out(frame, photo, playlist)
        return await self._about(card, playlist, question=text.strip().lower().partition(" ")[0])

    async def _asked(self, verb: str, payload: dict[str, Any]) -> str:
        answer = await self._router.call(verb, payload, source="ask")
        if answer["status"] == "error":
            raise BadRequest(answer["error"]["message"])
        return str(answer["data"].get("speech", ""))

    async def _leave_out(self, frame: Frame, photo: int, playlist: str | None) -> str:
        """Takes the picture out of what the frame plays, and goes on; it stays in the library and in other lists."""
        ids = await self._database.read(lambda c: rows.photo_ids(c, playlist)) if playlist else []
        if playlist is None or len(ids) < 2:
            return "It is the only photo of this list."
        names = await self._database.read(lambda c: photo_rows.uids_of(c, [photo]))
        await self._kept.edit(playlist, remove=[names[photo]])
        await self._player.move(frame.id, 1)
        return "Left out of this list."

    async def _about(self, card: dict[str, Any], playlist: str | None, *, question: str) -> str:
        """What is known of the picture: its title or description, who is on it, where and when it was taken."""
        title = str(card["title"] or card["caption"] or "").rstrip(". ")
        title = title if len(title) <= _TITLE else title[:_TITLE].rpartition(" ")[0] + " …"
        people = [person["name"] for person in card["people"] if person["name"] not in title]
        places = [place["name"] for place in card["places"][:1] if place["name"] not in title]
        said = [f"{title}." if title else ""]
        said.append(f"It shows {', '.join(people)}." if people else "")
        if question.startswith(("who", "is", "are", "how")) and not card["people"]:
            said.insert(0, "I don't know of anybody on it.")
        where = f" in {places[0]}" if places else ""
        when = f" {_on(card)}" if card["taken"] is not None else ""
        said.append(f"It was taken{where}{when}." if where or when else "")
        if question == "why" and playlist is not None:
            listed = await self._database.read(lambda c: rows.get(c, playlist))
            why = next((item.why for item in listed.items if item.photo_id == card["id"]), []) if listed else []
            said.insert(0, f"It is here for this: {', '.join(why)}." if why else "")
        return " ".join(part for part in said if part)[:250] or "Nothing is known about it yet."


def _on(card: dict[str, Any]) -> str:
    """ "on 4 May 2019", "in 2019"."""
    words = taken_words(card)
    exact = words.startswith(str(datetime.fromtimestamp(card["taken"], UTC).day) + " ")
    return f"on {words}" if exact else f"in {words}"
