"""Why a photo is in a playlist, and the sentence that is said about the whole, from facts alone."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from framed.playlists.grammar import say
from framed.playlists.grammar_say import heads_said
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found

SPEECH = 250


def why(card: Mapping[str, Any], plan: QueryPlan, found: Found) -> list[str]:
    """Short reasons, strongest first: the person, the thing, the place, the time, the quality."""
    reasons: list[str] = []
    wanted = {*plan.people_all, *plan.people_any}
    names = [person["name"] for person in card["people"] if person["id"] in wanted]
    if names:
        reasons.append(_listed(names))
    if plan.people_min is not None:
        reasons.append(heads_said(plan.people_min, plan.people_max))
    held = card.get("words", found.words)
    if card["id"] in found.with_words and held:
        reasons.append("shows " + _listed(held))
    elif card["id"] in found.likeness and plan.semantic:
        reasons.append(f"looks like “{plan.semantic}”")
    if plan.must_text:
        reasons.append("says " + _listed([f"“{text}”" for text in plan.must_text]))
    place = next((place["name"] for place in card["places"] if place["id"] in plan.places_any), None)
    if place is not None:
        reasons.append(f"taken in {place}")
    if card["taken"] is not None and (plan.dates or plan.yearly or plan.seasons or plan.sort in ("newest", "oldest")):
        reasons.append(taken_words(card))
    if plan.favourites and card["favourite"]:
        reasons.append("a favourite")
    if plan.quality == "best" and card["quality"] is not None:
        reasons.append("one of the best")
    if plan.new:
        reasons.append("new in the library")
    if not reasons:
        reasons.append(taken_words(card) if card["taken"] is not None else "in your library")
    return reasons


def taken_words(card: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(card["taken"], UTC)
    precision = card.get("taken_precision")
    if precision == "year":
        return f"{when:%Y}"
    if precision == "month":
        return f"{when:%B %Y}"
    return f"{when.day} {when:%B %Y}"


def caption_of(card: Mapping[str, Any]) -> str:
    """What is written under the picture."""
    return str(card["title"] or card["caption"] or "")[:200]


def speech(plan: QueryPlan, count: int, matched: int, frame: str | None, found: Found, *, showing: bool = True) -> str:
    """A sentence a voice assistant can say, at most 250 characters; `showing`: they are on a frame now."""
    problems = unknown(plan)
    what = spoken(plan)
    if not count:
        named = plan.semantic or _of_photos(what)
        said = problems[0] if problems else f"I found no {what if named else f'photos: {what}'}."
        if found.late and not problems:
            said += " I am still getting ready to look at the pictures themselves: ask again in a moment."
        return _cut(said + (f" The {frame} keeps its picture." if frame else ""))
    some = what if _of_photos(what) else f"photos: {what}"
    one = some.replace("photos", "photo", 1) if count == 1 else some
    number = "one" if count == 1 else str(count)
    of_all = f" of {matched}" if matched > count else ""
    where = f", on the {frame}" if frame else ""
    said = f"Showing {number}{of_all} {one}{where}." if showing else f"I found {number}{of_all} {one}."
    if problems:
        said = f"{problems[0]} {said}"
    if found.relaxed:
        said += f" {found.relaxed[0][0].upper()}{found.relaxed[0][1:]}."
    return _cut(said)


def spoken(plan: QueryPlan) -> str:
    """What was understood, without the frame (said elsewhere): "photos in Italy", "cats, no documents"."""
    said = say(plan.model_copy(update={"frame": None, "all_frames": False, "interval_s": None, "count": None}))
    if plan.semantic and re.search(rf"{re.escape(plan.semantic)}\s+(photo|picture|image|shot)s\b", plan.text.lower()):
        said = said.replace(f"photos, {plan.semantic}", f"{plan.semantic} photos", 1)  # "dark moody photos"
    head, comma, rest = said.partition(", ")
    if head == "photos" and comma:
        return f"photos {rest}" if rest.startswith(("in ", "at ", "from ", "of ", "with ", "without ")) else rest
    return said


def _of_photos(what: str) -> bool:
    """ "best photos", "black-and-white photos of Anna": the phrase is about photos, and needs no word for them."""
    return re.match(r"([\w-]+ ){0,5}(photos|pictures)\b", what) is not None


def unknown(plan: QueryPlan) -> list[str]:
    """What the request named that the library does not know."""
    said = []
    if plan.unknown_names:
        said.append(f"I don't know {_listed(plan.unknown_names)} yet.")
    if plan.unknown_places:
        said.append(f"No photo was taken in {_listed(plan.unknown_places)} as far as I know.")
    if plan.unknown_frame:
        said.append(f"There is no frame called {plan.unknown_frame}.")
    return said


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _cut(text: str) -> str:
    return text if len(text) <= SPEECH else text[: SPEECH - 1].rstrip() + "…"
