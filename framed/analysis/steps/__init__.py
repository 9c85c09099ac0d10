"""The visible list of analysis steps."""

from framed.analysis.previews import Previews
from framed.analysis.step import LateStep, Step
from framed.analysis.steps.aesthetics import AestheticsStep
from framed.analysis.steps.bursts import BurstsStep
from framed.analysis.steps.caption import CaptionStep
from framed.analysis.steps.colours import ColoursStep
from framed.analysis.steps.description import DescriptionStep
from framed.analysis.steps.duplicates import DuplicatesStep
from framed.analysis.steps.faces import FacesStep
from framed.analysis.steps.hash import HashStep
from framed.analysis.steps.image_embedding import ImageEmbeddingStep
from framed.analysis.steps.kind import KindStep
from framed.analysis.steps.metadata import MetadataStep
from framed.analysis.steps.ocr import OcrStep
from framed.analysis.steps.orientation import OrientationStep
from framed.analysis.steps.places import PlacesStep
from framed.analysis.steps.preview import PreviewStep
from framed.analysis.steps.quality import QualityStep
from framed.analysis.steps.tags import TagsStep
from framed.analysis.steps.text_embedding import TextEmbeddingStep
from framed.analysis.steps.traits import TraitsStep
from framed.models.base import Compute
from framed.store.database import Database


def all_steps(
    *, database: Database, compute: Compute, previews: Previews, hemisphere: str, backends: dict[str, str]
) -> list[Step]:
    """`backends` is the configuration's choice per task; what is not in it is `auto`."""
    return [
        MetadataStep(),
        PreviewStep(),
        HashStep(),
        ColoursStep(),
        QualityStep(),
        KindStep(),
        OrientationStep(),
        DuplicatesStep(database),
        PlacesStep(compute),
        TagsStep(compute, previews, backends.get("tags", "auto")),
        DescriptionStep("south" if hemisphere == "south" else "north"),
        TextEmbeddingStep(compute, backends.get("text_embedding", "auto")),
        BurstsStep(),
    ]


def late_steps(*, database: Database, compute: Compute, previews: Previews, backends: dict[str, str]) -> list[LateStep]:
    """The deeper looks, in the order in which a household gains most from them; `off` leaves one out."""
    steps: dict[str, LateStep] = {
        "image_embedding": ImageEmbeddingStep(compute, previews, backends.get("image_embedding", "auto")),
        "traits": TraitsStep(database, compute, backends.get("image_embedding", "auto")),
        "faces": FacesStep(compute, previews, backends.get("faces", "auto")),
        "ocr": OcrStep(compute, previews, backends.get("ocr", "auto")),
        "aesthetics": AestheticsStep(compute, previews, backends.get("aesthetics", "auto")),
        "caption": CaptionStep(compute, previews, backends.get("caption", "auto")),
    }
    off = {task for task, backend in backends.items() if backend == "off"}
    return [step for task, step in steps.items() if not off & {task, *step.needs}]
