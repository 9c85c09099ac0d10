"""Why a photo is in a playlist, from facts alone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from framed.playlists.grammar_say import heads_said
from framed.playlists.plan import QueryPlan
from framed.playlists.search import Found


def why(card: Mapping[str, Any], plan: QueryPlan, found: Found) -> list[str]:
    """Short reasons, strongest first: the person, the thing, the place, the time, the quality."""
    reasons: list[str] = []
    wanted = {*plan.people_all, *plan.people_any}
    names = [person["name"] for person in card["people"] if person["id"] in wanted]
    if names:
        reasons.append(_listed(names))
    if plan.people_min is not None:
        reasons.append(heads_said(plan.people_min, plan.people_max))
    if card["id"] in found.with_words and card["words"]:
        reasons += _words(card["words"], card["tagged"])
    elif plan.semantic and card["id"] in found.seen:
        reasons.append(f"looks like “{plan.semantic}”")
    elif plan.semantic and card["id"] in found.likeness:
        reasons.append(f"described much like “{plan.semantic}”")
    if plan.must_text:
        reasons.append("says " + _listed([f"“{text}”" for text in plan.must_text]))
    place = next((place["name"] for place in card["places"] if place["id"] in plan.places_any), None)
    if place is not None:
        reasons.append(f"taken in {place}")
    if card["taken"] is not None and (plan.dates or plan.yearly or plan.seasons or plan.sort in ("newest", "oldest")):
        reasons.append(taken_words(card))
    if card["taken"] is not None and plan.clock:
        reasons.append(f"taken at {datetime.fromtimestamp(card['taken'], UTC):%H:%M}")
    if plan.favourites and card["favourite"]:
        reasons.append("a favourite")
    if plan.quality == "best" and card["quality"] is not None:
        reasons.append("one of the best")
    if plan.new:
        reasons.append("new in the library")
    if not reasons:
        reasons.append(taken_words(card) if card["taken"] is not None else "in your library")
    return reasons


def _words(held: list[str], tagged: frozenset[str] | set[str]) -> list[str]:
    """What a model has seen in it, or its owner said is there, and what is only written about it somewhere."""
    seen, told = [word for word in held if word in tagged], [word for word in held if word not in tagged]
    return [f"{verb} {_listed(words)}" for verb, words in (("shows", seen), ("mentions", told)) if words]


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


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
