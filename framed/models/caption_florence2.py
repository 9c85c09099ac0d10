"""Captions by Florence-2: the one plain sentence that it was trained to say of a picture, or a few sentences.

The classes are transformers' own and the weights those of `florence-community`, which need no code from the hub.
The tasks' prompts and the square of 768 pixels are in the processor's files.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, ClassVar

import numpy as np

from framed.errors import BadPhoto, BadRequest, Unavailable
from framed.models import weights
from framed.models.base import Backend, Context, HostKind

SETS = ("florence2-large", "florence2-base")
"""The larger one where somebody fetched it."""
TOKENS = {"<CAPTION>": 48, "<DETAILED_CAPTION>": 128}
"""What a task is called in the prompt, and the most tokens that its answer may take."""
_DEVICE_BATCH = 8


class Florence2(Backend):
    """``{"paths": [bytes, …]}``, upright previews, or ``{"pixels": [uint8 (H, W, 3), …]}``, and ``"task"``: a key of
    ``TOKENS`` → ``{"captions": [{"text": str, "problem": str | None}, …], "model": str}``.

    Always the likeliest word next, so that a picture has one caption. A photo that cannot be read, or for which the
    network gave no numbers or no words, has a problem, and the others have their captions.
    """

    task: ClassVar[str] = "caption"
    name: ClassVar[str] = "florence2"
    host: ClassVar[HostKind] = "model"
    model_id: ClassVar[str] = "florence-2"
    memory_mb: ClassVar[int] = 1800

    @classmethod
    def available(cls) -> str | None:
        for package in ("torch", "transformers", "torchvision"):
            if importlib.util.find_spec(package) is None:
                return f"The Python package {package} is missing: pip install 'framed[gpu]'"
        if any(weights.missing(name) is None for name in SETS):
            return None
        return weights.missing(SETS[-1])

    def load(self, options: dict[str, Any], device: str) -> None:
        """`options.precision`: fp32, fp16 or bf16 instead of what the device does best."""
        import torch
        from transformers import Florence2ForConditionalGeneration, Florence2Processor
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._set = next((name for name in SETS if weights.missing(name) is None), SETS[-1])
        folder = weights.path(self._set)
        self._device = device
        wanted = options.get("precision") or ("fp16" if device.startswith("cuda") else "fp32")
        self._dtype: torch.dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[wanted]
        here = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._processor: Any = Florence2Processor.from_pretrained(folder, **here)
            self._network: Any = Florence2ForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, dtype=self._dtype, **here
            )
        except (OSError, ValueError, KeyError) as error:
            raise Unavailable(f"Florence-2's files cannot be read: framed models verify {self._set}") from error
        self._network.eval().to(device)

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        task = inputs.get("task", "<CAPTION>")
        if task not in TOKENS:
            raise BadRequest(f"Florence-2 is asked for one of: {', '.join(TOKENS)}.")
        photos = inputs["pixels"] if inputs.get("pixels") is not None else inputs["paths"]
        step = 1 if self._device == "cpu" else _DEVICE_BATCH
        captions: list[dict[str, Any]] = []
        for start in range(0, len(photos), step):
            context.progress(start / len(photos), f"{start} of {len(photos)} photos put into words")
            captions += self._batch(photos[start : start + step], task, context)
        return {"captions": captions, "model": self._set}

    def _batch(self, photos: list[Any], task: str, context: Context) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        readable = []
        for photo in photos:
            try:
                readable.append(_picture(photo))
                found.append({"text": "", "problem": None})
            except BadPhoto as error:
                found.append({"text": "", "problem": error.message})
        if readable:
            said = iter(self._say(readable, task, context))
            for caption in found:
                if caption["problem"] is None:
                    text = next(said)
                    caption["text"] = text or ""
                    caption["problem"] = None if text else _nothing(text)
        return found

    def _say(self, pictures: list[Any], task: str, context: Context) -> list[str | None]:
        """A text each; None where the network gave no numbers even in a wider range."""
        import torch

        given = self._processor(images=pictures, text=[task] * len(pictures), return_tensors="pt")
        tokens, broken = self._generate(given, task, context)
        if self._dtype == torch.float16 and broken.any():
            self._network.to(torch.bfloat16)  # the same memory, and the range of float32
            self._dtype = torch.bfloat16
            tokens, broken = self._generate(given, task, context)
        texts = self._processor.batch_decode(tokens, skip_special_tokens=True)
        return [None if bad else " ".join(text.split()) for text, bad in zip(texts, broken.tolist(), strict=True)]

    def _generate(self, given: Any, task: str, context: Context) -> tuple[Any, Any]:
        import torch
        from transformers import LogitsProcessor, LogitsProcessorList

        broken = torch.zeros(len(given["pixel_values"]), dtype=torch.bool, device=self._device)

        class Watch(LogitsProcessor):  # type: ignore[misc]  # transformers gives no types for it
            """Between two words: was the work cancelled, and are these still numbers?"""

            def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
                context.check()
                broken.logical_or_(torch.isnan(scores).any(dim=-1))
                return scores.nan_to_num(nan=0.0, neginf=float("-inf"))

        with torch.inference_mode():
            tokens = self._network.generate(
                input_ids=given["input_ids"].to(self._device),
                attention_mask=given["attention_mask"].to(self._device),
                pixel_values=given["pixel_values"].to(self._device, self._dtype),
                max_new_tokens=TOKENS[task],
                do_sample=False,
                num_beams=1,
                logits_processor=LogitsProcessorList([Watch()]),
            )
        return tokens, broken.cpu()

    def unload(self) -> None:
        del self._network, self._processor
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()


def _nothing(text: str | None) -> str:
    said = "no words" if text is not None else "no numbers"
    return f"Florence-2 gave {said} for this photo."


def _picture(photo: Any) -> Any:
    """As a Pillow image: of an array one pixel high the processor could not tell what is a colour."""
    from PIL import Image

    if isinstance(photo, np.ndarray):
        return Image.fromarray(photo).convert("RGB")
    try:
        with Image.open(photo, formats=["JPEG", "WEBP", "PNG"]) as image:
            image.draft("RGB", (768, 768))
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPhoto(f"The preview {os.path.basename(photo).decode(errors='replace')} cannot be read.") from error
