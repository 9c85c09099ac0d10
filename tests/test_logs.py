"""Log lines follow their level and form at once, for loggers that were used before too; what goes to `framed/log`."""

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from framed.logs import configure, to_topic
from framed.messages import FOLD_LINES, FOLD_S, Folded


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    to_topic(None, None)


def test_level_and_form_change_for_loggers_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure("warning", "console")
    log = structlog.get_logger("test")
    log.info("too quiet")
    log.warning("heard")

    configure("debug", "json")
    log.debug("now heard too", photo="a")

    console, line = written.getvalue().splitlines()
    assert "heard" in console
    assert "too quiet" not in console
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "now heard too",
        "level": "debug",
        "photo": "a",
        "timestamp": "",
    }


def test_a_warning_goes_to_the_topic_with_the_module_that_gave_it() -> None:
    said: list[dict[str, Any]] = []
    configure("warning", "json")
    to_topic(said.append, Folded())

    structlog.get_logger("framed.store").warning("a disk is slow", problem="12 s")
    structlog.get_logger("framed.store").info("not for everybody")

    assert [(line["level"], line["message"], line["logger"]) for line in said] == [
        ("warning", "a disk is slow: 12 s", "framed.store")
    ]


def test_a_line_said_again_is_counted_and_heard_anew_after_its_minute() -> None:
    now = [0.0]
    fold = Folded(clock=lambda: now[0])

    counts = [line["count"] for _ in range(12) if (line := fold.take("warning", "full", "framed"))]
    now[0] = FOLD_S + 1
    later = fold.take("warning", "full", "framed")

    assert counts == [1, 10]
    assert later is not None
    assert later["count"] == 1


def test_a_flood_of_other_lines_silences_none_for_good() -> None:
    now = [0.0]
    fold = Folded(clock=lambda: now[0])
    fold.take("warning", "full", "framed")
    for number in range(2 * FOLD_LINES):
        fold.take("warning", f"line {number}", "framed")
    now[0] = 10 * FOLD_S

    assert fold.take("warning", "full", "framed") is not None
