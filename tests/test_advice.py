"""Advice is given where something is wrong, and only there."""

from typing import Any

import pytest

from framed.advice import advice

WELL: dict[str, Any] = {
    "devices": [
        {"name": "H200", "memory_used_mb": 9000, "memory_total_mb": 140_000, "use_percent": 40, "temperature_c": 60}
    ],
    "memory_short": {"tags": 1},
    "restarts_1h": {"cpu": 1},
    "step_ms": {"ocr": 50_000, "tags": 50_000, "preview": 60_000},
    "pending": 5_000,
    "memory_free_mb": 4_000,
    "disk_free": 50_000_000_000,
    "on_cpu": None,
}


def device(**changes: Any) -> list[dict[str, Any]]:
    return [{**WELL["devices"][0], **changes}]


def test_nothing_is_advised_where_all_is_well() -> None:
    assert advice(**WELL) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"disk_free": 10_000_000}, "cache.previews_gb"),
        ({"memory_free_mb": 100}, "compute.cpu_hosts"),
        ({"restarts_1h": {"model": 4}}, "restarted 4 times"),
        ({"memory_short": {"image_embedding": 5}}, "smaller model"),
        ({"on_cpu": "the GPU failed three times."}, "on the CPU"),
        ({"devices": device(memory_used_mb=138_000)}, "nearly full"),
        ({"devices": device(temperature_c=93)}, "93 °C"),
        ({"step_ms": {"ocr": 500_000, "tags": 50_000}}, "models.ocr"),
        ({"step_ms": {"preview": 300_000, "quality": 200_000, "tags": 50_000}}, "a GPU does not"),
    ],
)
def test_each_trouble_has_its_sentence(change: dict[str, Any], word: str) -> None:
    said = advice(**{**WELL, **change})
    assert len(said) == 1
    assert word in said[0]


def test_a_device_that_tells_nothing_is_no_trouble() -> None:
    silent = device(memory_used_mb=None, memory_total_mb=None, use_percent=None, temperature_c=None)
    assert advice(**{**WELL, "devices": silent}) == []


def test_what_is_slow_matters_only_while_there_is_work() -> None:
    assert advice(**{**WELL, "step_ms": {"ocr": 500_000}, "pending": 3}) == []
