"""Log lines follow their level and form at once, for loggers that were used before too."""

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from framed.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


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
