"""Reads config.yaml again while framed runs, and hands every part what is new to it.

The parts are listed in `parts.py`. A key that no part takes up is in `FIXED`, with the reason why it waits for a
restart; a test holds that every key is in one of the two.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from pydantic import BaseModel

from framed.config import Config
from framed.errors import ConfigError, FramedError

log = structlog.get_logger(__name__)


class Part(NamedTuple):
    """Part of framed that follows these keys: `library` stands for all below it. Called with the old and the new.

    `always`: also where no key has changed, as it reads a file of its own; the answer is then what has changed there.
    """

    keys: tuple[str, ...]
    apply: Callable[[Config, Config], Awaitable[str | None]]
    always: bool = False


class Fixed(NamedTuple):
    key: str
    why: str
    holds: Callable[[Config, Config], bool] = lambda old, new: True


def _own_broker(old: Config, new: Config) -> bool:
    return old.mqtt.host is None or new.mqtt.host is None


def _another_broker(old: Config, new: Config) -> bool:
    return (old.mqtt.host is None) != (new.mqtt.host is None)


FIXED: tuple[Fixed, ...] = (
    Fixed("data_dir", "everything framed knows lies in that folder"),
    Fixed("instance", "it names this framed to brokers and to Home Assistant"),
    Fixed("http.host", "the web server keeps its address"),
    Fixed("http.port", "the web server keeps its address"),
    Fixed("mqtt.base_topic", "all topics and the frames that listen to them lie below it"),
    Fixed("mqtt.host", "framed's own broker and yours would have to change places", _another_broker),
    Fixed("mqtt.port", "framed's own broker keeps its address", _own_broker),
    Fixed("mqtt.bind", "framed's own broker keeps its address"),
    Fixed("mqtt.broker", "framed's own broker is running"),
)


@dataclass
class Reloaded:
    """What a reload came to: keys that changed, sentences about those that wait for a restart, and what failed."""

    changed: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def speech(self) -> str:
        if not (self.changed or self.restart or self.problems):
            return "Nothing has changed in the configuration."
        changed = f"Now in force: {', '.join(self.changed)}." if self.changed else ""
        return " ".join(part for part in (changed, *self.restart, *self.problems) if part)


class Reload:
    """`now` reads and applies; one at a time. `config` is what is in force, `problems` what people should know."""

    def __init__(self, config: Config, read: Callable[[], Config], parts: Sequence[Part]) -> None:
        self.config = config
        self.problems: list[str] = []
        self.heard: Callable[[], None] = lambda: None
        self._read = read
        self._parts = parts
        self._lock = asyncio.Lock()

    async def now(self) -> Reloaded:
        """Raises ConfigError where the file has a mistake; everything then goes on as it was."""
        async with self._lock:
            try:
                new = await asyncio.to_thread(self._read)
            except ConfigError as error:
                log.error("the configuration was not read again, the old one stays in force", problem=error.message)
                self.problems = [f"The configuration in force is an older one. {error.message}"]
                self.heard()
                raise
            done = await self._apply(new)
            self.heard()
            return done

    async def _apply(self, new: Config) -> Reloaded:
        old = self.config
        done = Reloaded()
        for fixed in FIXED:
            if differing(old, new, fixed.key) and fixed.holds(old, new):
                done.restart.append(f"{fixed.key} needs a restart: {fixed.why}.")
                new = keeping(new, old, fixed.key)
        done.changed = differing(old, new)
        self.config = new
        for part in self._parts:
            if part.always or any(under(key, own) for key in done.changed for own in part.keys):
                await self._hand_over(part, old, new, done)
        self.problems = [*done.restart, *done.problems]
        log.info("the configuration was read again", changed=done.changed, restart=done.restart)
        return done

    @staticmethod
    async def _hand_over(part: Part, old: Config, new: Config, done: Reloaded) -> None:
        """What one part cannot do is said, and does not keep the others from theirs."""
        try:
            also = await part.apply(old, new)
            if also is not None and also not in done.changed:
                done.changed.append(also)
        except FramedError as error:
            log.error("a part did not take the new configuration", keys=part.keys, problem=error.message)
            done.problems.append(f"{' and '.join(part.keys)}: {error.message}")
        except Exception:
            log.exception("a part did not take the new configuration", keys=part.keys)
            done.problems.append(f"{' and '.join(part.keys)} could not be changed; framed's log says why.")


def under(key: str, above: str) -> bool:
    return key == above or key.startswith(above + ".")


def leaves(model: BaseModel, at: str = "") -> dict[str, Any]:
    """Every key with its value, sections taken apart: `mqtt.tls.enabled`. A list is one value."""
    found: dict[str, Any] = {}
    for name in type(model).model_fields:
        value, key = getattr(model, name), f"{at}.{name}" if at else name
        found |= leaves(value, key) if isinstance(value, BaseModel) else {key: value}
    return found


def differing(old: Config, new: Config, key: str = "") -> list[str]:
    """The keys (below `key`) whose values differ."""
    before, after = leaves(old), leaves(new)
    return [name for name in after if after[name] != before.get(name) and (not key or under(name, key))]


def keeping(new: Config, old: Config, key: str) -> Config:
    """`new` with the value that `old` has for `key`."""
    section, _, name = key.partition(".")
    if not name:
        return new.model_copy(update={section: getattr(old, section)})
    value = getattr(getattr(old, section), name)
    return new.model_copy(update={section: getattr(new, section).model_copy(update={name: value})})
