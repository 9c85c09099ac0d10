"""Likeness by EfficientNet-Lite2's features, which the tags step keeps of every photo: it knows looks, no language."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from framed.models.base import Context
from framed.models.tagger_efficientnet import EfficientNetLite2

FEATURES = "efficientnet-lite2-features"


class EfficientNetFeatures(EfficientNetLite2):
    """``{"paths": [bytes, …]}`` or ``{"pixels": uint8 (N, H, W, 3)}`` → ``{"vectors": float32 (N, 1280)}``."""

    task: ClassVar[str] = "image_embedding"
    model_id: ClassVar[str] = FEATURES

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        return {"vectors": super().run(inputs, context)["features"].astype(np.float32)}
