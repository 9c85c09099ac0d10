"""A sentence as tokens: words folded for comparison, with their places in the text."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

TokenKind = Literal["word", "mark", "quote", "emoji"]

_APOSTROPHES = "'’ʼ‘`´"
_DASHES = "-‐‑‒–—―−"
_QUOTED = re.compile(
    r"“([^“”\"]*)[”\"]|„([^„“”]*)[“”]|«([^«»]*)»|\"([^\"]*)\"|(?<!\w)[‘']((?=\S)[^‘’'\n]{2,}(?<=\S))[’'](?!\w)"
)
_SHORT_YEAR = re.compile(r"['’‘](\d\ds?)(?!\w)")
_MARKS = {
    ";": ",",
    ",": ",",
    "，": ",",
    "、": ",",
    "!": ".",
    "?": ".",
    "…": ".",
    ".": ".",
    ":": ":",
    "&": "&",
    "+": "+",
}
_MARKS |= {"/": "/", "\n": ".", "(": ",", ")": ","}
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i", "ß": "ss"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})

_IRREGULAR = {
    "children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse", "geese": "goose",
    "feet": "foot", "teeth": "tooth", "leaves": "leaf", "wolves": "wolf", "knives": "knife", "loaves": "loaf",
    "lives": "life", "wives": "wife", "calves": "calf", "shelves": "shelf", "scarves": "scarf", "halves": "half",
    "oxen": "ox", "fungi": "fungus", "cacti": "cactus",
}  # fmt: skip
_AS_THEY_ARE = frozenset(
    "christmas canvas gas atlas texas pyjamas pajamas lens always news series species less class".split()
)
_IE = frozenset("movies selfies cookies zombies brownies hoodies birdies ties pies smoothies calories pixies".split())
_OE = frozenset("shoes canoes toes oboes hoes does".split())

# Emoji whose Unicode name says something else than what people mean by it.
_EMOJI = {
    "❤": "heart", "♥": "heart", "☀": "sun", "⛄": "snowman", "☃": "snowman", "⚽": "football",
    "⭐": "star", "❄": "snow", "🎂": "birthday cake", "🎄": "christmas tree", "🎃": "pumpkin", "🏖": "beach",
    "🏔": "mountain", "⛰": "mountain", "🌅": "sunrise", "🌇": "sunset", "👶": "baby", "👪": "family",
    "🚗": "car", "🐕": "dog", "🐈": "cat",
}  # fmt: skip
# Words that are heard as two.
_HEARD_APART = {
    ("week", "end"): "weekend", ("week", "ends"): "weekends", ("grand", "ma"): "grandma", ("grand", "pa"): "grandpa",
    ("grand", "mother"): "grandmother", ("grand", "father"): "grandfather", ("grand", "dad"): "granddad",
    ("birth", "day"): "birthday", ("birth", "days"): "birthdays", ("sun", "set"): "sunset", ("sun", "sets"): "sunsets",
    ("sun", "rise"): "sunrise", ("sun", "rises"): "sunrises", ("christ", "mas"): "christmas",
}  # fmt: skip
_EMOJI_NOISE = frozenset("face sign symbol with open smiling eyes and of emoji modifier fitzpatrick".split())


@dataclass(frozen=True, slots=True)
class Token:
    """`key` is what is compared: case, accents and apostrophes folded; `singular` the same in the singular.

    A possessive ending is a token of its own, "'s". A quote is one token whose `raw` is what stands inside it.
    """

    kind: TokenKind
    start: int
    end: int
    raw: str
    key: str
    singular: str

    @property
    def capital(self) -> bool:
        return self.raw[:1].isupper()


def clean(text: str) -> str:
    """The text, character for character, with control characters as spaces and broken surrogates as �."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_clean_character(character) for character in text)


def _clean_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    return " " if category == "Cc" and character != "\n" else character


@lru_cache(maxsize=16_384)
def fold(word: str) -> str:
    """Casefolded, without accents and apostrophes; marks that other scripts spell with (vowel signs, nukta) stay."""
    if word.isascii():
        return word.lower().replace("'", "").replace("`", "")
    plain = unicodedata.normalize("NFKD", word.casefold().translate(_LETTERS))
    kept = [c for c in plain if unicodedata.combining(c) in (0, 7, 9) and c not in _APOSTROPHES + "\u200c\u200d\ufe0f"]
    return unicodedata.normalize("NFC", "".join(kept))


def spelt_out(name: str) -> str:
    """The name with umlauts written as two letters, as keyboards without them do: Müller, Mueller."""
    return unicodedata.normalize("NFC", name).casefold().translate(_UMLAUTS)


@lru_cache(maxsize=16_384)
def singular(key: str) -> str:
    if key in _IRREGULAR:
        return _IRREGULAR[key]
    if len(key) < 4 or not key.endswith("s") or key in _AS_THEY_ARE:
        return key
    if key.endswith("ies") and key not in _IE:
        return key[:-3] + "y"
    if key.endswith(("shes", "ches", "xes", "sses", "zzes")) or (key.endswith("oes") and key not in _OE):
        return key[:-2]
    return key if key.endswith(("ss", "us", "is")) else key[:-1]


def tokenise(text: str) -> list[Token]:
    """Tokens in order; their offsets point into `text`. Brackets, stars and other ornaments make no token."""
    tokens: list[Token] = []
    at = 0
    for quote in _QUOTED.finditer(text):
        if quote.start() < at:
            continue
        _plain(text, at, quote.start(), tokens)
        inside = next((group for group in quote.groups() if group is not None), "").strip()
        if inside:
            tokens.append(Token("quote", quote.start(), quote.end(), inside, '"', '"'))
        at = quote.end()
    _plain(text, at, len(text), tokens)
    return tokens


def words(name: str) -> list[Token]:
    """The tokens of a name, without marks and with quotes opened."""
    bare = "".join(" " if c in '"“”„«»' else c for c in name)
    tokens: list[Token] = []
    _plain(bare, 0, len(bare), tokens)
    return [token for token in tokens if token.kind != "mark"]


def _plain(text: str, at: int, end: int, tokens: list[Token]) -> None:
    while at < end:
        character = text[at]
        if character.isalnum():
            at = _word(text, at, end, tokens)
        elif character in _APOSTROPHES and (year := _SHORT_YEAR.match(text, at, end)):
            tokens.append(_token("word", at, year.end(), text[at : year.end()], "'" + year[1]))
            at = year.end()
        else:
            after = at + 1
            if character in _DASHES:
                _dash(text, at, end, tokens)
            elif character in _MARKS:
                tokens.append(_token("mark", at, after, character, _MARKS[character]))
            elif unicodedata.category(character) == "So":
                after = _emoji(text, at, end, tokens)
            at = after


def _token(kind: TokenKind, start: int, end: int, raw: str, key: str) -> Token:
    return Token(kind, start, end, raw, key, singular(key) if kind == "word" else key)


def _in_word(character: str) -> bool:
    return character.isalnum() or (
        not character.isascii() and (unicodedata.category(character)[0] == "M" or character in "\u200c\u200d")
    )


def _word(text: str, at: int, end: int, tokens: list[Token]) -> int:
    start = at
    while at < end and (_in_word(text[at]) or (text[at] in _APOSTROPHES and at + 1 < end and text[at + 1].isalnum())):
        at += 1
    raw = text[start:at]
    if raw in {"s", "S"} and tokens and tokens[-1].raw.isalpha() and len(tokens[-1].raw) > 1 and text[start - 1] == " ":
        tokens.append(_token("word", start, at, raw, "'s"))  # Anna s birthday, as it is heard
        return at
    before = tokens[-1] if tokens else None
    joined = before and _HEARD_APART.get((before.key, raw.lower()))
    if before and joined and text[before.end : start] == " ":
        tokens[-1] = _token("word", before.start, at, text[before.start : at], joined)
        return at
    if len(raw) > 2 and raw[-1] in "sS" and raw[-2] in _APOSTROPHES:
        tokens.append(_token("word", start, at - 2, raw[:-2], fold(raw[:-2])))
        tokens.append(_token("word", at - 2, at, raw[-2:], "'s"))
        return at
    tokens.append(_token("word", start, at, raw, fold(raw)))
    if raw[-1] in "sS" and at < end and text[at] in _APOSTROPHES:  # the parents' house
        tokens.append(_token("word", at, at + 1, text[at], "'s"))
        at += 1
    return at


def _dash(text: str, at: int, end: int, tokens: list[Token]) -> None:
    """A dash between letters joins a word; between digits or spaces it says "to" or breaks the sentence."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2] if at + 1 < end else ""
    if (before.isdigit() and after.isdigit()) or ((not before or before.isspace()) and (not after or after.isspace())):
        tokens.append(_token("mark", at, at + 1, text[at], "-"))
    elif text[at] in "–—―":
        tokens.append(_token("mark", at, at + 1, text[at], "-"))


def _emoji(text: str, at: int, end: int, tokens: list[Token]) -> int:
    after = at + 1
    while after < end and (text[after] in "\u200d\ufe0f" or unicodedata.category(text[after]) in ("Sk", "Mn")):
        after += 1
    character = text[at]
    named = unicodedata.name(character, "").lower().replace("-", " ").split()
    spoken = _EMOJI.get(character) or " ".join(word for word in named if word not in _EMOJI_NOISE)
    if spoken and (ord(character) >= 0x1F300 or character in _EMOJI):
        tokens.append(_token("emoji", at, after, text[at:after], spoken))
    return after
