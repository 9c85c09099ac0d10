"""Models on request: what there is, what is here; fetching weights, looking through them, removing them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from pydantic import Field

from framed.errors import Busy, Refused
from framed.jobs import Job, JobQueue, Progress
from framed.models.download import OFFLINE, gigabytes
from framed.models.pool import HostPool
from framed.models.pull import said
from framed.models.weights import Weights
from framed.router import Accepted, Request, answers
from framed.shelf import Shelf, Told, how_to_accept, question

log = structlog.get_logger(__name__)

_NAME = Field(min_length=1, max_length=80)


class ModelsPull(Request):
    """`name`: a set of weights, or a backend. `accept_licence`: somebody has read the licence and says yes."""

    name: str = _NAME
    accept_licence: bool = False


class ModelsRemove(Request):
    name: str = _NAME
    force: bool = False


class ModelsVerify(Request):
    """`name`: one set, else all that are here. `fetch`: what is damaged is fetched again."""

    name: str | None = Field(None, min_length=1, max_length=80)
    fetch: bool = False


class ModelHandler:
    """`changed` is awaited when weights have come, gone or were found damaged."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        jobs: JobQueue,
        pool: HostPool,
        changed: Callable[[], Awaitable[None]],
        image_search: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._shelf = shelf
        self._jobs = jobs
        self._pool = pool
        self._changed = changed
        self._image_search = image_search
        self._fetching: set[str] = set()

    def listen(self) -> None:
        self._jobs.works("models_pull", self._pull)
        self._jobs.works("models_verify", self._verify)

    # -- requests ------------------------------------------------------------------------------------------------

    @answers("models/list", Request)
    async def models(self, request: Request) -> dict[str, Any]:
        """`items`: what does each task. `backends`: everything that could. `weights`: what can be downloaded.
        `image_search`: the model that requests are compared with, and the one that is to take over, with how far it is.
        """
        looking = self._image_search()
        return await self._shelf.overview(sorted(self._fetching)) | ({"image_search": looking} if looking else {})

    @answers("models/pull", ModelsPull)
    async def pull(self, request: ModelsPull) -> Accepted:
        wanted = self._shelf.find(request.name)
        if request.accept_licence:
            await self._shelf.accept(wanted)
        if await self._shelf.needs_yes(wanted):
            raise Refused(question(wanted) + how_to_accept(wanted), field="accept_licence")
        return Accepted(await self._queue(wanted, request.transaction))

    @answers("models/remove", ModelsRemove)
    async def remove(self, request: ModelsRemove) -> dict[str, Any]:
        wanted = self._shelf.find(request.name)
        if wanted.name in self._fetching:
            raise Busy(f"{wanted.name} is being fetched; end that first: job/cancel.")
        used = await asyncio.to_thread(self._shelf.in_use, wanted)
        if used and not request.force:
            raise Busy(
                f"{wanted.title} does {' and '.join(used).replace('_', ' ')} now. To remove it all the same:"
                f' framed models remove {wanted.name} --force, or "force": true in the request.'
            )
        self._pool.let_go(wanted.backend)
        freed = await self._shelf.remove(wanted.name)
        log.info("weights were removed", weights=wanted.name, bytes=freed)
        await self._changed()
        speech = f"{wanted.title} is gone; {gigabytes(freed)} are free." if freed else f"{wanted.title} was not here."
        return {"name": wanted.name, "freed": freed, "speech": speech}

    @answers("models/verify", ModelsVerify)
    async def verify(self, request: ModelsVerify) -> Accepted:
        name = self._shelf.find(request.name).name if request.name else None
        key = f"{name or 'all'}{' fetch' if request.fetch else ''}"
        payload = {"name": name, "fetch": request.fetch}
        return Accepted(await self._jobs.add("models_verify", payload, dedupe_key=key, transaction=request.transaction))

    # -- at the start --------------------------------------------------------------------------------------------

    async def fetch_wished(self) -> None:
        """A backend that the configuration names gets its weights by itself, unless a person must say yes first."""
        for wanted in await asyncio.to_thread(self._shelf.wished):
            if self._shelf.hub.offline and self._shelf.hub.folder is None:
                log.warning("weights are not here", weights=wanted.name, problem=OFFLINE)
            elif await self._shelf.needs_yes(wanted):
                log.warning(
                    "weights wait for a yes", weights=wanted.name, problem=question(wanted) + how_to_accept(wanted)
                )
            else:
                await self._queue(wanted, None)

    # -- work ----------------------------------------------------------------------------------------------------

    async def _queue(self, wanted: Weights, transaction: str | None) -> str:
        """Who asks for what is being fetched already waits for the same bytes, and has an answer of their own."""
        return await self._jobs.add(
            "models_pull", {"name": wanted.name}, dedupe_key=wanted.name, transaction=transaction
        )

    async def _pull(self, job: Job, progress: Progress) -> dict[str, Any]:
        wanted = self._shelf.find(job.payload["name"])
        self._fetching.add(wanted.name)
        try:
            pulled = await self._shelf.pull(wanted, Told(progress))
        finally:
            self._fetching.discard(wanted.name)
        if pulled.fetched:
            self._pool.let_go(wanted.backend)
            await self._changed()
        return {
            "name": wanted.name,
            "size": pulled.size,
            "fetched": pulled.fetched,
            "published": pulled.published,
            "speech": said(pulled, wanted.title),
        }

    async def _verify(self, job: Job, progress: Progress) -> dict[str, Any]:
        result = await self._shelf.look_through(job.payload["name"], progress, fetch=job.payload["fetch"])
        if any(item["damaged"] for item in result["items"]):
            await self._changed()
        return result
