"""The weights of the readers of further scripts, as RapidOCR 3.10 lists them: PaddleOCR's recognisers in ONNX."""

from __future__ import annotations

from typing import NamedTuple

from framed.models.weights import File, Licence, Weights

REVISION = "v3.10.0"
_HOME = f"https://www.modelscope.cn/models/RapidAI/RapidOCR/resolve/{REVISION}/onnx"


class _Reader(NamedTuple):
    script: str
    reads: str
    path: str
    sha256: str
    about: int


_V5 = "PP-OCRv5/rec"
READERS = (
    _Reader(
        "arabic",
        "Arabic, Persian, Urdu, Uyghur, Pashto",
        f"{_V5}/arabic_PP-OCRv5_rec_mobile.onnx",
        "c1192e632d0baa9146ae5b756a0e635e3dc63c1733737ebfd1629e87144e9295",
        8_000_000,
    ),
    _Reader(
        "cyrillic",
        "Russian, Ukrainian, Bulgarian, Serbian and other Cyrillic writing",
        f"{_V5}/cyrillic_PP-OCRv5_rec_mobile.onnx",
        "90f761b4bfcce0c8c561c0cb5c887b0971d3ec01c32164bdf7374a35b0982711",
        8_000_000,
    ),
    _Reader(
        "devanagari",
        "Hindi, Marathi, Nepali, Sanskrit",
        f"{_V5}/devanagari_PP-OCRv5_rec_mobile.onnx",
        "d6f0a906580e3fa6b324a318718f1f31f268b6ea8ef985f91c2012a37f52c91e",
        8_000_000,
    ),
    _Reader(
        "greek",
        "Greek with its accents",
        f"{_V5}/el_PP-OCRv5_rec_mobile.onnx",
        "b4368bccd557123c702b7549fee6cd1e94b581337d1c9b65310f109131542b7f",
        8_000_000,
    ),
    _Reader(
        "kannada",
        "Kannada",
        "PP-OCRv4/rec/ka_PP-OCRv4_rec_mobile.onnx",
        "9c1e186ea1d13cf6c853e57b42d382c3961fdd6acc2409e0d0dc44defc9f152b",
        8_000_000,
    ),
    _Reader(
        "korean",
        "Korean",
        f"{_V5}/korean_PP-OCRv5_rec_mobile.onnx",
        "cd6e2ea50f6943ca7271eb8c56a877a5a90720b7047fe9c41a2e541a25773c9b",
        14_000_000,
    ),
    _Reader(
        "tamil",
        "Tamil",
        f"{_V5}/ta_PP-OCRv5_rec_mobile.onnx",
        "a42448808b7dea87597336f12438935f40353f1949e8360acd9e06b4da21bfe1",
        8_000_000,
    ),
    _Reader(
        "telugu",
        "Telugu",
        f"{_V5}/te_PP-OCRv5_rec_mobile.onnx",
        "a3690451b50028a09a3316a1274f7c05728151ea3f8fd392696397a7fefcbd92",
        8_000_000,
    ),
    _Reader(
        "thai",
        "Thai",
        f"{_V5}/th_PP-OCRv5_rec_mobile.onnx",
        "de541dd83161c241ff426f7ecfd602a0ba77d686cf3ab9a6c255ea82fd08006e",
        8_000_000,
    ),
)


def script_sets(licence: Licence) -> tuple[Weights, ...]:
    """They add to RapidOCR and are no backend's own: their `backend` is empty. RapidOCR says the hashes; the sizes are
    those of the models that they were converted from."""
    return tuple(
        Weights(
            f"ocr-{reader.script}",
            f"RapidOCR reads {reader.reads}",
            "ocr",
            "",
            "",
            REVISION,
            (File("rec.onnx", sha256=reader.sha256, url=f"{_HOME}/{reader.path}", about=reader.about),),
            licence,
        )
        for reader in READERS
    )
