"""What a model said of a picture, made into a caption: freed of chatter, and told with the names that are known."""

import json
import re
from collections.abc import Sequence

from framed.errors import FramedError


class NoCaption(FramedError):
    """The model's answer holds no caption; the message says what it is instead."""


_MOST_READ = 4_000
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|$)", re.S | re.I)
_MARKS = re.compile(
    r"<[|/]?[a-z_]{1,24}[|]?>|```[a-z]*|^\s*(?:#{1,6}|>|[-*•]|\d+[.)])\s+|[*`#]+|(?<!\w)_+|_+(?!\w)", re.M | re.I
)
_QUOTES = "\"'“”„‘’«»"
_LABEL = re.compile(
    r"^(?:(?:photo|image|picture|suggested|possible|alt)\s+)?(?:caption|description|answer|text|sentence|title)\s*[:–-]\s*",
    re.I,
)
_COURTESY = re.compile(
    r"^(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|great|gladly|happy to help|no problem)\s*[!,.:–-]+\s*",
    re.I,
)
_HERE = re.compile(
    r"^(?:here(?:['’]s| is| are)|below is|the following is|this is)\s+[^:.\n]{0,80}?"
    r"\b(?:caption|description|sentence|summary|answer|photo|image|picture)s?\b[^:.\n]{0,80}:\s*",
    re.I,
)
_PICTURE = r"(?:image|photo|photograph|picture|scene|snapshot|shot)"
_SHOWS = (
    r"(?:shows?|depicts?|features?|captures?|displays?|portrays?|presents?|contains?|illustrates?|showing|depicting|"
    r"featuring|capturing|displaying|is\s+(?:of|showing)|of)"
)
_SEEN = r"(?:(?:we|you|i|one)\s+(?:can\s+|could\s+)?(?:clearly\s+)?see|there\s+(?:is|are)|there['’]s)"
_PREAMBLE = re.compile(
    rf"^(?:(?:here['’]s|here\s+is|this\s+is)\s+)?(?:in\s+)?(?:the|this|that|an?|your)\s+{_PICTURE}\s*,?\s*"
    rf"(?:{_SHOWS}|{_SEEN})\s+(?:that\s+)?(?=\w)",
    re.I,
)
_OFFERS = re.compile(
    r"^(?:let me know|would you like|do you want|feel free|i hope|hope this|is there anything|note\b|please|"
    r"if you(?:['’]d| would| need| want))",
    re.I,
)
_REFUSAL = re.compile(
    r"^(?:i(?:['’]m| am)\s+(?:really\s+|very\s+)?(?:sorry|afraid|unable|not\s+able)|sorry\b|unfortunately|"
    r"i\s+can(?:['’]?t|not)\b|i\s+could(?:n['’]t| not)\b|i\s+(?:won['’]t|will\s+not)|"
    r"as\s+an?\s+(?:ai|language|large)|my\s+apologies|i\s+apologi[sz]e|"
    r"i\s+(?:do\s*n['’]t|do\s+not)\s+(?:see|have)|"
    r"no\s+(?:image|picture|photo)\b|there\s+(?:is|was)\s+no\s+(?:image|picture|photo)|"
    r"(?:please|could\s+you)\s+(?:provide|upload|share|attach))",
    re.I,
)
_REPEATED = re.compile(r"\b(\w+(?:\s+\w+){0,3})\b(?:\W+\1\b){4,}", re.I)
_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+(?=[^a-z\s])")
_SHORTENED = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|prof|sr|jr|no|vs|approx|ca|mt)|\b[A-Z])\.$", re.I)


def sentence(answer: str, most: int = 300) -> str:
    """The caption in a model's answer: plain, on one line, whole sentences of at most `most` characters together,
    without what models say before, around and after it. Raises NoCaption."""
    text = _MARKS.sub(" ", _inner(_THOUGHTS.sub(" ", answer)[:_MOST_READ]))
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n", text)]
    for paragraph in paragraphs:
        found = _without_preamble(paragraph)
        if not found or found.endswith(":") or _LABEL.fullmatch(f"{found}:"):
            continue
        if _REFUSAL.match(paragraph) or _REFUSAL.match(found):
            raise NoCaption("The model would not describe this photo.")
        if _REPEATED.search(found):
            raise NoCaption("The model said the same words over and over.")
        if kept := _kept(found, most):
            return kept
    raise NoCaption("The model gave no words.")


def _inner(text: str) -> str:
    """The caption of an answer that is an object, `{"caption": "…"}`, bare or fenced."""
    bare = re.sub(r"^\s*```(?:json)?|```\s*$", "", text.strip())
    if not bare.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(bare)
    except ValueError:
        return text
    if isinstance(found, dict):
        for key in ("caption", "description", "sentence", "text", "title"):
            if isinstance(found.get(key), str):
                return str(found[key])
    raise NoCaption("The model gave no words.")


def _without_preamble(text: str) -> str:
    before = None
    while before != text:
        before = text
        text = text.strip().strip(_QUOTES).strip()
        for pattern in (_COURTESY, _HERE, _LABEL, _PREAMBLE):
            text = pattern.sub("", text)
    return text


def _kept(text: str, most: int) -> str:
    sentences = [part for part in _sentences(text) if not _OFFERS.match(part)]
    if len(sentences) > 1 and sentences[-1][-1] not in ".!?…":
        sentences.pop()  # it was cut off
    if not sentences or not re.search(r"[^\W\d_]{2}", sentences[0]):
        return ""
    kept = sentences[0] if len(sentences[0]) <= most else _cut(sentences[0], most)
    for further in sentences[1:]:
        if len(kept) + 1 + len(further) > most:
            break
        kept += f" {further}"
    if len(_sentences(kept)) == 1:
        kept = kept.rstrip(" .")
    return kept[:1].upper() + kept[1:]


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    for part in _END.split(text):
        if found and _SHORTENED.search(found[-1]):
            found[-1] += f" {part}"
        elif part.strip():
            found.append(part.strip())
    return found


def shortened(text: str, most: int) -> str:
    """What somebody wrote, in at most `most` characters: whole sentences, else as far as a comma or a word with "…"."""
    if len(text) <= most:
        return text
    kept = ""
    for part in _sentences(text):
        if len(kept) + 1 + len(part) > most:
            break
        kept = f"{kept} {part}".strip()
    return kept if len(kept) > most // 4 else _cut(text, most)


def _cut(text: str, most: int) -> str:
    """At a comma where there is one late enough, else between words."""
    room = text[: most - 1]
    comma = room.rfind(", ")
    end = comma if comma > most // 2 else room.rfind(" ")
    return f"{room[:end] if end > 0 else room}…"


# --- with what is known -----------------------------------------------------------------------------------------------

_LINE = 140
_ADJECTIVES = r"(?:(?:young|old|older|elderly|little|small|smiling|happy|beautiful|bearded|blonde?|middle-aged)\s+)*"
_ONE = re.compile(
    rf"^(?:an?|one|the)\s+{_ADJECTIVES}(?:woman|man|girl|boy|person|child|kid|baby|toddler|lady|guy|gentleman)\b(?!['’])",
    re.I,
)
_TWO = re.compile(
    rf"^(?:an?\s+{_ADJECTIVES}couple|two\s+{_ADJECTIVES}(?:women|men|girls|boys|people|persons|children|kids|friends|ladies)|"
    rf"an?\s+{_ADJECTIVES}(?:woman|man|girl|boy)\s+and\s+an?\s+{_ADJECTIVES}(?:woman|man|girl|boy|child|baby))\b(?!['’])",
    re.I,
)
_MANY = re.compile(r"\b(?:group|crowd|people|family|children|kids|men|women|team|class|friends|girls|boys)\b", re.I)


def told(seen: str, *, people: Sequence[str], place: str | None, time: str | None, year: str | None) -> str:
    """A model's caption with the names, place and time that it does not say. A name takes the place of "a woman" where
    she can be nobody else."""
    missing = [name for name in people if not names(seen, name)]
    if missing and len(missing) == len(people):
        pattern = {1: _ONE, 2: _TWO}.get(len(people))
        named = pattern.sub(lambda _: " and ".join(people), seen, count=1) if pattern else seen
        if named != seen:
            seen, missing = named, []
    listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}" if missing else ""
    if len(seen) > _LINE or len(_sentences(seen)) > 1:
        return f"{seen.rstrip(' .')}. With {listed}" if listed else seen
    seen = seen.rstrip(" .")
    if place and not names(seen, place.split(",")[0]):
        seen += f" in {place}"
    if listed:
        seen += f", {'among them' if _MANY.search(seen) else 'with'} {listed}"
    if time and (year is None or year not in seen):
        seen += f", {time}"
    return seen


def names(text: str, name: str) -> bool:
    """Whether a text says this name, or its first word, as a word."""
    first = name.split()[0] if name.split() else name
    return re.search(rf"(?<!\w){re.escape(first)}(?!\w)", text, re.I) is not None


def unnamed(seen: str, people: Sequence[str]) -> str:
    """The caption for comparing meanings, in which names say nothing."""
    for name in people:
        for said in (name, name.split()[0] if name.split() else name):
            seen = re.sub(rf"(?<!\w){re.escape(said)}(?!\w)", "a person", seen, flags=re.I)
    return seen.rstrip(" .")
