"""Structured logs: for a person on a terminal, as JSON for journald and collectors, and warnings to `framed/log`."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, TextIO, cast

import structlog


class _Stderr:
    """The stderr of the moment: a progress bar puts its own in place, so that lines appear above it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class Fold(Protocol):
    def take(self, level: str, message: str, logger: str) -> dict[str, Any] | None: ...


_publish: Callable[[dict[str, Any]], None] | None = None
_fold: Fold | None = None
# Loggers are kept once they were used, with the processors of that time: what may change lies here instead.
_threshold = logging.INFO
_form: list[Any] = []


def configure(level: str, style: str) -> None:
    """`style` is console, json, or auto: console on a terminal. Standard logging of libraries joins at warning.

    Called again it holds from the next line on, for every logger there is.
    """
    global _threshold, _form
    _threshold = logging.getLevelNamesMapping()[level.upper()]
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    processors: list[Any] = [
        _by_level,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=False),
        structlog.processors.StackInfoRenderer(),
        _to_topic,
        _written,
    ]
    if as_json:
        _form = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:
        # plain: rich would print local variables, and those hold passwords and tokens
        plain = structlog.dev.plain_traceback
        _form = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=plain)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_named,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


class _Named(structlog.PrintLogger):
    """Knows which module it belongs to, for `framed/log`."""

    def __init__(self, name: str) -> None:
        super().__init__(cast(TextIO, _Stderr()))
        self.name = name


def _named(name: str = "framed") -> _Named:
    return _Named(name)


class _Bridge(logging.Handler):
    """Lines of libraries, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _by_level(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if getattr(logging, "ERROR" if method == "exception" else method.upper()) < _threshold:
        raise structlog.DropEvent
    return event


def _written(logger: Any, method: str, event: Any) -> Any:
    for processor in _form:
        event = processor(logger, method, event)
    return event


def to_topic(publish: Callable[[dict[str, Any]], None] | None, fold: Fold | None) -> None:
    """Warnings and above go to `publish` from now on; None ends it. Called from the event loop's thread."""
    global _publish, _fold
    _publish, _fold = publish, fold


def _to_topic(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _publish is not None and _fold is not None and method in ("warning", "error", "critical", "exception"):
        problem = event.get("problem")
        message = f"{event.get('event')}: {problem}" if problem else str(event.get("event"))
        line = _fold.take("error" if method == "exception" else method, message, logger.name)
        if line is not None:
            _publish(line)
    return event
