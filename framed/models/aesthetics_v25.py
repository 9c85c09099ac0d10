"""How beautiful a photo is by aesthetic-predictor-v2-5: a head on SigLIP SO400M, trained on people's ratings."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.models import weights
from framed.models.aesthetic_head import LinearHead, share
from framed.models.base import Backend, Context, HostKind
from framed.models.openclip_views import views

if TYPE_CHECKING:
    from torch import nn

SET = "aesthetic-v25"
HEAD = "aesthetic_predictor_v2_5.safetensors"
MIDDLE, SPREAD = 4.75, 0.8
"""Its author calls 5.5 and more great; ordinary snapshots lie between 4 and 5."""
_BATCH = {"cpu": 2}
_DEVICE_BATCH = 16


class AestheticsV25(Backend):
    """``{"paths": [bytes, …]}``, upright previews, or ``{"pixels": [uint8 (H, W, 3), …]}`` →
    ``{"scores": float32 (N,), 0 to 1, "ratings": float32 (N,), 1 to 10}``; NaN where the network gave no number.

    BadPhoto: a preview cannot be read.
    """

    task: ClassVar[str] = "aesthetics"
    name: ClassVar[str] = "v25"
    host: ClassVar[HostKind] = "model"
    model_id: ClassVar[str] = "aesthetic-predictor-v2-5"
    memory_mb: ClassVar[int] = 900

    @classmethod
    def available(cls) -> str | None:
        for module in ("transformers", "safetensors"):
            if importlib.util.find_spec(module) is None:
                return f"The Python package {module} is missing: pip install 'framed[gpu]'"
        return weights.missing(SET)

    def load(self, options: dict[str, Any], device: str) -> None:
        import torch
        from transformers import SiglipVisionModel

        folder = weights.path(SET)
        self._dtype = torch.float32 if device == "cpu" else torch.float16
        network = SiglipVisionModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=self._dtype
        )
        self._network: nn.Module = network.eval().to(device)
        self._px = int(network.config.image_size)
        self._head = LinearHead.read(folder / HEAD)
        self._device = device

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        photos = inputs["pixels"] if inputs.get("pixels") is not None else inputs["paths"]
        ratings = np.zeros(len(photos))
        step = _BATCH.get(self._device, _DEVICE_BATCH)
        for start in range(0, len(photos), step):
            context.progress(start / len(photos), f"{start} of {len(photos)} photos rated")
            squares = [views(photo, self._px, "squash")[0] for photo in photos[start : start + step]]
            ratings[start : start + step] = self._head.scores(self._embed(np.stack(squares)))
        scores = share(ratings, middle=MIDDLE, spread=SPREAD)
        return {"scores": scores.astype(np.float32), "ratings": ratings.astype(np.float32)}

    def _embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).to(self._dtype) / 127.5 - 1.0
            pooled = self._network(pixel_values=values).pooler_output.float()
            found: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
            return found

    def unload(self) -> None:
        del self._network
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
