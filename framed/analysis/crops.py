"""The cpu host's cut of one face out of a preview, with some of the head around it."""

from __future__ import annotations

import io
import os
from typing import Any, ClassVar

from framed.errors import BadPhoto
from framed.models.base import Backend, Context

SIDE_PX = 320
_AROUND = 0.45
"""How much of the face's size is shown around it on each side."""


class FaceCrop(Backend):
    """`{"path", "to": bytes, "box": [x, y, w, h] in shares}` → `{}`, with a square JPEG written to `to`."""

    task: ClassVar[str] = "crop"
    name: ClassVar[str] = "pillow"
    host: ClassVar = "cpu"

    @classmethod
    def available(cls) -> str | None:
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        return

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        from PIL import Image

        x, y, w, h = inputs["box"]
        try:
            with open(inputs["path"], "rb") as file, Image.open(io.BytesIO(file.read()), formats=["JPEG"]) as image:
                picture = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise BadPhoto("The preview of this photo cannot be read.") from error
        side = max(w * picture.width, h * picture.height) * (1 + 2 * _AROUND)
        side = max(1.0, min(side, picture.width, picture.height))
        left = min(max((x + w / 2) * picture.width - side / 2, 0.0), picture.width - side)
        top = min(max((y + h / 2) * picture.height - side / 2, 0.0), picture.height - side)
        cut = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        os.makedirs(os.path.dirname(inputs["to"]), exist_ok=True)
        draft = inputs["to"] + b".%d.part" % os.getpid()
        with open(draft, "wb") as out:
            cut.save(out, "JPEG", quality=85)
        os.replace(draft, inputs["to"])
        return {}
