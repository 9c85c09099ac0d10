"""Tiny OpenCLIP models of the real architectures, written as the model hub has them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framed.models import weights
from framed.models.openclip_profiles import Profile

CLIP = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
SIGLIP = {
    "embed_dim": 64,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 160,
        "timm_model_name": "test_vit",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 64,
        "vocab_size": 300,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 64,
        "heads": 2,
        "layers": 2,
        "mlp_ratio": 3.7362,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    },
}
_HALF = [0.5, 0.5, 0.5]


def write(profile: Profile, *, seed: int = 1, says: NDArray[np.float32] | None = None) -> Path:
    """Into the folder of weights in use; the kind of model that the profile's weights are. With `says` every text has
    this vector."""
    import open_clip
    import torch
    from open_clip.push_to_hf_hub import save_config_for_hf
    from safetensors.torch import save_file

    siglip = profile.resize == "squash"
    config = json.loads(json.dumps(SIGLIP if siglip else CLIP))
    folder = weights.folder() / profile.weights
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    kind = open_clip.CustomTextCLIP if siglip else open_clip.CLIP
    model = kind(**{key: value for key, value in config.items() if key != "custom_text"})
    if says is not None:
        _say(model, torch.from_numpy(says), siglip)
    preprocess = {"size": config["vision_cfg"]["image_size"]}
    if siglip:
        preprocess |= {"mean": _HALF, "std": _HALF, "interpolation": "bicubic", "resize_mode": "squash"}
    open_clip.model.set_model_preprocess_cfg(
        model, open_clip.transform.merge_preprocess_dict(open_clip.transform.PreprocessCfg(), preprocess)
    )
    save_config_for_hf(model, folder / "open_clip_config.json", model_config=config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    if siglip:
        _write_tokenizer(folder / "tokenizer.json")
    declare(folder)
    return folder


def _say(model: Any, vector: Any, siglip: bool) -> None:
    """Lets the last layers forget what the text was."""
    with_bias = model.text.text_projection if siglip else model.ln_final
    with_bias.weight.data.zero_()
    with_bias.bias.data.zero_()
    if siglip:
        with_bias.bias.data.copy_(vector)
    else:
        with_bias.bias.data[0] = 1.0
        model.text_projection.data[0] = vector


def declare(folder: Path) -> None:
    files = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
        if path.name != weights.MANIFEST
    }
    weights.write_manifest(folder.name, "1" * 40, files)


def _write_tokenizer(path: Path) -> None:
    """As SigLIP 2's: byte-level pieces, <pad> 0, <eos> 1, <bos> 2, and a template that would add <bos>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["a photo of a cat on the beach", "a photo of a dog in the snow"], trainer)
    made.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    made.save(str(path))
