"""A tiny Florence-2 of the real architecture, with the files that the model hub has: weights, tokenizer, processor."""

import hashlib
import json
from pathlib import Path

from framed.models import weights

_PROMPTS = (
    "What does the image describe?",
    "Describe in detail what is shown in the image.",
    "a cat lying on a sofa in front of a window with the sea behind",
)
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>"]


def write(name: str = "florence2-base", *, seed: int = 3) -> Path:
    """Into the folder of weights in use."""
    import torch
    from transformers import Florence2Config, Florence2ForConditionalGeneration

    folder = weights.folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    size = _tokenizer(folder)
    torch.manual_seed(seed)
    config = Florence2Config(
        vision_config={
            "embed_dim": [16, 32],
            "num_heads": [2, 4],
            "num_groups": [2, 4],
            "depths": [1, 1],
            "patch_size": [7, 3],
            "patch_stride": [4, 2],
            "patch_padding": [3, 1],
            "patch_prenorm": [False, True],
            "window_size": 4,
            "projection_dim": 32,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": size,
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
            "init_std": 0.5,
            "forced_bos_token_id": 0,
            "no_repeat_ngram_size": 3,
        },
        image_token_id=_SPECIAL.index("<image>"),
    )
    network = Florence2ForConditionalGeneration(config).eval()
    network.save_pretrained(folder)
    _processor(folder)
    files = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
    }
    weights.write_manifest(name, "tiny", files)
    return folder


def _tokenizer(folder: Path) -> int:
    """BART's byte pairs, learnt from a few sentences; how many tokens there are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        _PROMPTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=_SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    made.save(str(folder / "tokenizer.json"))
    said = {
        "tokenizer_class": "BartTokenizer",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "image_token": "<image>",
        "extra_special_tokens": {"image_token": "<image>"},
        "processor_class": "Florence2Processor",
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return int(made.get_vocab_size())


def _processor(folder: Path) -> None:
    pictures = {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "Florence2Processor",
        "crop_size": {"height": 64, "width": 64},
        "do_center_crop": False,
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_seq_length": 65,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": 64, "width": 64},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
