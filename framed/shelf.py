"""The weights of this installation: what there is to have, what is here, which licences were accepted, what is pinned.

The daemon uses it, and `framed models` where no daemon runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

import structlog
from sqlalchemy import Connection

from framed.errors import BadRequest, Refused, Unavailable
from framed.models import weights
from framed.models.catalogue import PACKAGED, Catalogue, Entry, why_unavailable
from framed.models.download import Downloader, Hub, gigabytes
from framed.models.pull import NEW, Damage, Pins, Pulled, Puller, Report, disk_use
from framed.models.weight_sets import WEIGHTS
from framed.models.weights import Weights
from framed.store import settings as remembered
from framed.store.database import Database
from framed.terminal import lasted

log = structlog.get_logger(__name__)

_PINS, _LICENCES = "models.pins", "models.licences"

Tell = Callable[[float, str | None], None]
"""The done fraction, 0 to 1, and what is being done."""


class WeightsReport(TypedDict):
    """One set in the answer to models/list. `size`: bytes to download, `disk`: bytes of its folder."""

    name: str
    title: str
    task: str
    backend: str
    size: int
    disk: int
    state: str
    reason: str
    revision: str
    licence: dict[str, Any]
    accepted: str | None
    in_use: bool


class BackendReport(TypedDict):
    task: str
    backend: str
    model: str
    state: str
    reason: str
    chosen: bool
    weights: list[str]


class Shelf:
    """`choices` is the configuration's backend per task. Tests give their own list of sets and catalogue."""

    def __init__(
        self,
        *,
        database: Database,
        hub: Hub,
        choices: Callable[[], dict[str, str]],
        sets: Sequence[Weights] = WEIGHTS,
        catalogue: Catalogue = PACKAGED,
        downloader: Downloader | None = None,
    ) -> None:
        self.sets = tuple(sets)
        self._downloader = downloader or Downloader(hub)
        self.use(hub)
        self._database = database
        self._choices = choices
        self._catalogue = catalogue
        self._puller = Puller(self._downloader)

    def use(self, hub: Hub) -> None:
        """Files come from there from now on; one that is on its way is still brought."""
        self.hub = self._downloader.hub = hub

    def find(self, name: str) -> Weights:
        """The set of this name, else the first one of the backend of this name. Raises BadRequest."""
        for wanted in self.sets:
            if wanted.name == name:
                return wanted
        for wanted in self.sets:
            if wanted.backend == name:
                return wanted
        known = ", ".join(wanted.name for wanted in self.sets)
        raise BadRequest(f"There are no weights {name[:60]!r}. There are: {known}.", field="name")

    # -- licences ------------------------------------------------------------------------------------------------

    async def accepted(self, wanted: Weights) -> str | None:
        """When the licence was accepted; None where it was not, or was another one then."""
        kept = (await self._remembered(_LICENCES)).get(wanted.name)
        return str(kept["at"]) if kept and kept["licence"] == wanted.licence.name else None

    async def accept(self, wanted: Weights) -> None:
        """Somebody said yes; asked once."""
        if await self.accepted(wanted) is None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            await self._remember(_LICENCES, wanted.name, {"licence": wanted.licence.name, "at": now})

    async def needs_yes(self, wanted: Weights) -> bool:
        return wanted.licence.ask and await self.accepted(wanted) is None

    # -- work ----------------------------------------------------------------------------------------------------

    async def pull(self, wanted: Weights, report: Report = lambda *_: None) -> Pulled:
        """Raises Refused where the licence asks and nobody has said yes; Unavailable with a sentence."""
        if await self.needs_yes(wanted):
            raise Refused(question(wanted) + how_to_accept(wanted))
        kept = (await self._remembered(_PINS)).get(wanted.name, {})
        pins = Pins(kept.get("revision"), kept.get("files", {}))
        pulled = await self._puller.pull(wanted, pins, report)
        if pulled.pins != pins:
            await self._remember(_PINS, wanted.name, {"revision": pulled.pins.revision, "files": pulled.pins.files})
        return pulled

    async def verify(self, name: str, report: Report = lambda *_: None) -> list[Damage]:
        return await self._puller.verify(name, report)

    async def look_through(self, name: str | None, tell: Tell, *, fetch: bool = False) -> dict[str, Any]:
        """Verifies one set, or all that are here; `fetch`: what is damaged is fetched again."""
        here = await asyncio.to_thread(self.here)
        names = [name] if name else [wanted.name for wanted in self.sets if wanted.name in here]
        items: list[dict[str, Any]] = []
        for number, each in enumerate(names):
            damaged = await self.verify(each, Told(tell, begin=number / len(names), share=1 / len(names)))
            files = [{"file": damage.file, "why": damage.why} for damage in damaged]
            if damaged:
                log.warning("weights are damaged", weights=each, files=files)
            if damaged and fetch:
                await self.pull(self.find(each), Told(tell))
            items.append({"name": each, "damaged": files, "fetched": bool(damaged and fetch)})
        return {"items": items, "speech": _verified(items)}

    async def remove(self, name: str) -> int:
        """The bytes that are free now. What was pinned and accepted stays so."""
        return await self._puller.remove(name)

    # -- what there is -------------------------------------------------------------------------------------------

    async def overview(self, fetching: Sequence[str] = ()) -> dict[str, Any]:
        """The answer to models/list. `fetching`: sets that are on the way."""
        chosen = await asyncio.to_thread(self._catalogue.report, self._choices())
        backends, sets = await self.listed(fetching)
        return {
            "items": [{"task": task, **entry} for task, entry in chosen.items()],
            "backends": backends,
            "weights": sets,
            "folder": str(weights.folder()),
            "disk": sum(entry["disk"] for entry in sets),
            "offline": self.hub.offline,
        }

    async def listed(self, fetching: Sequence[str] = ()) -> tuple[list[BackendReport], list[WeightsReport]]:
        """Every backend that takes part in a choice, and every set of weights. `fetching`: sets that are on the way."""
        accepted = await self._remembered(_LICENCES)
        return await asyncio.to_thread(self._listed, accepted, fetching)

    def here(self) -> list[str]:
        """Blocks: the sets of which something is on the disk, unknown ones of earlier versions included."""
        try:
            return sorted(path.name for path in weights.folder().iterdir() if path.is_dir() and path.name[:1] != ".")
        except OSError:
            return []  # there is no such folder yet

    def in_use(self, wanted: Weights) -> list[str]:
        """Blocks: the tasks that are done with these weights now."""
        if weights.missing(wanted.name) is not None:
            return []
        return [
            entry.task for entry in self._catalogue.entries() if entry.backend == wanted.backend and self._chosen(entry)
        ]

    def wished(self) -> list[Weights]:
        """Blocks: sets of backends that the configuration names, of which none is here."""
        found = []
        for task, backend in self._choices().items():
            its = [wanted for wanted in self.sets if wanted.backend == backend and wanted.task == task]
            if its and all(weights.missing(wanted.name) for wanted in its):
                found.append(its[0])
        return found

    def _listed(
        self, accepted: dict[str, Any], fetching: Sequence[str]
    ) -> tuple[list[BackendReport], list[WeightsReport]]:
        entries = [entry for entry in self._catalogue.entries() if not entry.always or entry.host == "daemon"]
        backends = [self._backend(entry) for entry in entries]
        return backends, [self._weights(wanted, accepted, fetching) for wanted in self.sets]

    def _backend(self, entry: Entry) -> BackendReport:
        why_not = why_unavailable(entry)
        return BackendReport(
            task=entry.task,
            backend=entry.backend,
            model=entry.model_id,
            state="unavailable" if why_not else "ready",
            reason=why_not or "",
            chosen=why_not is None and self._chosen(entry),
            weights=[wanted.name for wanted in self.sets if wanted.backend == entry.backend],
        )

    def _chosen(self, entry: Entry) -> bool:
        choice = self._choices().get(entry.task, "auto")
        try:
            return choice != "off" and self._catalogue.choose(entry.task, choice).backend == entry.backend
        except Unavailable:
            return False

    def _weights(self, wanted: Weights, accepted: dict[str, Any], fetching: Sequence[str]) -> WeightsReport:
        state, reason = state_of(wanted)
        yes = accepted.get(wanted.name, {})
        licence = wanted.licence
        manifest = weights.read_manifest(wanted.name) or {}
        return WeightsReport(
            name=wanted.name,
            title=wanted.title,
            task=wanted.task,
            backend=wanted.backend,
            size=wanted.size,
            disk=disk_use(weights.folder() / wanted.name),
            state="fetching" if wanted.name in fetching else state,
            reason=reason,
            revision=str(manifest.get("revision", wanted.revision)),
            licence={"name": licence.name, "url": licence.url, "says": licence.says, "ask": licence.ask},
            accepted=yes.get("at") if yes.get("licence") == licence.name else None,
            in_use=bool(self.in_use(wanted)),
        )

    async def _remembered(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] | None = await self._database.read(lambda c: remembered.get(c, key))
        return found or {}

    async def _remember(self, key: str, name: str, value: dict[str, Any]) -> None:
        def write(connection: Connection) -> None:
            remembered.put(connection, key, {**(remembered.get(connection, key) or {}), name: value})

        await self._database.write(write, durable=True)


def state_of(wanted: Weights) -> tuple[str, str]:
    """Blocks. here, missing, partial (a pull broke off), damaged or outdated; and why, where it is not here."""
    manifest = weights.read_manifest(wanted.name)
    if manifest is None:
        begun = disk_use(weights.folder() / wanted.name / NEW) > 0
        return ("partial" if begun else "missing"), f"framed models pull {wanted.name}"
    if why := weights.missing(wanted.name):
        return "damaged", why
    if manifest.get("listed", wanted.revision) != wanted.revision:
        return "outdated", f"framed models pull {wanted.name}"
    return "here", ""


def question(wanted: Weights) -> str:
    """The licence, as it is put to a person."""
    licence = wanted.licence
    says = f" {licence.says}" if licence.says else ""
    return f"{wanted.title} comes under the licence {licence.name} ({licence.url}).{says}"


def how_to_accept(wanted: Weights) -> str:
    return (
        f" To accept it: framed models pull {wanted.name} --accept-licence, or the request models/pull with"
        f' {{"name": "{wanted.name}", "accept_licence": true}}.'
    )


class Told:
    """Makes of bytes what a person wants to know: how far, how long still."""

    def __init__(self, tell: Tell, *, begin: float = 0.0, share: float = 1.0) -> None:
        self._tell = tell
        self._begin = begin
        self._share = share
        self._since: tuple[float, int] | None = None
        self._rate = 0.0

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = (now, done)
        at, before = self._since
        if now - at >= 1.0:
            fresh = (done - before) / (now - at)
            self._rate = fresh if not self._rate else 0.7 * self._rate + 0.3 * fresh
            self._since = (now, done)
        left = f", about {lasted((total - done) / self._rate)}" if self._rate > 0 and total > done else ""
        step = f"{what}: {gigabytes(done)} of {gigabytes(total)}{left}"
        self._tell(self._begin + self._share * min(done / max(total, 1), 1.0), step)


def _verified(items: list[dict[str, Any]]) -> str:
    if not items:
        return "No weights are here."
    broken = [item for item in items if item["damaged"]]
    if not broken:
        return f"All weights are whole: {', '.join(str(item['name']) for item in items)}."
    sentences = []
    for item in broken:
        files = ", ".join(f"{damage['file']} ({damage['why'].rstrip('.').lower()})" for damage in item["damaged"])
        mend = "It was fetched again." if item["fetched"] else f"To mend it: framed models pull {item['name']}"
        sentences.append(f"{item['name']} is damaged: {files}. {mend}")
    return " ".join(sentences)
