"""OpenCLIP: a photo and a sentence as vectors of one space, each by a tower that is loaded without the other.

The weights are read from their folder (`open_clip_config.json`, `open_clip_model.safetensors`, for SigLIP 2
`tokenizer.json`), tensor by tensor and only one tower's, so that ViT-H-14 never takes its 3.9 GB.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.models import weights
from framed.models.base import Backend, Context, HostKind
from framed.models.openclip_profiles import DEFAULT, FAST, QUALITY, SMALL, Profile
from framed.models.openclip_views import Resize, views

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CONFIG = "open_clip_config.json"
TENSORS = "open_clip_model.safetensors"
TOKENIZER = "tokenizer.json"

_CPU_BATCH = 4
_SHAPES = (1, 8, 32)
"""Batches on a device are filled up to one of these: its memory stays flat, whatever number of photos comes."""
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of OpenAI's CLIP

Vectors = NDArray[np.float32]


class _Tower(Backend):
    """What both towers share: where the weights come from, their precision, and unit vectors out of batches."""

    host: ClassVar[HostKind] = "model"
    profile: ClassVar[Profile]

    def __init_subclass__(cls, profile: Profile | None = None) -> None:
        if profile is not None:
            cls.profile = profile
            cls.name, cls.model_id = profile.backend, profile.model_id
            cls.memory_mb = profile.image_mb if cls.task == "image_embedding" else profile.text_mb

    @classmethod
    def available(cls) -> str | None:
        for module, package in (("open_clip", "open-clip-torch"), ("timm", "timm"), ("safetensors", "safetensors")):
            if importlib.util.find_spec(module) is None:
                return f"The Python package {package} is missing: pip install 'framed[gpu]'"
        return weights.missing(cls.profile.weights)

    def load(self, options: dict[str, Any], device: str) -> None:
        """`options.precision`: fp32, fp16 or bf16 instead of what the device does best."""
        import torch

        folder = weights.path(self.profile.weights)
        self._device = device
        wanted = options.get("precision") or _precision(device)
        self._dtype: torch.dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[wanted]
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self._network = self._build(config["model_cfg"])
        _fill(self._network, folder / TENSORS, self._tensor_name, device, self._dtype)
        self._prepare(folder, config)

    def unload(self) -> None:
        del self._network
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _build(self, config: dict[str, Any]) -> nn.Module:
        """The tower's modules, without memory for their weights."""
        raise NotImplementedError

    @staticmethod
    def _tensor_name(name: str) -> str | None:
        """What a tensor of the file is called in this tower; None where it belongs to the other."""
        raise NotImplementedError

    def _prepare(self, folder: Path, config: dict[str, Any]) -> None:
        raise NotImplementedError

    def _batches(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Start, end and padded size of each batch."""
        most = _CPU_BATCH if self._device == "cpu" else _SHAPES[-1]
        for start in range(0, count, most):
            end = min(start + most, count)
            size = end - start
            yield start, end, size if self._device == "cpu" else next(shape for shape in _SHAPES if shape >= size)

    def _encode(self, batch: NDArray[Any], rows: int) -> Vectors:
        """Unit vectors of the first `rows`; a row that is no numbers even in a wider range stays so."""
        import torch

        with torch.inference_mode():
            values = self._forward(torch.from_numpy(batch).to(self._device))
            if self._dtype == torch.float16 and not torch.isfinite(values).all():
                self._network.to(torch.bfloat16)  # the same memory, and the range of float32
                self._dtype = torch.bfloat16
                values = self._forward(torch.from_numpy(batch).to(self._device))
            unit = torch.nn.functional.normalize(values[:rows].float(), dim=1)
            found: Vectors = unit.cpu().numpy()
            return found

    def _forward(self, batch: Tensor) -> Tensor:
        raise NotImplementedError


class OpenClipImages(_Tower):
    """``{"paths": [bytes, …]}``, upright previews, or ``{"pixels": uint8 (N, H, W, 3)}`` →
    ``{"vectors": float32 (N, D)}``, each of length 1 (or NaN, where the network gave no numbers).

    A long picture's vector is the mean of its squares'. BadPhoto: a preview cannot be read.
    """

    task: ClassVar[str] = "image_embedding"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        photos: Sequence[Any] = inputs["pixels"] if inputs.get("pixels") is not None else inputs["paths"]
        seen: list[NDArray[np.uint8]] = []
        owner: list[int] = []
        vectors = np.zeros((len(photos), self._width), np.float32)
        workers = 1 if self._device == "cpu" else min(4, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            try:
                for number, squares in enumerate(pool.map(self._views, photos)):
                    context.progress(number / len(photos), f"{number} of {len(photos)} photos embedded")
                    seen += squares
                    owner += [number] * len(squares)
                    if len(seen) >= _SHAPES[-1]:
                        self._add(vectors, seen, owner)
                        seen, owner = [], []
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._add(vectors, seen, owner)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return {"vectors": vectors / np.where(lengths == 0, np.float32(1), lengths)}

    def _add(self, vectors: Vectors, seen: list[NDArray[np.uint8]], owner: list[int]) -> None:
        for start, end, size in self._batches(len(seen)):
            batch = np.zeros((size, self._px, self._px, 3), np.uint8)
            batch[: end - start] = seen[start:end]
            np.add.at(vectors, owner[start:end], self._encode(batch, end - start))

    def _views(self, photo: Any) -> list[NDArray[np.uint8]]:
        return views(photo, self._px, self._resize)

    def _build(self, config: dict[str, Any]) -> nn.Module:
        import torch
        from open_clip.model import _build_vision_tower

        vision = {**config["vision_cfg"], "timm_model_pretrained": False}
        self._px = int(vision.get("image_size", self.profile.image_px))
        self._width = int(config["embed_dim"])
        with torch.device("meta"):
            tower: nn.Module = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
        return tower

    @staticmethod
    def _tensor_name(name: str) -> str | None:
        return name.removeprefix("visual.") if name.startswith("visual.") else None

    def _prepare(self, folder: Path, config: dict[str, Any]) -> None:
        import torch

        said = config.get("preprocess_cfg", {})
        self._resize: Resize = said.get("resize_mode") or self.profile.resize
        self._mean = torch.tensor(said.get("mean") or _MEAN, device=self._device) * 255
        self._std = torch.tensor(said.get("std") or _STD, device=self._device) * 255

    def _forward(self, batch: Tensor) -> Tensor:
        values = ((batch.float() - self._mean) / self._std).permute(0, 3, 1, 2).to(self._dtype)
        found: Tensor = self._network(values)
        return found


class OpenClipTexts(_Tower):
    """``{"texts": [str, …]}`` → ``{"vectors": float32 (N, D)}``, each of length 1, in the order of the texts.

    CLIP's own tokens for 77 places; SigLIP 2's for 64, lower-case, without punctuation, padded, which it was trained
    with and is lost without.
    """

    task: ClassVar[str] = "query_embedding"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        tokens = self._tokens(list(inputs["texts"]))
        vectors = np.zeros((len(tokens), self._width), np.float32)
        for start, end, size in self._batches(len(tokens)):
            context.progress(start / len(tokens), f"{start} of {len(tokens)} texts done")
            batch = np.repeat(tokens[end - 1 : end], size, axis=0)
            batch[: end - start] = tokens[start:end]
            vectors[start:end] = self._encode(batch, end - start)
        return {"vectors": vectors}

    def _build(self, config: dict[str, Any]) -> nn.Module:
        import torch
        from open_clip.model import CLIPTextCfg, _build_text_tower

        said = config["text_cfg"]
        known = {key: value for key, value in said.items() if key in CLIPTextCfg.__dataclass_fields__}
        if known.get("hf_model_name"):
            raise ValueError(f"{self.profile.weights} has a text tower of another library")
        self._width = int(config["embed_dim"])
        with torch.device("meta"):
            tower: nn.Module = _build_text_tower(config["embed_dim"], known, config.get("quick_gelu", False))
        return tower

    @staticmethod
    def _tensor_name(name: str) -> str | None:
        if name.startswith("visual.") or name in ("logit_scale", "logit_bias"):
            return None
        return name.removeprefix("text.")

    def _prepare(self, folder: Path, config: dict[str, Any]) -> None:
        import torch

        if isinstance(getattr(self._network, "attn_mask", None), torch.Tensor):
            # It is computed, not stored, and was computed where there was no memory.
            mask = self._network.build_causal_mask()
            self._network.attn_mask = mask.to(self._device, self._dtype)
        said = config["model_cfg"]["text_cfg"]
        length = int(said.get("context_length", 77))
        if said.get("hf_tokenizer_name"):
            self._tokens: Callable[[list[str]], NDArray[np.int64]] = _Gemma(folder / TOKENIZER, length)
        else:
            from open_clip.tokenizer import SimpleTokenizer

            simple = SimpleTokenizer(context_length=length)
            self._tokens = lambda texts: simple(texts).numpy()

    def _forward(self, batch: Tensor) -> Tensor:
        found: Tensor = self._network(batch)
        return found


class _Gemma:
    """SigLIP 2's tokens, as big_vision makes them: canonical text, no beginning mark, the end mark always, padded.

    By the tokenizer file itself: transformers rebuilds such a tokenizer and its marks differently in each version.
    """

    def __init__(self, path: Path, length: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._length = length
        pad, end = self._tokenizer.token_to_id("<pad>"), self._tokenizer.token_to_id("<eos>")
        if pad is None or end is None:
            raise ValueError(f"{path.name} has no <pad> and <eos>: it is not SigLIP 2's")
        self._pad, self._end = pad, end

    def __call__(self, texts: list[str]) -> NDArray[np.int64]:
        from open_clip.tokenizer import canonicalize_text

        tokens = np.full((len(texts), self._length), self._pad, np.int64)
        clean = [canonicalize_text(text) for text in texts]
        for row, encoded in enumerate(self._tokenizer.encode_batch(clean, add_special_tokens=False)):
            ids = [*encoded.ids[: self._length - 1], self._end]
            tokens[row, : len(ids)] = ids
        return tokens


def _precision(device: str) -> str:
    """Half on a GPU; on a processor bf16 only where it computes in it, else it would be slower than fp32."""
    import torch

    if device != "cpu":
        return "fp16"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"


def _fill(tower: nn.Module, path: Path, named: Callable[[str], str | None], device: str, dtype: torch.dtype) -> None:
    """Gives an empty tower its weights, one tensor at a time. RuntimeError: the file is of another architecture."""
    from safetensors import safe_open

    state = {}
    with safe_open(path, "pt", device=device) as file:
        for name in file.keys():
            if (own := named(name)) is not None:
                tensor = file.get_tensor(name)
                state[own] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    tower.load_state_dict(state, strict=True, assign=True)
    tower.requires_grad_(False).eval()


class DefaultImages(OpenClipImages, profile=DEFAULT):
    pass


class QualityImages(OpenClipImages, profile=QUALITY):
    pass


class FastImages(OpenClipImages, profile=FAST):
    pass


class SmallImages(OpenClipImages, profile=SMALL):
    pass


class DefaultTexts(OpenClipTexts, profile=DEFAULT):
    pass


class QualityTexts(OpenClipTexts, profile=QUALITY):
    pass


class FastTexts(OpenClipTexts, profile=FAST):
    pass


class SmallTexts(OpenClipTexts, profile=SMALL):
    pass
