"""Readers of further scripts (Cyrillic, Arabic, Korean …) for lines that RapidOCR's own reader cannot read.

Each is a recogniser of PaddleOCR in ONNX: lines of 48 pixels' height in, for each place along the line the chances of
each character out (CTC), and the characters in the model's metadata, as RapidOCR's conversions have it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framed.errors import Unavailable
from framed.models import weights

Pixels = NDArray[np.uint8]

SCRIPTS: dict[str, str] = {
    "arabic": "ARABIC",
    "cyrillic": "CYRILLIC",
    "devanagari": "DEVANAGARI",
    "greek": "GREEK",
    "kannada": "KANNADA",
    "korean": "HANGUL",
    "tamil": "TAMIL",
    "telugu": "TELUGU",
    "thai": "THAI",
}
"""Each set of weights `ocr-NAME`, and what Unicode calls the letters that it is for."""
FILE = "rec.onnx"
_HEIGHT, _LEAST_WIDTH, _MOST_WIDTH = 48, 320, 3200
_TOGETHER = 6
_UNREAD = 1.5
"""Heights of a line for each character, from which on most of it was not read: letters take a third to one."""
_DOUBT = 0.9
"""Clear print in a script that the reader knows was over it; Greek with accents that it does not know had 0.88."""
_BEHIND = 0.1
"""So much less sure may the reader of a script be where other lines of the picture are in it: МОСКВА is MOCKBA too."""
_GREEK = str.maketrans("ABEHIKMNOPTXYZouv", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖουν")
_SAME_SHAPES = {
    "CYRILLIC": frozenset("ABCEHIJKMOPSTXYaceijopsxy"),
    "GREEK": frozenset(map(chr, _GREEK)),
}
"""Latin letters that look like letters of these scripts."""
_MIRRORED = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))


@dataclass(frozen=True)
class Line:
    text: str
    score: float


def here() -> dict[str, str]:
    """The scripts whose weights are here, and which these are: other ones after they were fetched again. Blocks: it
    looks at a disk."""
    return {script: weights.which(f"ocr-{script}") for script in SCRIPTS if weights.missing(f"ocr-{script}") is None}


class ScriptReader:
    """Made in a compute host. Raises Unavailable where the weights are not here or are no recogniser."""

    def __init__(self, script: str) -> None:
        import onnxruntime

        self.script = script
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        path = weights.path(f"ocr-{script}") / FILE
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each fault, all of them private
            raise self._broken() from error
        self._given = self._session.get_inputs()[0].name
        listed = self._session.get_modelmeta().custom_metadata_map.get("character", "")
        self._characters = ["", *listed.splitlines(), " "]  # first the blank of CTC, last the space
        classes = self._session.get_outputs()[0].shape[-1]
        if not listed or (isinstance(classes, int) and classes != len(self._characters)):
            raise self._broken()

    def _broken(self) -> Unavailable:
        return Unavailable(
            f"The weights for {self.script} writing are none: framed models verify ocr-{self.script} --fetch"
        )

    def read(self, lines: Sequence[Pixels]) -> list[Line]:
        """What stands in these upright lines (BGR)."""
        found = [Line("", 0.0)] * len(lines)
        order = sorted(range(len(lines)), key=lambda at: lines[at].shape[1] / lines[at].shape[0])
        for start in range(0, len(order), _TOGETHER):
            some = order[start : start + _TOGETHER]
            (answer,) = self._session.run(None, {self._given: _batch([lines[at] for at in some])})
            for at, chances in zip(some, answer, strict=True):
                found[at] = self._decoded(chances)
        return found

    def _decoded(self, chances: NDArray[np.float32]) -> Line:
        best = chances.argmax(axis=1)
        new = np.append(True, best[1:] != best[:-1]) & (best != 0)
        if not new.any():
            return Line("", 0.0)
        text = "".join(self._characters[at] for at in best[new])
        return Line(logical(text), float(chances[new, best[new]].mean()))


def _batch(lines: Sequence[Pixels]) -> NDArray[np.float32]:
    import cv2

    widths = [int(np.ceil(_HEIGHT * line.shape[1] / line.shape[0])) for line in lines]
    width = min(max(_LEAST_WIDTH, *widths), _MOST_WIDTH)
    batch = np.zeros((len(lines), 3, _HEIGHT, width), np.float32)
    for at, line in enumerate(lines):
        small = cv2.resize(line, (min(widths[at], width), _HEIGHT)).astype(np.float32)
        batch[at, :, :, : small.shape[1]] = small.transpose(2, 0, 1) / 127.5 - 1.0
    return batch


def unmixed(text: str) -> str:
    """Greek words whose letters are Greek throughout: a reader that knows both takes those that look the same for
    Latin ones, and nobody types a word so."""
    return " ".join(_in_greek(word) for word in text.split(" "))


def _in_greek(word: str) -> str:
    scripts = [_script(character) for character in word if character.isalpha()]
    if len(scripts) < 3 or "GREEK" not in scripts or "LATIN" not in scripts:
        return word
    whole = word.translate(_GREEK)
    return word if any(_script(character) == "LATIN" for character in whole) else whole


# -- whose reading counts --------------------------------------------------------------------------------------------


def read_again(own: Sequence[Line], lines: Sequence[Pixels], readers: Sequence[ScriptReader]) -> list[Line]:
    """The first reader's lines, and in place of those that it is in doubt of, what another read there. Once one has
    read its script somewhere in the picture, it is asked about the other lines too: some letters look the same."""
    found = list(own)
    doubtful = [at for at, line in enumerate(own) if _doubtful(line, lines[at])]
    for reader in readers if doubtful else ():
        taken = set()
        for at, line in zip(doubtful, reader.read([lines[at] for at in doubtful]), strict=True):
            if _is_written_in(line.text, reader.script) and _better(line, found[at]):
                found[at] = line
                taken.add(at)
        rest = [at for at, line in enumerate(own) if at not in taken and _looks_like(line.text, reader.script)]
        if not taken:
            continue
        for at, line in zip(rest, reader.read([lines[at] for at in rest]), strict=True):
            if _is_written_in(line.text, reader.script) and line.score >= found[at].score - _BEHIND:
                found[at] = line
    return found


def _doubtful(line: Line, pixels: Pixels) -> bool:
    read = sum(character.isalnum() for character in line.text)
    height, width = sorted(pixels.shape[:2])
    return line.score < _DOUBT or width > max(read, 1) * _UNREAD * height or len(_scripts(line.text)) > 1


def _better(line: Line, before: Line) -> bool:
    """Surer; or sure enough, and twice as much was read."""
    return line.score > before.score or (line.score > before.score - _BEHIND and _read(line) >= 2 * _read(before))


def _looks_like(text: str, script: str) -> bool:
    letters = {character for character in text if character.isalpha()}
    return bool(letters) and letters <= _SAME_SHAPES.get(SCRIPTS[script], frozenset())


def _read(line: Line) -> int:
    return sum(unicodedata.category(character)[0] in "LMN" for character in line.text)


def _is_written_in(text: str, script: str) -> bool:
    letters = [character for character in text if unicodedata.category(character)[0] in "LM"]
    own = sum(_script(character) == SCRIPTS[script] for character in letters)
    return own * 2 > len(letters)


def _scripts(text: str) -> set[str]:
    return {_script(character) for character in text if character.isalpha()} & {"LATIN", "GREEK"}


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


# -- right to left ---------------------------------------------------------------------------------------------------


def logical(seen: str) -> str:
    """A line as it was seen from left to right, in the order in which it is read and typed.

    In a line of Arabic everything is turned round, but for words of other scripts and numbers within it, which run from
    left to right there too; brackets open on the other side. Without such letters nothing changes.
    """
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in seen):
        return seen
    kinds = _kinds(seen)
    runs: list[str] = []
    at = 0
    while at < len(seen):
        end = _end_of_run(kinds, at)
        runs.append(seen[at:end] if end > at else _MIRRORED.get(seen[at], seen[at]))
        at = max(end, at + 1)
    return "".join(_plain(run) for run in reversed(runs))


def _kinds(seen: str) -> list[str]:
    """What Unicode says of each character: L and R its direction, N a number's, and what may stand in or beside one."""
    kinds = [unicodedata.bidirectional(character) for character in seen]
    kinds = [{"AL": "R", "EN": "N", "AN": "N", "ES": "CS"}.get(kind, kind) for kind in kinds]
    for order in (range(len(kinds)), reversed(range(len(kinds)))):
        before = ""
        for at in order:
            if kinds[at] == "ET" and before == "N":  # a percent or currency sign is its number's
                kinds[at] = "N"
            before = kinds[at]
    return kinds


def _end_of_run(kinds: Sequence[str], at: int) -> int:
    """Where the words or the number end that begin here; `at` where none does. Whatever stands between two words
    belongs to them, between two digits one mark."""
    if kinds[at] not in ("L", "N"):
        return at
    end, last, words = at, at, False
    while end < len(kinds) and kinds[end] != "R":
        if kinds[end] in ("L", "N"):
            if kinds[end] == "N" and not words and end - last > 1:
                break  # two numbers side by side: the right one is read first
            words = words or kinds[end] == "L"
            last = end + 1
        elif not words and kinds[end] != "CS":
            break
        end += 1
    return last


def _plain(run: str) -> str:
    """Letters in the shape that they have beside others are the letters themselves."""
    return "".join(
        unicodedata.normalize("NFKC", character) if "\ufb1d" <= character <= "\ufeff" else character
        for character in run
    )
