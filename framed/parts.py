"""The other half of the composition root: which part of a running framed follows which keys of the configuration."""

import asyncio
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from framed import logs
from framed.analysis import tag_categories
from framed.analysis.steps import all_steps, late_steps
from framed.assembly import Assembly
from framed.config import Config
from framed.models import vision_settings, weights
from framed.models.catalogue import PACKAGED
from framed.models.download import Hub
from framed.reload import Part
from framed.store import files
from framed.store import settings as remembered

log = structlog.get_logger(__name__)

_APPLIED = "analysis.settings"


def parts_of(app: Assembly) -> list[Part]:
    """Applied in this order; `differing` keys only."""
    follow = _Follow(app)
    return [
        Part(("logging",), follow.logging),
        Part(("http.base_url", "http.open_lan", "http.embed"), follow.web),
        Part(("mqtt",), follow.mqtt),
        Part(("cache", "ask.timezone"), follow.player),
        Part(("library",), follow.library),
        Part(("compute", "models.folder"), follow.compute),
        Part(("models.mirror", "models.offline"), follow.downloads),
        Part(("ask", "models"), follow.requests),
        Part(("photos", "ask.hemisphere", "models"), follow.analysis),
        Part(("captions",), follow.captions),
        Part(("models", "captions"), follow.backends),
        Part(("tags",), follow.tags, always=True),
        Part(("slideshow", "frames"), follow.frames),
        Part(("schedule", "location", "ask.timezone"), follow.schedule),
    ]


class _Follow:
    def __init__(self, app: Assembly) -> None:
        self._app = app

    async def logging(self, old: Config, new: Config) -> None:
        logs.configure(new.logging.level, new.logging.format)

    async def web(self, old: Config, new: Config) -> None:
        self._app.web.reconfigure(open_lan=new.http.open_lan, embed=tuple(new.http.embed))
        if new.http.base_url != old.http.base_url:
            await self._app.republish()

    async def mqtt(self, old: Config, new: Config) -> None:
        await self._app.configure_mqtt(new.mqtt)
        await self._app.system.publish_info()

    async def player(self, old: Config, new: Config) -> None:
        app = self._app
        app.player.reconfigure(ZoneInfo(new.ask.timezone))
        app.rendered.max_bytes = int(new.cache.pictures_gb * 1e9)
        app.previews.reconfigure(max_bytes=int(new.cache.previews_gb * 1e9))
        if new.cache != old.cache:
            app.background.start(app.housekeeping.tidy(), "housekeeping")

    async def library(self, old: Config, new: Config) -> None:
        app = self._app
        await app.scanning.close()
        try:
            await app.scanner.reconfigure(new.library)
        finally:
            await app.scanning.start()
        app.pictures.follows = new.library.followed

    async def compute(self, old: Config, new: Config) -> None:
        app = self._app
        elsewhere = new.models.folder != old.models.folder
        if elsewhere:
            weights.use(new.models_folder)
        app.pool.reconfigure(new.compute, anew=elsewhere)
        app.pipeline.cpu_hosts = new.compute.pictures_at_once
        app.late.wake()

    async def downloads(self, old: Config, new: Config) -> None:
        self._app.shelf.use(Hub(new.models.mirror, new.models.offline))

    async def requests(self, old: Config, new: Config) -> None:
        app = self._app
        backend = new.models.text_embedding
        app.asker.reconfigure(settings=new.ask, without=tuple(new.ask.without), backend=backend)
        model = PACKAGED.choose("text_embedding", backend).model_id
        if model != app.index.text_model:
            await app.index.use_text(model)

    async def analysis(self, old: Config, new: Config) -> None:
        app = self._app
        choices, before = new.models.choices(), old.models.choices()
        tasks = {task for task in choices if choices[task] != before[task]}
        others = {"description"} if new.ask.hemisphere != old.ask.hemisphere else set()
        made = all_steps(
            database=app.database,
            compute=app.pool,
            previews=app.previews,
            hemisphere=new.ask.hemisphere,
            backends=choices,
        )
        app.pipeline.reconfigure(steps=[s for s in made if s.name in tasks | others], limits=new.photos.limits())
        app.previews.limits = new.photos.limits()
        if tasks:
            app.late.steps = late_steps(
                database=app.database, compute=app.pool, previews=app.previews, backends=choices
            )
            app.late.wake()
        await redo(app, new)

    async def captions(self, old: Config, new: Config) -> None:
        vision_settings.use(new.captions)
        self._app.late.wake()

    async def backends(self, old: Config, new: Config) -> None:
        await self._app.backends.look()
        self._app.image_models.wake()
        await self._app.system.publish_info()
        await self._app.models.fetch_wished()

    async def tags(self, old: Config, new: Config) -> str | None:
        """The file of categories may have been edited where its name has not."""
        found = await asyncio.to_thread(tag_categories.read, new.tags.categories)
        if found == self._app.index.categories:
            return None
        self._app.use_categories(found)
        return "tags.categories"

    async def frames(self, old: Config, new: Config) -> None:
        show = new.slideshow
        await self._app.frame_handler.reconfigure(
            configured=new.frames, interval_s=show.interval_s, fit=show.fit, default=show.default
        )

    async def schedule(self, old: Config, new: Config) -> None:
        self._app.schedule.reconfigure(entries=new.schedule, timezone=ZoneInfo(new.ask.timezone), location=new.location)


async def redo(app: Assembly, config: Config) -> None:
    """What was computed under other settings is computed again; at the start too, for a file edited meanwhile."""
    choices = config.models.choices()
    wanted = {step.name: choices[step.name] for step in app.pipeline.steps if step.name in choices}
    now: dict[str, Any] = {"limits": config.photos.limits(), "hemisphere": config.ask.hemisphere, "backends": wanted}
    found: dict[str, Any] | None = await app.database.read(lambda c: remembered.get(c, _APPLIED))
    before = found or now
    if found != now:
        await app.database.write(lambda c: remembered.put(c, _APPLIED, now))
    stale = {step for step, backend in wanted.items() if before["backends"].get(step, backend) != backend}
    if before["hemisphere"] != now["hemisphere"]:
        stale.add("description")
    for step in stale:
        await app.router.call("library/reanalyse", {"step": step}, source="configuration")
    if any(limit > before["limits"].get(name, limit) for name, limit in now["limits"].items()):
        count = await app.database.write(files.unpark_all)
        log.info("files that were put aside are read again, more is allowed", files=count)
        app.pipeline.wake()
