"""Step: the upright sRGB preview (1440 px) that every analyser reads, and the thumbnail that people see."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framed.analysis.step import ExaminedStep

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    from framed.analysis.examine import THUMB_PX
    from framed.library import files

    size = 0
    for image, path, quality in (
        (opened.preview, opened.preview_path, 85),
        (files.thumbnail(opened.preview, (THUMB_PX, THUMB_PX)), opened.thumb_path, 80),
    ):
        data = files.encode_jpeg(image, quality)
        files.write_atomic(Path(os.fsdecode(path)), data)
        size += len(data)
    return {"bytes": size, "width": opened.preview.width, "height": opened.preview.height}


class PreviewStep(ExaminedStep):
    name = "preview"
    version = 1
