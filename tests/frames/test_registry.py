"""What a frame is where only its most important keys are given."""

from pathlib import Path

import pytest

from framed.frames.registry import FrameConfig, Registry
from framed.store.database import Database


@pytest.mark.parametrize(
    ("given", "formats"),
    [
        ({}, ("jpeg",)),
        ({"palette": "spectra6"}, ("png",)),
        ({"palette": ["#000000", "#ffffff"]}, ("png",)),
        ({"palette": "mono", "formats": ["bmp", "jpeg"]}, ("bmp", "jpeg")),
    ],
)
async def test_a_panel_of_exact_inks_gets_files_that_can_hold_them(
    tmp_path: Path, given: dict[str, object], formats: tuple[str, ...]
) -> None:
    database = Database(tmp_path / "framed.db")
    await database.start()
    frame = FrameConfig.model_validate({"id": "ink", **given})
    registry = Registry(database=database, configured=[frame], interval_s=300, fit="cover", default="")
    await registry.load()

    assert registry.get("ink").panel.formats == formats
    await database.close()
