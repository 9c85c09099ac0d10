"""Makes of RAM++'s published pickle what `tagger_ramplus` loads: half precision, safetensors, nothing but the tagger.

Run by `models.convert` in a process of its own, on a file whose hash was checked. What of the 3 GB only training needs
is left behind; what is missing or misshapen is said here rather than when the first photo comes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from framed.models.tagger_ramplus import PUBLISHED, SHAPE_KEY, RamShape, tagger

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTIONS = 51
"""Sentences that describe each tag, their embeddings one after another in the published file."""
_BUFFERS = ("relative_position_index", "attn_mask")
_OLD_HEAD, _HEAD = "vision_multi", "tagging_head"


def convert(source: Path, target: Path) -> None:
    _convert(source, target, PUBLISHED)


def _convert(source: Path, target: Path, shape: RamShape) -> None:
    """`shape` is not the published one for the small models of tests alone."""
    import torch
    from safetensors.torch import save_file

    loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
    published = loaded.get("model", loaded) if isinstance(loaded, dict) else {}
    state = {name: value.half().contiguous() for name, value in _renamed(published).items()}
    with torch.device("meta"):
        wanted = tagger(shape, state).state_dict()
    for name, parameter in wanted.items():
        if name not in state or state[name].shape != parameter.shape:
            raise ValueError(f"{source.name} is not a RAM++ checkpoint: {name} is missing or of another size")
    kept = {name: state[name] for name in wanted}
    broken = next((name for name, value in kept.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise ValueError(f"{source.name} does not fit half precision: {broken}")
    save_file(kept, target, metadata={"format": "pt", SHAPE_KEY: json.dumps(asdict(shape))})


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    import torch

    found = {
        name.replace(_OLD_HEAD, _HEAD): value
        for name, value in published.items()
        if isinstance(value, torch.Tensor) and not name.endswith(_BUFFERS)
    }
    for name in ("label_embed", "fc.weight", "tagging_head.encoder.layer.0.intermediate.dense.weight"):
        if name not in found:
            raise ValueError(f"this is not a RAM++ checkpoint: it has no {name}")
    found["label_embed"] = found["label_embed"].unflatten(0, (-1, DESCRIPTIONS))
    return found
