"""Images a second of OpenCLIP's profiles at their real size, with random weights, which cost the same as real ones.

    python bench/models.py                       every profile on a GPU, the small one on a processor
    python bench/models.py --profile fast --batches 20

Three figures: the network alone on full batches; the same from previews on disk, decoded beside it; requests a second.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from framed.models.base import Context
from framed.models.embedding_openclip import OpenClipImages, OpenClipTexts, _precision
from framed.models.openclip_profiles import PROFILES, SMALL, Profile


def tower(kind: type[Any], profile: Profile, device: str) -> Any:
    """A tower of the profile's architecture as `load` makes it, but for its weights."""
    config = open_clip.get_model_config(profile.architecture)
    made = type("Random", (kind,), {"profile": profile})()
    made._device = device
    made._dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[_precision(device)]
    made._network = made._build(config).to(made._dtype).to_empty(device=device).requires_grad_(False).eval()
    for parameter in made._network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    config["text_cfg"].pop("hf_tokenizer_name", None)  # its file is a download; CLIP's tokens cost the same
    made._prepare(Path(), {"model_cfg": config, "preprocess_cfg": {}})
    if kind is OpenClipImages:
        made._resize = profile.resize
    return made


def write_previews(folder: Path, count: int) -> list[bytes]:
    rng = np.random.default_rng(1)
    paths = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8))
        path = folder / f"{number}.jpg"
        coarse.resize((1440, 1080), Image.Resampling.BICUBIC).save(path, quality=85)
        paths.append(os.fsencode(path))
    return paths


def rate(work: Any, count: int, turns: int, device: str) -> float:
    """Things a second, after one turn to warm up."""
    for turn in range(turns + 1):
        if turn == 1:
            began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
    return count * turns / (time.perf_counter() - began)


def pictures(profile: Profile, device: str, turns: int, previews: list[bytes]) -> tuple[float, float, float]:
    """Images a second of the network alone and from previews, and the most memory in GB."""
    size = 32 if device != "cpu" else 4
    images = tower(OpenClipImages, profile, device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    batch = np.zeros((size, profile.image_px, profile.image_px, 3), np.uint8)
    alone = rate(lambda: images._encode(batch, size), size, turns, device)
    whole = rate(lambda: images.run({"paths": previews}, Context()), len(previews), 1, device)
    return alone, whole, torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else 0.0


def requests(profile: Profile, device: str, turns: int) -> float:
    texts = tower(OpenClipTexts, profile, device)
    return rate(lambda: texts.run({"texts": ["a photo of a cat"]}, Context()), 1, turns, device)


def measure(profile: Profile, device: str, turns: int, previews: list[bytes]) -> None:
    alone, whole, peak = pictures(profile, device, turns, previews)
    print(
        f"{profile.backend:17} {profile.architecture:26} {alone:8.1f} images/s, {whole:8.1f} from previews, "
        f"{requests(profile, device, turns):7.1f} requests/s, peak {peak:.2f} GB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=[profile.id for profile in PROFILES])
    parser.add_argument("--batches", type=int, default=0, help="default: 30 on a GPU, 3 on a processor")
    parser.add_argument("--previews", type=int, default=0, help="default: 256 on a GPU, 8 on a processor")
    given = parser.parse_args()
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name(0) if device != "cpu" else f"{os.cpu_count()} cores"
    chosen = [p for p in PROFILES if given.profile in (None, p.id)] if device != "cpu" or given.profile else [SMALL]
    print(f"{name}, {_precision(device)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        previews = write_previews(Path(folder), given.previews or (256 if device != "cpu" else 8))
        for profile in chosen:
            measure(profile, device, given.batches or (30 if device != "cpu" else 3), previews)


if __name__ == "__main__":
    main()
