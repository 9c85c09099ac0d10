"""config.yaml → one pydantic class per section; an error names the file, the line and the key.

What a run of framed needs is the file, read by `config_yaml`, with the options of `framed run` merged over it.
"""

from inspect import isclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from framed.config_file import DATA_DIR, HTTP_PORT, Place, find, merge, written
from framed.errors import ConfigError
from framed.frames.base import Fit
from framed.frames.registry import FrameConfig
from framed.library.scanner import LibrarySettings
from framed.models.pool import ComputeSettings
from framed.models.vision_settings import CaptionSettings
from framed.mqtt.settings import TlsSettings
from framed.playlists.plan import AskSettings, Kind
from framed.schedule import Location, ScheduleEntry

__all__ = ["Config", "find", "load"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """A section whose every key is commented out is null in YAML; it means the defaults."""
        if not isinstance(value, dict):
            return value
        sections = {
            name
            for name, field in cls.model_fields.items()
            if isclass(field.annotation) and issubclass(field.annotation, BaseModel)
        }
        return {key: {} if inner is None and key in sections else inner for key, inner in value.items()}


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


class Http(Section):
    host: str | None = None
    port: int = Field(HTTP_PORT, ge=0, le=65_535)
    base_url: str | None = Field(None, pattern=r"^https?://[^/\s]+$")
    open_lan: bool = False
    embed: list[str] = []


class Cache(Section):
    previews_gb: float = Field(20.0, gt=0)
    pictures_gb: float = Field(5.0, gt=0)


class Photos(Section):
    max_file_mb: int = Field(400, ge=1)
    max_megapixels: int = Field(150, ge=1, le=2_000)


class Ask(AskSettings):
    model_config = ConfigDict(extra="forbid", frozen=True)

    without: list[Kind] = ["screenshot", "document"]


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

    @field_validator("tags", "image_embedding", "traits", "ocr", "faces", "aesthetics", "caption", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare `off` as false

    def choices(self) -> dict[str, str]:
        """The backend that is wanted for each task: its name, `auto`, or `off`.

        A request's words are embedded by the model that embeds the pictures; the packaged one knows no words.
        """
        chosen = self.model_dump(exclude={"folder", "mirror", "offline"})
        return chosen | {"query_embedding": "off" if self.image_embedding == "efficientnet" else self.image_embedding}


class Tags(Section):
    """`categories` is the file that says which tags make a category; `load` takes it from the folder of config.yaml."""

    categories: Path | None = None

    @field_validator("categories")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None


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

    @model_validator(mode="after")
    def _once(self) -> "Config":
        seen: set[str] = set()
        for frame in self.frames:
            if frame.id in seen:
                raise ValueError(f"frames: the id {frame.id!r} is used twice")
            seen.add(frame.id)
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
    merge(data, overrides or {})
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_sentences(error, name, lines)) from error
    return _with_categories(config, path.parent if path is not None else Path())


def _with_categories(config: Config, folder: Path) -> Config:
    """A relative path is one from config.yaml; a file with a mistake is found now, not at the first question."""
    if config.tags.categories is None:
        return config
    from framed.analysis import tag_categories

    file = (folder / config.tags.categories).absolute()
    tag_categories.read(file)
    return config.model_copy(update={"tags": config.tags.model_copy(update={"categories": file})})


def _sentences(error: ValidationError, file: str, lines: dict[Place, int]) -> str:
    said = []
    for problem in error.errors(include_url=False, include_input=False):
        at: Place = tuple(problem["loc"]) or _named(str(problem["msg"]), lines)
        known = at
        while known and known not in lines:
            known = known[:-1]
        where = f"{file}, line {lines[known]}" if known in lines and lines else file
        said.append(f"{where}: {written(at) or 'the file'}: {_expected(problem).removeprefix(f'{written(at)}: ')}.")
    return "\n".join(said)


def _named(message: str, lines: dict[Place, int]) -> Place:
    """The key that a sentence about the whole file begins with."""
    key = message.removeprefix("Value error, ").partition(":")[0]
    return next((at for at in lines if at and written(at) == key), ())


def _expected(problem: Any) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        return "there is no such key; config.yaml.example lists them all"
    if kind == "missing":
        return "this key is needed"
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[0].lower() + message[1:]
