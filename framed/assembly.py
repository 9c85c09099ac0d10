"""Every object that framed is made of, built in order and introduced to the others; nothing runs yet."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from framed.analysis import tag_categories
from framed.analysis.grouping import Grouping
from framed.analysis.late import MAX_ATTEMPTS, LateSteps
from framed.analysis.pipeline import Pipeline
from framed.analysis.previews import Previews
from framed.analysis.renewal import Renewal
from framed.analysis.steps import all_steps, late_steps
from framed.analysis.steps.image_embedding import ImageEmbeddingStep
from framed.analysis.tag_words import canonical_tag
from framed.backends import Backends
from framed.background import Background
from framed.broker_choice import sign_in
from framed.bus import Bus
from framed.config import Config, Mqtt
from framed.contract import LATER
from framed.errors import Unavailable
from framed.events import PhotoAnalysed, PhotoChanged, ScanFinished
from framed.frames.player import Player
from framed.frames.registry import Registry
from framed.frames.rendered import RenderedPictures
from framed.gate import ApiPort, FramesPort, HealthPort, Hub, PicturesPort
from framed.handlers.accounts import AccountHandler
from framed.handlers.frames import FrameHandler
from framed.handlers.liking import Liking
from framed.handlers.models import ModelHandler
from framed.handlers.people import PeopleHandler
from framed.handlers.photos import PhotoHandler
from framed.handlers.playlists import PlaylistHandler
from framed.handlers.system import SystemHandler
from framed.handlers.upkeep import PlaylistUpkeep
from framed.housekeeping import Housekeeping
from framed.jobs import JobQueue
from framed.lan import lan_address
from framed.library.formats import SUFFIXES
from framed.library.scanner import Scanner
from framed.library.scanning import Scanning
from framed.memory import give_back
from framed.messages import Messages
from framed.models.catalogue import PACKAGED
from framed.models.download import Hub as ModelHub
from framed.models.pool import HostPool
from framed.monitoring import Monitor
from framed.mqtt.client import MqttClient
from framed.mqtt.endpoint import Endpoint
from framed.mqtt.topics import Topics
from framed.playlists.ask import Asker
from framed.playlists.explain import caption_of
from framed.playlists.grammar import Name
from framed.playlists.image_models import ImageModels
from framed.playlists.index import LibraryIndex
from framed.playlists.kept import Kept
from framed.playlists.vocabulary import Names
from framed.reload import Reload
from framed.router import Router
from framed.schedule import Schedule
from framed.shelf import Shelf
from framed.store.database import Database
from framed.web.server import WebOptions, WebServer

LARGE_SCAN = 10_000
"""Files looked at in one scan, from which on its memory is worth giving back."""


class Assembly:
    """`_assemble` builds everything over an open database and a started pool."""

    database: Database
    pool: HostPool
    mqtt: MqttClient
    endpoint: Endpoint | None = None  # of framed's own broker

    def __init__(self, reload: Reload, *, clock: Callable[[], float]) -> None:
        self.reload = reload
        self._clock = clock
        self.background = Background()
        self.bus = Bus()
        self.started = time.time()
        self.token = ""

    @property
    def config(self) -> Config:
        """The one in force."""
        return self.reload.config

    @property
    def base_url(self) -> str:
        """The address that frames on the LAN reach this server under."""
        if self.config.http.base_url:
            return self.config.http.base_url
        host = self.config.http.host
        if host in (None, "0.0.0.0", "::", ""):
            host = lan_address()
        return f"http://{host}:{self.web.port}"

    async def republish(self) -> None:
        await self.system.publish_info()
        await self.system.publish_library()
        await self.system.publish_playlists()
        for frame in self.registry.all():
            await self.player.republish(frame.id)

    async def configure_mqtt(self, mqtt: Mqtt) -> None:
        """Another address, password or certificate for a broker of the owner's own, without a restart."""
        if self.endpoint is None and mqtt.host is not None:
            await self.mqtt.configure(sign_in(mqtt, self.config.instance, None))

    def _assemble(self) -> None:
        data = self.config.data_dir
        self._build_library(data)
        self._build_late()
        self._build_playlists()
        self._build_frames(data)
        self._build_upkeep()
        self._build_people()
        self._build_schedule()
        self._build_handlers()
        self._build_requests()
        self._introduce()
        self._build_web()

    def _build_library(self, data: Path) -> None:
        config = self.config
        self.previews = Previews(
            folder=data / "cache",
            compute=self.pool,
            database=self.database,
            max_bytes=int(config.cache.previews_gb * 1e9),
            limits=config.photos.limits(),
        )
        steps = all_steps(
            database=self.database,
            compute=self.pool,
            previews=self.previews,
            hemisphere=config.ask.hemisphere,
            backends=config.models.choices(),
        )
        self.scanner = Scanner(
            database=self.database,
            settings=config.library,
            suffixes=SUFFIXES,
            emit=self.bus.emit,
            clock=self._clock,
        )
        self.scanning = Scanning(self.scanner, self.background)
        self.pipeline = Pipeline(
            database=self.database,
            compute=self.pool,
            files=self.scanner.files,
            previews=self.previews,
            bus=self.bus,
            steps=steps,
            cpu_hosts=config.compute.pictures_at_once,
            limits=config.photos.limits(),
        )
        self.backends = Backends(
            database=self.database,
            bus=self.bus,
            choices=lambda: self.config.models.choices(),
            steps=lambda: [step.name for step in self.pipeline.steps],
            reopened=self.pipeline.wake,
            follow=lambda task, backend: self.renewal.follow(task, backend),
        )
        self.renewal = Renewal(database=self.database, pipeline=self.pipeline, late=lambda: self.late)

    def _build_late(self) -> None:
        self.late = LateSteps(
            database=self.database,
            bus=self.bus,
            steps=late_steps(
                database=self.database,
                compute=self.pool,
                previews=self.previews,
                backends=self.config.models.choices(),
            ),
            busy=lambda: self.pipeline.busy,
            refresh=self.pipeline.wake,
        )
        self.bus.on(PhotoAnalysed, self._look_deeper)
        self.bus.on(PhotoChanged, self._look_deeper)  # one that is shown again lacks what hidden ones are spared
        self.bus.on(ScanFinished, self._scanned)

    async def _look_deeper(self, event: PhotoAnalysed | PhotoChanged) -> None:
        self.late.wake(event.photo_id)

    async def _scanned(self, event: ScanFinished) -> None:
        if event.files >= LARGE_SCAN:
            await give_back()

    def _build_playlists(self) -> None:
        config = self.config
        text_model = next(entry["model"] for task, entry in PACKAGED.report().items() if task == "text_embedding")
        self.index = LibraryIndex(database=self.database, text_model=text_model)
        self.names = Names(database=self.database, frames=lambda: self._frame_names())
        self.use_categories(tag_categories.read(config.tags.categories))
        self.asker = Asker(
            database=self.database,
            index=self.index,
            names=self.names,
            compute=self.pool,
            settings=config.ask,
            without=tuple(config.ask.without),
            tag_of=canonical_tag,
            backend=config.models.text_embedding,
            clock=self._clock,
        )
        self.image_models = ImageModels(
            database=self.database,
            bus=self.bus,
            compute=self.pool,
            index=self.index,
            backend=lambda: self.config.models.image_embedding,
            version=ImageEmbeddingStep.version,
            attempts=MAX_ATTEMPTS,
            reopened=self.late.wake,
        )

    def use_categories(self, categories: tag_categories.Categories) -> None:
        self.index.categories = categories
        self.index.forget("tags")
        self.names.categories = tuple(categories)
        self.names.changed(now=True)

    def _frame_names(self) -> list[Name]:
        return [Name(id=frame.id, name=frame.name, aliases=frame.aliases) for frame in self.registry.all()]

    def _build_frames(self, data: Path) -> None:
        config = self.config
        self.registry = Registry(
            database=self.database,
            configured=config.frames,
            interval_s=config.slideshow.interval_s,
            fit=config.slideshow.fit,
            default=config.slideshow.default,
        )
        self.router = Router(database=self.database)
        self.topics = Topics(config.mqtt.base_topic)
        self.jobs = JobQueue(database=self.database, bus=self.bus)
        self.messages = Messages(
            topics=self.topics,
            router=self.router,
            bus=self.bus,
            database=self.database,
            job_answered=self.jobs.answered,
            instance=config.instance,
        )
        self.rendered = RenderedPictures(
            database=self.database,
            compute=self.pool,
            previews=self.previews,
            folder=data / "pictures",
            max_bytes=int(config.cache.pictures_gb * 1e9),
        )
        self.player = Player(
            database=self.database,
            rendered=self.rendered,
            registry=self.registry,
            publisher=self.messages,
            bus=self.bus,
            base_url=lambda: self.base_url,
            caption=caption_of,
            timezone=ZoneInfo(config.ask.timezone),
            clock=self._clock,
        )

    def _build_handlers(self) -> None:
        self.frame_handler = FrameHandler(
            database=self.database,
            bus=self.bus,
            registry=self.registry,
            player=self.player,
            router=self.router,
            names=self.names,
            base_url=lambda: self.base_url,
            removed=self._frame_removed,
        )
        self.system = SystemHandler(
            database=self.database,
            bus=self.bus,
            jobs=self.jobs,
            pipeline=self.pipeline,
            late=self.late,
            scanner=self.scanner,
            pool=self.pool,
            monitor=Monitor(pool=self.pool, analyses=lambda: (self.pipeline, self.late), data=self.config.data_dir),
            reload=self.reload,
            schedule=self.schedule,
            messages=self.messages,
            topics=self.topics,
            config=lambda: self.config,
            base_url=lambda: self.base_url,
            mqtt=lambda: self.mqtt,
            image_search=self.image_models.status,
            verbs=lambda: [*self.router.verbs(), *LATER],
            started=self.started,
        )
        self.accounts = AccountHandler(registry=self.registry, lan_address=lan_address)
        models = self.config.models
        self.shelf = Shelf(
            database=self.database,
            hub=ModelHub(models.mirror, models.offline),
            choices=lambda: self.config.models.choices(),
        )
        self.models = ModelHandler(
            shelf=self.shelf,
            jobs=self.jobs,
            pool=self.pool,
            changed=self._weights_changed,
            image_search=self.image_models.status,
        )

    def _build_upkeep(self) -> None:
        """What is done unasked."""
        self.housekeeping = Housekeeping(
            database=self.database, jobs=self.jobs, caches=(self.previews.shrink, self.rendered.tidy, give_back)
        )
        self.kept = Kept(database=self.database, bus=self.bus, asker=self.asker)
        self.liking = Liking(
            database=self.database, bus=self.bus, jobs=self.jobs, when_scored=lambda: self.index.build()
        )
        self.liking.listen()
        self.upkeep = PlaylistUpkeep(
            database=self.database,
            bus=self.bus,
            asker=self.asker,
            kept=self.kept,
            player=self.player,
            registry=self.registry,
            jobs=self.jobs,
        )
        self.upkeep.listen()

    def _build_requests(self) -> None:
        """Every family of requests has its handler here."""
        handlers: list[
            PhotoHandler
            | PlaylistHandler
            | FrameHandler
            | AccountHandler
            | SystemHandler
            | PeopleHandler
            | ModelHandler
        ] = [
            PhotoHandler(
                database=self.database,
                bus=self.bus,
                pipeline=self.pipeline,
                scanner=self.scanner,
                index=self.index,
                names=self.names,
                asker=self.asker,
                jobs=self.jobs,
                renewal=self.renewal,
            ),
            PlaylistHandler(
                database=self.database,
                bus=self.bus,
                asker=self.asker,
                kept=self.kept,
                player=self.player,
                registry=self.registry,
                router=self.router,
            ),
            self.frame_handler,
            self.accounts,
            self.system,
            self.people,
            self.models,
        ]
        for handler in handlers:
            self.router.add(handler)
            handler.listen()
        for verb, sentence in LATER.items():
            self.router.later(verb, sentence)

    def _build_schedule(self) -> None:
        self.schedule = Schedule(
            database=self.database,
            call=lambda verb, payload: self.router.call(verb, payload, source="schedule"),
            entries=self.config.schedule,
            timezone=ZoneInfo(self.config.ask.timezone),
            location=self.config.location,
            own={
                "midnight": ("1 0 * * *", self.upkeep.new_day),
                "night": ("30 3 * * *", self.housekeeping.nightly),
                "liking": ("15 4 * * *", self.liking.nightly),
                "faces": ("45 3 * * *", self.grouping.nightly),
            },
            clock=self._clock,
        )

    def _introduce(self) -> None:
        """Parts that need each other, and so could not all be there when they were built."""
        self.reload.heard = self.system.configuration_changed
        self.messages.listen()

    async def _weights_changed(self) -> None:
        """Backends are chosen anew, and the photos that lack what can be done now get it."""
        await self.backends.look()
        await self.renewal.read_more()
        self.late.wake()
        await self.system.publish_info()

    def _build_people(self) -> None:
        self.grouping = Grouping(
            database=self.database,
            bus=self.bus,
            model=self._face_model,
            changed=lambda touched, renamed: self.people.changed(touched, renamed),
        )
        self.people = PeopleHandler(
            database=self.database,
            bus=self.bus,
            index=self.index,
            names=self.names,
            jobs=self.jobs,
            grouping=self.grouping,
            model=self._face_model,
            described=self.pipeline.wake,
            look_again=self.late.wake,
            told=lambda: self.system.publish_library(),
        )

    def _face_model(self) -> str | None:
        wanted = self.config.models.choices().get("faces", "auto")
        try:
            return None if wanted == "off" else PACKAGED.choose("faces", wanted).model_id
        except Unavailable:
            return None

    async def _frame_removed(self, frame: str) -> None:
        await self.messages.clear_frame(frame)
        await self.accounts.remove(frame)

    def _build_web(self) -> None:
        http = self.config.http
        self.hub = Hub()
        gate = FramesPort(
            database=self.database,
            registry=self.registry,
            player=self.player,
            rendered=self.rendered,
            handler=self.frame_handler,
            router=self.router,
            hub=self.hub,
        )
        self.pictures = PicturesPort(
            database=self.database, rendered=self.rendered, previews=self.previews, follows=self.config.library.followed
        )
        self.web = WebServer(
            options=WebOptions(
                host=http.host,
                port=http.port,
                open_lan=http.open_lan,
                embed=tuple(http.embed),
                public_host=urlsplit(http.base_url or "").hostname,
            ),
            api=ApiPort(self.router),
            pictures=self.pictures,
            gate=gate,
            tokens=gate,
            health=HealthPort(
                health=self.system.health_payload,
                library=self.system.library_payload,
                metrics=self.system.metrics,
                hub=self.hub,
            ),
            admin_token=self.token,
        )
        self.messages.hear.append(self._tell_pages)
        self.bus.on(PhotoChanged, gate.photo_changed)
        self.system.hear.append(lambda name, payload: self.hub.tell("console", name, payload))

    def _tell_pages(self, frame: str, name: str, payload: Any) -> None:
        self.hub.tell(f"frame:{frame}", name, payload)
        if name == "state":
            self.hub.tell("console", "frame", payload)
