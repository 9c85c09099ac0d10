"""The visible list of backends: which class does which task, in the order `auto` prefers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypedDict

import structlog

from framed.errors import Unavailable
from framed.models.base import Where, offer_class

log = structlog.get_logger(__name__)

_OFF = "It is off in the configuration."


@dataclass(frozen=True)
class Entry:
    """One backend by name. The class at `where` ("module:Class") is imported by the host that runs it.

    What the daemon must know of the class is said here again, so that choosing imports no model library.
    `always` spares a backend the question whether it is available: its module imports what a daemon must not (Pillow),
    and everything it needs is in the base install.
    """

    task: str
    backend: str
    where: str
    host: Where
    model_id: str = ""
    always: bool = False


def _openclip(task: str, profile: str, kind: str, model_id: str) -> Entry:
    return Entry(task, f"openclip-{profile}", f"framed.models.embedding_openclip:{kind}", "model", model_id)


BACKENDS: tuple[Entry, ...] = (
    Entry("examine", "pillow", "framed.analysis.examine:Examine", "cpu", always=True),
    Entry("crop", "pillow", "framed.analysis.crops:FaceCrop", "cpu", always=True),
    Entry("render", "pillow", "framed.frames.render:Renderer", "cpu", always=True),
    Entry("tags", "ramplus", "framed.models.tagger_ramplus:RamPlus", "model", "ram-plus-swin-large-14m"),
    Entry(
        "tags",
        "efficientnet",
        "framed.models.tagger_efficientnet:EfficientNetLite2",
        "model",
        "efficientnet-lite2-imagenet1k",
    ),
    _openclip("image_embedding", "default", "DefaultImages", "openclip-vit-h-14-laion2b-s32b-b79k"),
    _openclip("image_embedding", "quality", "QualityImages", "openclip-vit-so400m-16-siglip2-384-webli"),
    _openclip("image_embedding", "fast", "FastImages", "openclip-vit-b-16-siglip2-webli"),
    _openclip("image_embedding", "small", "SmallImages", "openclip-vit-b-32-laion2b-s34b-b79k"),
    Entry(
        "image_embedding",
        "efficientnet",
        "framed.models.embedding_efficientnet:EfficientNetFeatures",
        "model",
        "efficientnet-lite2-features",
    ),
    _openclip("query_embedding", "default", "DefaultTexts", "openclip-vit-h-14-laion2b-s32b-b79k"),
    _openclip("query_embedding", "quality", "QualityTexts", "openclip-vit-so400m-16-siglip2-384-webli"),
    _openclip("query_embedding", "fast", "FastTexts", "openclip-vit-b-16-siglip2-webli"),
    _openclip("query_embedding", "small", "SmallTexts", "openclip-vit-b-32-laion2b-s34b-b79k"),
    Entry("text_embedding", "minilm", "framed.models.text_minilm:MiniLM", "light", "all-minilm-l6-v2"),
    Entry("ocr", "paddleocr", "framed.models.ocr_paddleocr:PaddleOcr", "apart", "pp-ocrv6-medium"),
    Entry("ocr", "rapidocr", "framed.models.ocr_rapidocr:RapidOcr", "cpu", "pp-ocrv6-small"),
    Entry("faces", "insightface", "framed.models.faces_insightface:InsightFaces", "model", "arcface-w600k-r50"),
    Entry("faces", "dlib", "framed.models.faces_dlib:DlibFaces", "cpu", "dlib-resnet-v1"),
    Entry("aesthetics", "v25", "framed.models.aesthetics_v25:AestheticsV25", "model", "aesthetic-predictor-v2-5"),
    Entry("aesthetics", "laion", "framed.models.aesthetics_laion:AestheticsLaion", "model", "laion-sac-logos-ava1-l14"),
    Entry("caption", "florence2", "framed.models.caption_florence2:Florence2", "model", "florence-2"),
    Entry("caption", "ollama", "framed.models.caption_ollama:Ollama", "daemon"),
    Entry("caption", "openai", "framed.models.caption_openai:OpenAi", "daemon"),
    Entry("caption", "assembled", "framed.analysis.describe:describe", "daemon", always=True),
    Entry("places", "geonames", "framed.models.places_geonames:GeonamesPlaces", "light"),
)


@dataclass(frozen=True)
class Choice:
    """The backend to call, and why this one: sentences for `framed/info`; `passed_over` are preferred ones not here."""

    backend: str
    model_id: str
    host: Where
    reason: str
    passed_over: tuple[str, ...] = ()


class TaskReport(TypedDict):
    """One task in the retained `framed/info`; `reason` is empty where everything is as preferred."""

    backend: str
    model: str
    state: Literal["ready", "unavailable", "off"]
    reason: str


class Catalogue:
    """Backends by task and name. Tests give it their own entries."""

    def __init__(self, entries: Iterable[Entry] = BACKENDS) -> None:
        self._entries = {(entry.task, entry.backend): entry for entry in entries}

    def entries(self) -> list[Entry]:
        """All of them, as listed."""
        return list(self._entries.values())

    @contextmanager
    def also(self, *entries: Entry) -> Iterator[None]:
        """Lists these too, after those of their task, for as long as the block lasts."""
        before = self._entries
        self._entries = before | {(entry.task, entry.backend): entry for entry in entries}
        try:
            yield
        finally:
            self._entries = before

    def entry(self, task: str, backend: str) -> Entry:
        """Raises Unavailable where no such backend is listed."""
        found = self._entries.get((task, backend))
        if found is None:
            raise Unavailable(f"There is no backend {backend!r} for {task}; there are: {self._names(task)}.")
        return found

    def choose(self, task: str, wanted: str = "auto") -> Choice:
        """The wanted backend, or the most preferred one that is usable now. Raises Unavailable with every reason."""
        if wanted == "off":
            raise Unavailable(_OFF)
        if wanted != "auto":
            entry = self.entry(task, wanted)
            if why_not := why_unavailable(entry):
                raise Unavailable(f"{wanted}, configured for {task}, cannot be used: {why_not}")
            return Choice(entry.backend, entry.model_id, entry.host, "It is configured.")
        passed_over: dict[str, str] = {}
        for entry in self._for(task):
            if why_not := why_unavailable(entry):
                passed_over[entry.backend] = f"{entry.backend}: {why_not}"
                continue
            reason = _listed(passed_over)
            return Choice(entry.backend, entry.model_id, entry.host, reason, tuple(passed_over))
        raise Unavailable(_listed(passed_over) or f"Nothing in this installation does {task}.")

    def report(self, wanted: Mapping[str, str] | None = None) -> dict[str, TaskReport]:
        """What is used for each task now, where `wanted` gives the configuration's choices; else what `auto` uses."""
        tasks = dict.fromkeys(task for task, _ in self._entries)
        return {task: self._report(task, (wanted or {}).get(task, "auto")) for task in tasks}

    def _report(self, task: str, wanted: str) -> TaskReport:
        if wanted == "off":
            return TaskReport(backend="", model="", state="off", reason=_OFF)
        try:
            choice = self.choose(task, wanted)
        except Unavailable as error:
            listed = self._for(task)
            first = next((entry for entry in listed if entry.backend == wanted), listed[0])
            return TaskReport(backend=first.backend, model=first.model_id, state="unavailable", reason=error.message)
        return TaskReport(backend=choice.backend, model=choice.model_id, state="ready", reason=choice.reason)

    def _for(self, task: str) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.task == task]

    def _names(self, task: str) -> str:
        return ", ".join(entry.backend for entry in self._for(task)) or "none"


def _listed(passed_over: Mapping[str, str]) -> str:
    """The reasons of several backends in one line, each ending where the next begins."""
    return "; ".join(why_not.removesuffix(".") for why_not in passed_over.values())


def why_unavailable(entry: Entry) -> str | None:
    """None where the backend is usable, else a sentence."""
    if entry.always:
        return None
    try:
        return offer_class(entry.where).available()
    except Exception as error:  # whatever a broken third-party package raises on import, the daemon stays up
        log.warning("backend cannot be imported", task=entry.task, backend=entry.backend, exc_info=True)
        return f"It cannot be imported here ({type(error).__name__}: {error}); reinstall framed."


PACKAGED = Catalogue()


def choose(task: str, wanted: str = "auto") -> Choice:
    """`Catalogue.choose` among the backends of this installation."""
    return PACKAGED.choose(task, wanted)


def report(wanted: Mapping[str, str] | None = None) -> dict[str, TaskReport]:
    """`Catalogue.report` of the backends of this installation."""
    return PACKAGED.report(wanted)
