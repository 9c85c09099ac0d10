"""Tags by RAM++ (recognize-anything plus, Swin-L): a score for each of 4,585 tags, by framed's own forward pass.

The architecture is that of "Open-Set Image Tagging with Multi-Grained Text Supervision" (Huang et al., 2023); the
checkpoint's code is Apache-2.0. Beside the published code this one returns scores, weighs the descriptions of a whole
batch at once, and needs neither its tokenizer nor its BERT classes, which no longer load.
`analysis.ram_words` turns the scores into everyday words.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto, Unavailable
from framed.models import weights
from framed.models.base import Backend, Context, HostKind
from framed.models.swin import SwinShape, encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

SET = "ramplus"
FILE = "ram_plus_swin_large_14m.safetensors"
SHAPE_KEY = "shape"
"""Of the safetensors' own metadata: a `RamShape` as JSON."""

_MEAN = (0.485, 0.456, 0.406)
_SPREAD = (0.229, 0.224, 0.225)
_BATCH = 2
_DEVICE_BATCH = 16


@dataclass(frozen=True)
class RamShape:
    """What a checkpoint's tensors do not tell; all else is read off them."""

    swin: SwinShape = field(default_factory=SwinShape)
    heads: int = 4
    """Of the tagging head's cross-attention."""


PUBLISHED = RamShape()


class RamPlus(Backend):
    """``{"paths": [bytes, …]}``, upright previews, or ``{"pixels": uint8 (N, H, W, 3)}`` →
    ``{"scores": float32 (N, tags)}``, 0 to 1 and each tag by itself, in the order of ``analysis/data/ram_tags.tsv``.

    BadPhoto: a preview cannot be read. Unavailable: the weights are not those of RAM++.
    """

    task: ClassVar[str] = "tags"
    name: ClassVar[str] = "ramplus"
    host: ClassVar[HostKind] = "model"
    model_id: ClassVar[str] = "ram-plus-swin-large-14m"
    memory_mb: ClassVar[int] = 2600

    @classmethod
    def available(cls) -> str | None:
        for package in ("torch", "safetensors"):
            if importlib.util.find_spec(package) is None:
                return f"The Python package {package} is missing: pip install {package}"
        return weights.missing(SET)

    def load(self, options: dict[str, Any], device: str) -> None:
        import torch

        state, shape = read(weights.path(SET) / FILE)
        # Half precision is what the file holds; a CPU is slower in it than in single.
        self._dtype = torch.float16 if device.startswith("cuda") else torch.float32
        with torch.device("meta"):
            network = tagger(shape, state)
        missing = network.load_state_dict(state, strict=False, assign=True).missing_keys
        if missing:
            raise Unavailable(f"RAM++'s weights lack {missing[0]}: framed models verify {SET}")
        self._network = network.eval().to(device=device, dtype=self._dtype)
        self._image_px, self._device = shape.swin.image_px, device
        self._mean = torch.tensor(_MEAN, device=device).view(3, 1, 1) * 255
        self._spread = torch.tensor(_SPREAD, device=device).view(3, 1, 1) * 255

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        photos = inputs["pixels"] if inputs.get("pixels") is not None else inputs["paths"]
        step = _BATCH if self._device == "cpu" else _DEVICE_BATCH
        found = []
        for start in range(0, len(photos), step):
            context.progress(start / len(photos), f"{start} of {len(photos)} photos tagged")
            pixels = np.stack([_square(photo, self._image_px) for photo in photos[start : start + step]])
            found.append(self._scores(pixels))
        tags: int = self._network.classes
        return {"scores": np.concatenate(found) if found else np.zeros((0, tags), np.float32)}

    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
            values = ((values - self._mean) / self._spread).to(self._dtype)
            scores: NDArray[np.float32] = torch.sigmoid(self._network(values).float()).cpu().numpy()
            return scores

    def unload(self) -> None:
        del self._network
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


def read(path: Path) -> tuple[dict[str, Tensor], RamShape]:
    """The tensors of a converted checkpoint and its shape. Raises Unavailable where it is something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get(SHAPE_KEY, "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, ValueError, SafetensorError) as error:
        raise Unavailable(f"RAM++'s weights cannot be read: framed models verify {SET}") from error
    if said is None:
        return state, PUBLISHED
    swin = said["swin"]
    lists = {"depths": tuple(swin["depths"]), "heads": tuple(swin["heads"])}
    return state, RamShape(SwinShape(swin["image_px"], swin["window"], swin["width"], **lists), said["heads"])


def tagger(shape: RamShape, state: dict[str, Tensor]) -> nn.Module:
    """The whole network for a checkpoint's tensors: (B, 3, H, W) → (B, tags) logits."""
    import torch
    from torch import nn
    from torch.nn import functional

    classes, descriptions, words = state["label_embed"].shape
    hidden = state["fc.weight"].shape[1]
    layers = len({name.split(".")[3] for name in state if name.startswith("tagging_head.encoder.layer.")})
    between = state["tagging_head.encoder.layer.0.intermediate.dense.weight"].shape[0]

    class CrossAttention(nn.Module):
        """Each tag looks at the picture; tags do not look at each other."""

        def __init__(self) -> None:
            super().__init__()
            self.self = nn.ModuleDict(
                {"query": nn.Linear(hidden, hidden), "key": nn.Linear(words, hidden), "value": nn.Linear(words, hidden)}
            )
            self.output = nn.ModuleDict(
                {"dense": nn.Linear(hidden, hidden), "LayerNorm": nn.LayerNorm(hidden, eps=1e-12)}
            )

        def forward(self, tags: Tensor, picture: Tensor) -> Tensor:
            query, key, value = (
                self.self[name](x).unflatten(-1, (shape.heads, -1)).transpose(1, 2)
                for name, x in (("query", tags), ("key", picture), ("value", picture))
            )
            looked = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
            seen: Tensor = self.output["LayerNorm"](self.output["dense"](looked) + tags)
            return seen

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.crossattention = CrossAttention()
            self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, between)})
            self.output = nn.ModuleDict(
                {"dense": nn.Linear(between, hidden), "LayerNorm": nn.LayerNorm(hidden, eps=1e-12)}
            )

        def forward(self, tags: Tensor, picture: Tensor) -> Tensor:
            tags = self.crossattention(tags, picture)
            inner = self.output["dense"](functional.gelu(self.intermediate["dense"](tags)))
            out: Tensor = self.output["LayerNorm"](inner + tags)
            return out

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classes = int(classes)
            self.visual_encoder = encoder(shape.swin)
            self.image_proj = nn.Linear(shape.swin.features, words)
            self.label_embed = nn.Parameter(torch.zeros(classes, descriptions, words))
            self.reweight_scale = nn.Parameter(torch.zeros(()))
            self.wordvec_proj = nn.Linear(words, hidden)
            self.tagging_head = nn.ModuleDict(
                {"encoder": nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(layers))})}
            )
            self.fc = nn.Linear(hidden, 1)

        def forward(self, pixels: Tensor) -> Tensor:
            picture = self.image_proj(self.visual_encoder(pixels))
            tags = functional.relu(self.wordvec_proj(reweighted(picture[:, 0], self.label_embed, self.reweight_scale)))
            for layer in self.tagging_head["encoder"]["layer"]:
                tags = layer(tags, picture)
            logits: Tensor = self.fc(tags).squeeze(-1)
            return logits

    return Tagger()


def reweighted(whole: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """Each tag's descriptions (tags, descriptions, D) weighed by how well they fit each picture (B, D) → (B, tags, D).

    One product per tag for all pictures at once, in place of one copy of all the descriptions per picture.
    """
    import torch

    whole = whole / whole.norm(dim=-1, keepdim=True)
    fit = torch.softmax(scale.exp() * (whole @ labels.flatten(0, 1).T).unflatten(1, labels.shape[:2]), dim=-1)
    return torch.bmm(fit.transpose(0, 1), labels).transpose(0, 1)


def _square(photo: bytes | NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Squeezed to a square, edges and all: so the model was trained."""
    from PIL import Image

    if isinstance(photo, np.ndarray):
        if photo.shape[:2] == (side, side):
            return photo
        return _resized(Image.fromarray(photo), side)
    try:
        with open(photo, "rb") as file:
            data = file.read()
        with Image.open(io.BytesIO(data), formats=["JPEG", "WEBP", "PNG"]) as image:
            image.draft("RGB", (2 * side, 2 * side))
            return _resized(image.convert("RGB"), side)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPhoto(f"The preview {os.path.basename(photo).decode(errors='replace')} cannot be read.") from error


def _resized(image: Any, side: int) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
