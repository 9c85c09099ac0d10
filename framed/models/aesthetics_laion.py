"""How beautiful a photo is by LAION's head (SAC, logos, AVA) on OpenAI's CLIP ViT-L-14."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from framed.models import weights
from framed.models.aesthetic_head import LinearHead, share
from framed.models.base import Backend, Context, HostKind
from framed.models.embedding_openclip import OpenClipImages
from framed.models.openclip_profiles import Profile

SET = "aesthetic-laion"
HEAD = "head.safetensors"
MIDDLE, SPREAD = 5.3, 0.6
"""LAION-Aesthetics took 5 and more as pleasing of all the web, and 6 and more as beautiful; photos lie higher."""

_ENCODER = Profile(
    id="laion-l14",
    architecture="ViT-L-14",
    pretrained="openai",
    weights=SET,
    model_id="openclip-vit-l-14-openai",
    dim=768,
    image_px=224,
    resize="shortest",
    licence="MIT, for research",
    image_mb=608,
    text_mb=0,
    cosine=0.2,
)


class _Encoder(OpenClipImages, profile=_ENCODER):
    pass


class AestheticsLaion(Backend):
    """As `AestheticsV25`."""

    task: ClassVar[str] = "aesthetics"
    name: ClassVar[str] = "laion"
    host: ClassVar[HostKind] = "model"
    model_id: ClassVar[str] = "laion-sac-logos-ava1-l14"
    memory_mb: ClassVar[int] = 650

    @classmethod
    def available(cls) -> str | None:
        return _Encoder.available()

    def load(self, options: dict[str, Any], device: str) -> None:
        self._encoder = _Encoder()
        self._encoder.load(options, device)
        self._head = LinearHead.read(weights.path(SET) / HEAD)

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        ratings = self._head.scores(self._encoder.run(inputs, context)["vectors"])
        scores = share(ratings, middle=MIDDLE, spread=SPREAD)
        return {"scores": scores.astype(np.float32), "ratings": ratings.astype(np.float32)}

    def unload(self) -> None:
        self._encoder.unload()
