"""The registry of OpenCLIP profiles: which published model each is, how large, under which licence.

Facts from open_clip 3.3 (`model_configs/`, `docs/model_profile.csv`) and the models' cards.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Profile:
    """One published model. `weights` names its set in `weight_sets`; `cosine` is where a text and a picture begin to
    belong together, until the library is large enough to say so itself (`playlists.calibration`)."""

    id: str
    architecture: str
    pretrained: str
    weights: str
    model_id: str
    dim: int
    image_px: int
    resize: Literal["shortest", "squash"]
    licence: str
    image_mb: int
    """What the image tower occupies in half precision."""
    text_mb: int
    cosine: float

    @property
    def backend(self) -> str:
        return f"openclip-{self.id}"


DEFAULT = Profile(
    id="default",
    architecture="ViT-H-14",
    pretrained="laion2b_s32b_b79k",
    weights="openclip-vit-h-14",
    model_id="openclip-vit-h-14-laion2b-s32b-b79k",
    dim=1024,
    image_px=224,
    resize="shortest",
    licence="MIT",
    image_mb=1264,
    text_mb=708,
    cosine=0.21,
)
QUALITY = Profile(
    id="quality",
    architecture="ViT-SO400M-16-SigLIP2-384",
    pretrained="webli",
    weights="openclip-quality",
    model_id="openclip-vit-so400m-16-siglip2-384-webli",
    dim=1152,
    image_px=384,
    resize="squash",
    licence="Apache-2.0",
    image_mb=860,
    text_mb=1410,
    cosine=0.08,
)
FAST = Profile(
    id="fast",
    architecture="ViT-B-16-SigLIP2",
    pretrained="webli",
    weights="openclip-fast",
    model_id="openclip-vit-b-16-siglip2-webli",
    dim=768,
    image_px=224,
    resize="squash",
    licence="Apache-2.0",
    image_mb=186,
    text_mb=565,
    cosine=0.08,
)
SMALL = Profile(
    id="small",
    architecture="ViT-B-32",
    pretrained="laion2b_s34b_b79k",
    weights="openclip-small",
    model_id="openclip-vit-b-32-laion2b-s34b-b79k",
    dim=512,
    image_px=224,
    resize="shortest",
    licence="MIT",
    image_mb=176,
    text_mb=127,
    cosine=0.22,
)

PROFILES = (DEFAULT, QUALITY, FAST, SMALL)


def by_model(model_id: str) -> Profile | None:
    """The profile whose vectors carry this name; None for those of another kind."""
    return next((profile for profile in PROFILES if profile.model_id == model_id), None)
