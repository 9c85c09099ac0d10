"""Faces of real pictures and of altered copies of them, who is who: `python bench/faces.py [FOLDER] [--backend dlib]`.

Nine people of pictures that come in packages, each as taken and in the copies below. Printed are the faces found in
every kind of copy, the pairs of faces that the model's limits put right and wrong, and what grouping makes of them all.
FOLDER holds more people, one to a picture; `anna.jpg`, `anna2.jpg` are two pictures of one.
"""

import argparse
import importlib.util
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from clusters import pairs, rightness
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from framed.analysis import clusters
from framed.models.base import Context, backend_class
from framed.models.catalogue import PACKAGED, choose

ALONE = {
    "Eileen Collins": ("skimage", "data/astronaut.png"),
    "Grace Hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "Tom Hanks": ("insightface", "data/images/Tom_Hanks_54745.png"),
}
GROUP, IN_GROUP = ("insightface", "data/images/t1.jpg"), 6
WITHOUT = (
    ("skimage", ("chelsea.png", "coffee.png", "rocket.jpg", "brick.png", "grass.png", "gravel.png", "coins.png",
                 "moon.png", "horse.png", "ihc.png", "retina.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
                 "page.png", "cell.png", "clock_motion.png")),
)  # fmt: skip

TILT = 8

Change = Callable[[Image.Image], Image.Image]


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    data = BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(BytesIO(data.getvalue())).convert("RGB")


COPIES: dict[str, Change] = {
    "as taken": lambda p: p,
    "mirrored": ImageOps.mirror,
    "smaller by a third": lambda p: p.resize((p.width * 2 // 3, p.height * 2 // 3), Image.Resampling.LANCZOS),
    "half as bright": lambda p: ImageEnhance.Brightness(p).enhance(0.5),
    "brighter by 40 %": lambda p: ImageEnhance.Brightness(p).enhance(1.4),
    "grey": lambda p: ImageOps.grayscale(p).convert("RGB"),
    "JPEG 40": lambda p: jpeg(p, 40),
    f"tilted by {TILT} degrees": lambda p: p.rotate(TILT, Image.Resampling.BICUBIC),
    "a little blurred": lambda p: p.filter(ImageFilter.GaussianBlur(max(p.size) / 700)),
}


@dataclass(frozen=True)
class Seen:
    """One face: whose, in which picture and kind of copy, what it is worth, its vector."""

    who: str
    picture: int
    copy: str
    worth: float
    vector: NDArray[np.float32]


def package_file(package: str, path: str) -> Path | None:
    found = importlib.util.find_spec(package)
    file = Path(found.origin).parent / path if found and found.origin else None
    return file if file and file.is_file() else None


def upright(path: Path) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def pictures(folder: Path | None) -> list[tuple[str, Image.Image]]:
    """Pictures of one person each, with the person's name."""
    found = [(who, file) for who, where in ALONE.items() if (file := package_file(*where))]
    if folder:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        found += [(re.sub(r"[\d_ -]*$", "", path.stem), path) for path in paths]
    return [(who, upright(path)) for who, path in found]


def look(model: Any, picture: Image.Image) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    answer = model.run({"pixels": [np.asarray(picture)]}, Context())
    return answer["photos"][0]["faces"], answer["vectors"]


def worth(face: dict[str, Any], sure: float) -> float:
    return clusters.quality(sure=sure, **{name: face[name] for name in ("pixels", "sharpness", "turned", "score")})


def centre(face: dict[str, Any], copy: str, size: tuple[int, int]) -> tuple[float, float]:
    """Where the face is in the picture as taken, from its middle, in pixels."""
    left, top, width, height = face["box"]
    across, down = (left + width / 2 - 0.5) * size[0], (top + height / 2 - 0.5) * size[1]
    if copy == "mirrored":
        return -across, down
    turn = math.radians(TILT) if copy.startswith("tilted") else 0.0
    return across * math.cos(turn) - down * math.sin(turn), across * math.sin(turn) + down * math.cos(turn)


def alone(model: Any, folder: Path | None, sure: float) -> tuple[list[Seen], dict[str, list[int]]]:
    """The largest face of every picture of one person, and of each kind of copy: pictures, faces found, others."""
    seen, counts = [], {name: [0, 0, 0] for name in COPIES}
    for number, (who, picture) in enumerate(pictures(folder)):
        for copy, change in COPIES.items():
            faces, vectors = look(model, change(picture))
            counts[copy][0] += 1
            counts[copy][1] += bool(faces)
            counts[copy][2] += max(len(faces) - 1, 0)
            if faces:
                large = max(range(len(faces)), key=lambda at, faces=faces: faces[at]["pixels"])
                seen.append(Seen(who, number, copy, worth(faces[large], sure), vectors[large]))
    return seen, counts


def group(model: Any, sure: float, counts: dict[str, list[int]]) -> list[Seen]:
    path = package_file(*GROUP)
    if path is None:
        return []
    picture, seen = upright(path), []
    first, _ = look(model, picture)
    places = [centre(face, "as taken", picture.size) for face in first]
    print(f"group photo of {IN_GROUP}: {len(first)} faces found")
    for copy, change in COPIES.items():
        faces, vectors = look(model, change(picture))
        counts[copy][0] += IN_GROUP
        taken: set[int] = set()
        for face, vector in zip(faces, vectors, strict=True):
            at = centre(face, copy, picture.size)
            apart = [np.hypot(at[0] - x, at[1] - y) for x, y in places]
            nearest = int(np.argmin(apart))
            if apart[nearest] > max(picture.size) / 20 or nearest in taken:
                counts[copy][2] += 1
                continue
            taken.add(nearest)
            counts[copy][1] += 1
            seen.append(Seen(f"of the group, {nearest + 1}", 1000, copy, worth(face, sure), vector))
    return seen


def said_of_pairs(seen: list[Seen], limits: clusters.Limits) -> None:
    """Pairs of two pictures; copies count as pictures of their own, but the two of one kind are told apart, too."""
    vectors = np.stack([one.vector for one in seen])
    like = vectors @ vectors.T
    upper = np.triu(np.ones(like.shape, np.bool_), 1)
    who = np.unique([one.who for one in seen], return_inverse=True)[1]
    same = (who[:, None] == who[None, :]) & upper
    other = (who[:, None] != who[None, :]) & upper
    good = np.array([one.worth >= clusters.GOOD for one in seen])
    both = good[:, None] & good[None, :]
    for what, these in (("all faces", upper), ("both faces good", both & upper)):
        one, two = like[same & these], like[other & these]
        right, wrong = (one >= limits.core).sum(), (two >= limits.core).sum()
        print(
            f"pairs, {what}: one person {right}/{len(one)} right ({right / max(len(one), 1):.1%}), lowest "
            f"{one.min(initial=1):.3f}; two people {len(two) - wrong}/{len(two)} right "
            f"({1 - wrong / max(len(two), 1):.2%}), highest {two.max(initial=-1):.3f}; limit {limits.core}"
        )
    picture = np.array([one.picture for one in seen])
    taken = np.array([one.copy == "as taken" for one in seen])
    across = same & (picture[:, None] != picture[None, :]) & taken[:, None] & taken[None, :]
    if across.any():
        print(f"one person in two pictures as taken: {', '.join(f'{value:.3f}' for value in like[across])}")


def said_of_groups(seen: list[Seen], limits: clusters.Limits) -> None:
    """Every copy is a photo of its own; those of the group share one for each kind of copy."""
    names = {key: at for at, key in enumerate(dict.fromkeys((one.picture, one.copy) for one in seen))}
    worths = np.array([one.worth for one in seen], np.float32)
    nobody = np.zeros(len(seen), np.int64)
    faces = clusters.Faces(
        photo=np.array([names[one.picture, one.copy] for one in seen], np.int64),
        vectors=np.stack([one.vector for one in seen]),
        quality=worths,
        strict=worths < clusters.GOOD,
        said=nobody,
        before=nobody.copy(),
    )
    person = clusters.group(faces, limits).person
    who = np.unique([one.who for one in seen], return_inverse=True)[1].astype(np.int64)
    right, found = rightness(person, who)
    groups = len(np.unique(person[person != 0]))
    print(
        f"grouping {len(seen)} faces of {len(np.unique(who))} people: {groups} groups, {(person == 0).sum()} faces of "
        f"nobody; precision {right:.1%}, recall {found:.1%} of {pairs(who)} pairs"
    )


def false_faces(model: Any) -> None:
    files = [file for package, names in WITHOUT for name in names if (file := package_file(package, f"data/{name}"))]
    found = [(file.name, len(faces)) for file in files if (faces := look(model, upright(file))[0])]
    print(f"{len(files)} pictures without people: {sum(count for _, count in found)} faces found {found or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--backend", default="auto")
    given = parser.parse_args()
    chosen = choose("faces", given.backend)
    model = backend_class(PACKAGED.entry("faces", chosen.backend).where)()
    model.load({}, "cpu")
    limits = clusters.LIMITS[chosen.model_id]
    print(chosen.model_id)
    seen, counts = alone(model, given.folder, limits.sure)
    seen += group(model, limits.sure, counts)
    print(f"{'copy':22}{'faces':>7}{'found':>7}{'others':>8}")
    for copy, (there, found, others) in counts.items():
        print(f"{copy:22}{there:7}{found:7}{others:8}")
    said_of_pairs(seen, limits)
    said_of_groups(seen, limits)
    false_faces(model)


if __name__ == "__main__":
    main()
