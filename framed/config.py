"""config.yaml → one pydantic class per section; an error names the file, the line and the key.

What a run of framed needs is the file, read by `config_yaml`, with the options of `framed run` merged over it.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from framed.config_faults import sentences, without_nulls
from framed.config_file import DATA_DIR, HTTP_PORT, Place, find, merge, resolve
from framed.errors import BadRequest, ConfigError
from framed.frames.base import Fit
from framed.frames.registry import FrameConfig
from framed.library.scanner import LibrarySettings
from framed.models.catalogue import PACKAGED
from framed.models.pool import ComputeSettings
from framed.models.vision_settings import CaptionSettings
from framed.mqtt.settings import TlsSettings
from framed.mqtt.topics import Topics
from framed.playlists.plan import AskSettings, Kind
from framed.schedule import Location, ScheduleEntry

__all__ = ["Config", "find", "load"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mqtt(Section):
    host: str | None = None
    port: int = Field(1883, ge=1, le=65_535)
    username: str | None = None
    password: SecretStr | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: TlsSettings = TlsSettings()
    client_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    base_topic: str = "framed"
    keepalive: int = Field(30, ge=5, le=3_600)
    max_json_bytes: int = Field(262_144, ge=4_096)
    max_binary_bytes: int = Field(1_000_000, ge=4_096)
    bind: str = "127.0.0.1"
    broker: Literal["auto", "mosquitto", "iotcore"] = "auto"

    @field_validator("protocol", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("host")
    @classmethod
    def _only_the_host(cls, value: str | None) -> str | None:
        if value and ("/" in value or re.search(r"\s", value) or value.count(":") == 1):
            raise ValueError("expected the broker's name or address alone, such as broker.lan; its port is mqtt.port")
        return value or None

    @field_validator("tls")
    @classmethod
    def _there(cls, value: TlsSettings) -> TlsSettings:
        for name, file in (("ca", value.ca), ("certificate", value.certificate), ("key", value.key)):
            if value.enabled and file is not None and not os.access(file, os.R_OK):
                raise ValueError(f"{name}: there is no file {file} that this user may read")
        return value

    @field_validator("base_topic")
    @classmethod
    def _topic(cls, value: str) -> str:
        try:
            return Topics(value).base
        except BadRequest as error:
            raise ValueError("expected one to four levels of A–Z, a–z, 0–9, _ and -, such as home/framed") from error


class Http(Section):
    host: str | None = None
    port: int = Field(HTTP_PORT, ge=0, le=65_535)
    base_url: str | None = Field(None, pattern=r"^https?://[^/\s]+$")
    open_lan: bool = False
    embed: list[Annotated[str, Field(pattern=r"^(https?://)?[^\s/;,]+$")]] = []


class Cache(Section):
    previews_gb: float = Field(20.0, gt=0)
    pictures_gb: float = Field(5.0, gt=0)


class Photos(Section):
    max_file_mb: int = Field(400, ge=1)
    max_megapixels: int = Field(150, ge=1, le=2_000)

    def limits(self) -> dict[str, int]:
        """What a photo may have to be opened, as the compute hosts are told."""
        return {"max_file_bytes": self.max_file_mb * 1_000_000, "max_pixels": self.max_megapixels * 1_000_000}


class Ask(AskSettings):
    model_config = ConfigDict(extra="forbid", frozen=True)

    without: list[Kind] = ["screenshot", "document"]


_TASKS = ("tags", "image_embedding", "ocr", "faces", "aesthetics", "caption", "text_embedding")


class Models(Section):
    """The backend of each task, and where weights come from and lie."""

    tags: str = "auto"
    image_embedding: str = "auto"
    traits: Literal["auto", "off"] = "auto"
    ocr: str = "auto"
    faces: str = "auto"
    aesthetics: str = "auto"
    caption: str = "auto"
    text_embedding: str = "auto"
    folder: Path | None = None
    mirror: str | None = None
    offline: bool = False

    @field_validator(*_TASKS, "traits", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False or value == "no" else value

    @field_validator(*_TASKS)
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        known = [entry.backend for entry in PACKAGED.entries() if entry.task == info.field_name]
        words = ["auto", *([] if info.field_name == "text_embedding" else ["off"])]
        if value not in (*words, *known):
            raise ValueError(f"expected one of: {', '.join(words + known)}")
        return value

    @field_validator("mirror")
    @classmethod
    def _reached(cls, value: str | None) -> str | None:
        if value and "://" in value and not value.startswith(("https://", "http://")):
            raise ValueError("expected an address that begins with https://, or a folder")
        return value

    def choices(self) -> dict[str, str]:
        """The backend that is wanted for each task: its name, `auto`, or `off`.

        A request's words are embedded by the model that embeds the pictures; the packaged one knows no words.
        """
        chosen = self.model_dump(exclude={"folder", "mirror", "offline"})
        return chosen | {"query_embedding": "off" if self.image_embedding == "efficientnet" else self.image_embedding}


class Tags(Section):
    """`categories` is the file that says which tags make a category."""

    categories: Path | None = None

    @field_validator("categories")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError(f"there is no file {value} that this user may read")
        return value


class Slideshow(Section):
    interval_s: int = Field(300, ge=5, le=31 * 86_400)
    fit: Fit = "cover"
    default: str = Field("photos in random order", max_length=500)


class Logging(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Section):
    """The whole file. Every key has a default: an empty file is a working one."""

    data_dir: Path = Field(Path(DATA_DIR), validate_default=True)
    instance: str = Field("home", pattern=r"^[a-z0-9_-]{1,20}$")
    mqtt: Mqtt = Mqtt()
    http: Http = Http()
    library: LibrarySettings = LibrarySettings()
    photos: Photos = Photos()
    cache: Cache = Cache()
    ask: Ask = Ask()
    models: Models = Models()
    captions: CaptionSettings = CaptionSettings()
    tags: Tags = Tags()
    compute: ComputeSettings = ComputeSettings()
    slideshow: Slideshow = Slideshow()
    frames: list[FrameConfig] = []
    location: Location = Location()
    schedule: list[ScheduleEntry] = []
    logging: Logging = Logging()

    @field_validator("data_dir")
    @classmethod
    def _home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def models_folder(self) -> Path:
        return self.models.folder or self.data_dir / "models"

    @model_validator(mode="after")
    def _once(self) -> "Config":
        seen: set[str] = set()
        for frame in self.frames:
            if frame.id in seen:
                raise ValueError(f"frames: the id {frame.id!r} is used twice")
            seen.add(frame.id)
        tasks = list(dict.fromkeys(entry.task for entry in PACKAGED.entries()))
        for key, named in (("keep_loaded", self.compute.keep_loaded), ("unload_after", self.compute.unload_after)):
            if unknown := [task for task in named if task not in tasks]:
                raise ValueError(f"compute.{key}: there is no task {unknown[0]}; there are: {', '.join(tasks)}")
        for place, entry in enumerate(self.schedule):
            if entry.needs_location and self.location.observer is None:
                raise ValueError(f"schedule[{place}].at: {entry.at} needs location.latitude and location.longitude")
        return self


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """The configuration of a file (None: the defaults) with `overrides` merged over it. Raises ConfigError."""
    data: dict[str, Any] = {}
    lines: dict[Place, int] = {}
    name = "config"
    if path is not None:
        from framed.config_yaml import read  # a twentieth of the start, where there is no file to read

        name = path.name
        data, lines = read(path)
        data = without_nulls(data, Config)
        resolve(data, path)
    merge(data, overrides or {})
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(sentences(error, Config, name, lines)) from error
    if config.tags.categories is not None:
        from framed.analysis import tag_categories

        tag_categories.read(config.tags.categories)  # a mistake in it is found now, not at the first question
    return config
