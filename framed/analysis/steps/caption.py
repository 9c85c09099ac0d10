"""Late step: a sentence about the photo by a model that looks at it, last of all because it takes the longest."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import structlog

from framed.analysis.captions import NoCaption, names, sentence
from framed.analysis.describe import DescriptionFacts, known, written
from framed.analysis.look import PreviewLook
from framed.analysis.previews import Previews
from framed.analysis.step import Outcome
from framed.analysis.steps.description import facts_of
from framed.errors import BadPhoto, FramedError, TimedOut, Unavailable
from framed.models.base import Compute
from framed.models.caption_ollama import Ollama
from framed.models.caption_openai import OpenAi
from framed.models.catalogue import Choice
from framed.models.devices import has_driver
from framed.models.vision_server import WAITS_S, BadAnswer, VisionServer
from framed.models.vision_settings import used
from framed.store.photos import PhotoWork

log = structlog.get_logger(__name__)

_SERVERS: dict[str, type[VisionServer]] = {"ollama": Ollama, "openai": OpenAi}
_MOST_NAMES = 8
_MOST_NAME = 60
_TROUBLE_ENDS = 3
"""So often in a row does the same photo, the server's only trouble, get another chance before it counts as its own."""


class CaptionStep(PreviewLook):
    """`auto` is Florence-2 where its weights are, else a server that was configured, else nothing: the sentence that is
    assembled from what is known stands then."""

    name = "caption"
    version = 1
    needs = ("preview", "metadata")
    spares_unseen = True
    batch = 4
    timeout_s = (120.0, 60.0)

    def __init__(
        self, compute: Compute, previews: Previews, backend: str = "auto", waits_s: Sequence[float] = WAITS_S
    ) -> None:
        super().__init__(compute, previews, backend)
        self._waits_s = waits_s
        self._trouble: list[str] = []  # the photos that a server had trouble with since it last did one

    def needless(self, chosen: Choice) -> str | None:
        return f"Captions are assembled from what is known. {chosen.reason}" if chosen.backend == "assembled" else None

    def together(self, chosen: Choice) -> int:
        """Without a graphics card a sentence takes seconds, and a request's words wait for the call that is running."""
        return self.batch if has_driver() else 1

    async def run(self, photos: Sequence[PhotoWork]) -> list[Outcome]:
        chosen = self.choice()
        if why_not := self.needless(chosen):
            raise Unavailable(why_not)
        facts = {photo.id: facts_of(photo, "north") for photo in photos}
        asked = [photo for photo in photos if written(facts[photo.id]) is None]
        if server := _SERVERS.get(chosen.backend):
            outcomes = await self._ask(server, asked, facts)
        else:
            outcomes = await super().run(asked)
        done = dict(zip((photo.id for photo in asked), outcomes, strict=True))
        return [done.get(photo.id) or Outcome("skipped", {"because": "written"}) for photo in photos]

    def inputs(self, photos: Sequence[PhotoWork], paths: list[bytes]) -> dict[str, Any]:
        return {"paths": paths, "task": "<DETAILED_CAPTION>" if used().detailed else "<CAPTION>"}

    def outcomes(self, photos: Sequence[PhotoWork], answer: dict[str, Any], chosen: Choice) -> list[Outcome]:
        return [
            Outcome("failed", problem=found["problem"])
            if found["problem"]
            else _outcome(photo, found["text"], {"backend": chosen.backend, "model": answer["model"], "names": []})
            for photo, found in zip(photos, answer["captions"], strict=True)
        ]

    async def _ask(
        self, server: type[VisionServer], photos: Sequence[PhotoWork], facts: dict[int, DescriptionFacts]
    ) -> list[Outcome]:
        """One at a time: a household's server has one graphics card. Where it goes away, what it had done is kept."""
        outcomes: list[Outcome] = []
        if not photos:
            return outcomes
        async with server.open(self._waits_s) as asking:
            for photo in photos:
                try:
                    outcomes.append(await self._ask_about(asking, photo, facts[photo.id]))
                except Unavailable as error:
                    outcomes += [Outcome("unavailable", problem=error.message)] * (len(photos) - len(outcomes))
                    break
        return outcomes

    async def _ask_about(self, server: VisionServer, photo: PhotoWork, facts: DescriptionFacts) -> Outcome:
        people = {name: _bare(name) for name in facts.people if _bare(name)}
        handed = list(people)[:_MOST_NAMES]
        try:
            preview = await self._previews.ensure(photo)
            picture = await asyncio.to_thread(preview.read_bytes)
            answer = await server.caption(picture, prompt(facts, [people[name] for name in handed]))
        except (TimedOut, BadAnswer) as error:
            return self._troubled(photo, error)
        except BadPhoto as error:
            return Outcome("failed", problem=error.message)
        self._trouble.clear()
        said = {"backend": server.name, "model": server.settings.model, "names": handed}
        return _outcome(photo, answer, said)

    def _troubled(self, photo: PhotoWork, error: FramedError) -> Outcome:
        """One photo may be too much for a server; that two in a row are says that the server is in trouble, for which
        no photo is put aside, unless it is the trouble every time."""
        others = set(self._trouble) - {photo.uid}
        self._trouble.append(photo.uid)
        if others and self._trouble.count(photo.uid) < _TROUBLE_ENDS:
            raise Unavailable(error.message) from error
        return Outcome("failed", problem=error.message)


def prompt(facts: DescriptionFacts, people: Sequence[str]) -> str:
    """What a server is asked. What is known comes from photo files, and is handed over as plain short words."""
    _, place, _ = known(facts)
    told = []
    if people:
        told.append(f"In it: {', '.join(people)}. Call them by name where it is clear who is who.")
    if place:
        told.append(f"Taken in {_bare(place)}.")
    if facts.taken_local:
        told.append(f"Taken in {facts.taken_local:%Y}." if facts.taken_precision == "year" else _when(facts))
    return " ".join(
        (
            "Say in one plain English sentence of at most 25 words what this photo shows.",
            "Only what can be seen, no guesses about feelings.",
            *(("What is known about it:", *told) if told else ()),
            "Answer with the sentence alone: no introduction, no heading, no quotation marks, no markdown.",
        )
    )


def _when(facts: DescriptionFacts) -> str:
    assert facts.taken_local is not None
    return f"Taken in {facts.taken_local:%B %Y}."


def _bare(name: str) -> str:
    """A name as one short phrase of letters, so that none can be an instruction."""
    return " ".join(re.sub(r"[^\w\s'’.,&-]", " ", name).split())[:_MOST_NAME]


def _outcome(photo: PhotoWork, answer: str, said: dict[str, Any]) -> Outcome:
    try:
        text = sentence(answer, used().max_chars)
    except NoCaption as error:
        return Outcome("failed", problem=error.message)
    said["names"] = [name for name in said["names"] if names(text, name)]
    refresh = ("description", "text_embedding") if text != photo.results.get("caption", {}).get("text") else ()
    return Outcome("completed", {"text": text, **said}, refresh=refresh)
