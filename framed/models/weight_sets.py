"""The visible list of weights that can be downloaded: from where, how large, under which licence.

Sizes and hashes are those the model hub (and GitHub) publish for these revisions. A file without a hash here is taken
with the one the hub says when it is fetched first; that one is pinned then.
"""

from __future__ import annotations

from framed.models.ocr_script_sets import script_sets
from framed.models.weights import Environment, File, Licence, Weights

APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
MIT = Licence("MIT", "https://opensource.org/license/mit")

INSIGHTFACE = Licence(
    "InsightFace, non-commercial",
    "https://github.com/deepinsight/insightface#license",
    "InsightFace gives these weights for non-commercial research only; the faces of your own photos at home, for"
    " yourself, is how framed uses them, and whether that is covered is for you to decide.",
    ask=True,
)
AGPL = Licence(
    "AGPL-3.0",
    "https://github.com/discus0434/aesthetic-predictor-v2-5/blob/main/LICENSE",
    "The head is under the AGPL: whoever offers it to others over a network owes them its source. For your own home"
    " that asks nothing of you.",
    ask=True,
)
LAION_HEADS = Licence(
    "Apache-2.0; OpenAI CLIP for research",
    "https://github.com/christophschuhmann/improved-aesthetic-predictor",
    "The head is Apache-2.0, but it works on OpenAI's CLIP, whose model card says that deployed use is out of its scope"
    " and meant for research.",
    ask=True,
)

_SIGLIP2_TOKENIZER = (
    File("tokenizer.json", about=34_400_000),
    File("tokenizer_config.json", about=46_400),
    File("special_tokens_map.json", about=327, optional=True),
)
_FLORENCE2_PROCESSOR = (
    File("config.json", about=6_000),
    File("preprocessor_config.json", about=1_000),
    File("tokenizer.json", about=2_300_000),
    File("tokenizer_config.json", about=198_000),
    File("generation_config.json", about=300, optional=True),
    File("processor_config.json", about=200, optional=True),
    File("added_tokens.json", about=22_400, optional=True),
    File("special_tokens_map.json", about=147_000, optional=True),
    File("vocab.json", about=798_000, optional=True),
    File("merges.txt", about=456_000, optional=True),
)
_PADDLEOCR_REC = "PaddlePaddle/PP-OCRv6_medium_rec_onnx"

WEIGHTS: tuple[Weights, ...] = (
    Weights(
        "openclip-vit-h-14",
        "OpenCLIP ViT-H-14, trained on LAION-2B",
        "image_embedding",
        "openclip-default",
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "1c2b8495b28150b8a4922ee1c8edee224c284c0c",
        (
            File(
                "open_clip_model.safetensors",
                3_944_517_836,
                "0084e75319a50ad85ef45377bad5bc38f2f58824459eb690048d51c9f8863be5",
            ),
            File("open_clip_config.json", about=600),
        ),
        MIT,
    ),
    Weights(
        "openclip-quality",
        "SigLIP 2 SO400M at 384 px",
        "image_embedding",
        "openclip-quality",
        "timm/ViT-SO400M-16-SigLIP2-384",
        "fec784dabb3081a5f101fc74eefaf9d1ed08237b",
        (
            File(
                "open_clip_model.safetensors",
                sha256="8ceec00df3c462d155d172933339cd9178a86bfab72f4458dbe84bd54f5ad026",
                about=4_540_000_000,
            ),
            File("open_clip_config.json", about=1_000),
            *_SIGLIP2_TOKENIZER,
        ),
        APACHE,
    ),
    Weights(
        "openclip-fast",
        "SigLIP 2 ViT-B-16",
        "image_embedding",
        "openclip-fast",
        "timm/ViT-B-16-SigLIP2",
        "main",
        (
            File("open_clip_model.safetensors", about=1_500_000_000),
            File("open_clip_config.json", about=950),
            *_SIGLIP2_TOKENIZER,
        ),
        APACHE,
    ),
    Weights(
        "openclip-small",
        "OpenCLIP ViT-B-32, trained on LAION-2B",
        "image_embedding",
        "openclip-small",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "1a25a446712ba5ee05982a381eed697ef9b435cf",
        (
            File(
                "open_clip_model.safetensors",
                605_143_316,
                "ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6",
            ),
            File("open_clip_config.json", about=600),
        ),
        MIT,
    ),
    Weights(
        "ramplus",
        "RAM++, Swin-L: 4,585 tags",
        "tags",
        "ramplus",
        "xinyu1205/recognize-anything-plus-model",
        "6afd703f04b23e1c18d4c7d9882c4f5f954848f8",
        (
            File(
                "ram_plus_swin_large_14m.pth",
                3_010_210_801,
                "497c178836ba66698ca226c7895317e6e800034be986452dbd2593298d50e87d",
                becomes="ram_plus_swin_large_14m.safetensors",
                by="framed.models.convert_ramplus:convert",
            ),
        ),
        APACHE,
    ),
    Weights(
        "florence2-base",
        "Florence-2 base",
        "caption",
        "florence2",
        "florence-community/Florence-2-base",
        "00921df66db728a9ceb750f5eca43e5c203a2051",
        (
            File(
                "model.safetensors",
                463_178_864,
                "62f3e696da74f8869a68ddb529a9b3e14eb25b21c592cb3dea6179bf944df6a0",
            ),
            *_FLORENCE2_PROCESSOR,
        ),
        MIT,
    ),
    Weights(
        "florence2-large",
        "Florence-2 large",
        "caption",
        "florence2",
        "florence-community/Florence-2-large",
        "4271c66b88cdbc05735372ec13b2360108de5317",
        (File("model.safetensors", about=1_650_000_000), *_FLORENCE2_PROCESSOR),
        MIT,
    ),
    Weights(
        "aesthetic-v25",
        "aesthetic-predictor-v2-5 and its SigLIP SO400M encoder",
        "aesthetics",
        "v25",
        "google/siglip-so400m-patch14-384",
        "9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
        (
            File(
                "model.safetensors",
                3_511_950_624,
                "ea2abad2b7f8a9c1aa5e49a244d5d57ffa71c56f720c94bc5d240ef4d6e1d94a",
            ),
            File("config.json", 576, "adc04928d8fd19a61822584fe0cf2e813e5ebac17f3e49fb1ea096860ae6457b"),
            File("preprocessor_config.json", 368, "f59da2f87c3cd079bd4f8f3037e81b277c60c498e279a8020331f67a5a3157e8"),
            File(
                "aesthetic_predictor_v2_5.pth",
                url="https://raw.githubusercontent.com/discus0434/aesthetic-predictor-v2-5/main/models/aesthetic_predictor_v2_5.pth",
                about=5_000_000,
                becomes="aesthetic_predictor_v2_5.safetensors",
                by="framed.models.convert:tensors",
            ),
        ),
        AGPL,
    ),
    Weights(
        "aesthetic-laion",
        "LAION aesthetic head (SAC, logos, AVA) and OpenAI CLIP ViT-L-14",
        "aesthetics",
        "laion",
        "timm/vit_large_patch14_clip_224.openai",
        "main",
        (
            File("open_clip_model.safetensors", about=1_710_000_000),
            File("open_clip_config.json", about=600),
            File(
                "head.safetensors",
                about=3_720_000,
                repo="ttj/sac-logos-ava1-l14-linearMSE",
                revision="1e77fa05081323d99725fc40a9bf9f88180490e7",
                path="model.safetensors",
            ),
        ),
        LAION_HEADS,
    ),
    Weights(
        "insightface-buffalo-l",
        "InsightFace buffalo_l: SCRFD-10G, ResNet50@WebFace600K and the age of a face",
        "faces",
        "insightface",
        "",
        "v0.7",
        (
            File(
                "buffalo_l.zip",
                288_621_354,
                "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
                url="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
                members=(
                    File(
                        "det_10g.onnx",
                        16_923_827,
                        "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
                    ),
                    File(
                        "w600k_r50.onnx",
                        174_383_860,
                        "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
                    ),
                    File(
                        "genderage.onnx",
                        1_322_532,
                        "4fde69b1c810857b88c64a335084f1c3fe8f01246c9a191b48c7bb756d6652fb",
                    ),
                ),
            ),
        ),
        INSIGHTFACE,
    ),
    Weights(
        "paddleocr",
        "PaddleOCR 3.7 with PP-OCRv6 medium",
        "ocr",
        "paddleocr",
        "PaddlePaddle/PP-OCRv6_medium_det_onnx",
        "main",
        (
            File("det/inference.onnx", path="inference.onnx", about=62_000_000),
            File("det/inference.yml", path="inference.yml", about=1_000),
            File("rec/inference.onnx", path="inference.onnx", repo=_PADDLEOCR_REC, revision="main", about=76_000_000),
            File("rec/inference.yml", path="inference.yml", repo=_PADDLEOCR_REC, revision="main", about=150_000),
            # Whether there is any text is asked of the small detector: that is what the threshold was found with.
            File("glance/inference.onnx", package="rapidocr", path="models/PP-OCRv6_det_small.onnx", about=9_929_594),
            File("glance/inference.yml", package="framed", path="models/data/ocr_glance.json", about=700),
        ),
        APACHE,
        Environment(
            (
                "paddleocr>=3.7,<3.8",
                "paddlex>=3.7,<3.8",
                "onnxruntime>=1.20,<2",
                "msgpack>=1.1,<2",
                "pillow>=12.1,<14",
                "pillow-heif>=1.3,<2",
            ),
            ("cv2", "paddleocr", "onnxruntime", "msgpack", "pillow_heif"),
            # The same OpenCV without windows: the one that paddlex pins wants libGL, which a server does not have.
            ("opencv-contrib-python-headless==4.10.0.84",),
            about=800_000_000,
        ),
    ),
    *script_sets(APACHE),
)


def named(name: str) -> Weights | None:
    """The set of this name, else the first one of a backend of this name."""
    for weights in WEIGHTS:
        if weights.name == name:
            return weights
    return next((weights for weights in WEIGHTS if weights.backend == name), None)
