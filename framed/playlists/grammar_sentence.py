"""A sentence being read: its tokens, what is known about it, and the items found so far."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from framed.playlists.dates import DateReader, Found
from framed.playlists.grammar_tokens import Token, tokenise
from framed.playlists.grammar_vocabulary import Vocabulary
from framed.playlists.grammar_words import ARTICLES, FUNCTION_WORDS, PHOTO_WORDS, PREPOSITIONS
from framed.playlists.plan import AskSettings

Slot = Literal[
    "person", "unknown_name", "place", "unknown_place", "folder", "frame", "unknown_frame", "all_frames", "date",
    "count",
    "all", "kind", "people", "nobody", "everyone", "alone", "orientation", "favourites", "quality", "blurry", "colour",
    "mono", "new", "sort", "each", "interval", "named", "must_text", "follow_up", "negator", "only", "and", "or",
    "comma", "stop",
    "but", "preposition", "function", "filler", "photo", "word", "light", "heads", "steer", "question", "correction",
]  # fmt: skip
_CONTEXT = 8  # empty keys after the end, so that looking ahead needs no bounds
_SMALL_WORDS = PREPOSITIONS | ARTICLES | {"and", "or", "is", "are"}  # no one writes these with a capital but in a title
_NO_TOKEN = Token("mark", 0, 0, "", "", "")


@dataclass(slots=True)
class Item:
    """The tokens [first, last) and what they are; `slot` is a field of the plan or a part of speech."""

    slot: Slot
    first: int
    last: int
    ids: tuple[str, ...] = ()
    text: str = ""
    number: int = 0
    found: Found | None = None


class Sentence:
    def __init__(self, text: str, vocabulary: Vocabulary, settings: AskSettings, today: date) -> None:
        self.text = text
        self.tokens: list[Token] = tokenise(text)
        self.vocabulary = vocabulary
        self.settings = settings
        self.keys = [token.key for token in self.tokens] + [""] * _CONTEXT
        self.singulars = [token.singular for token in self.tokens] + [""] * _CONTEXT
        self.dates = DateReader(self.tokens, today, settings)
        self.items: list[Item] = []
        self.problems: list[str] = []
        self.read_as: dict[str, str] = {}
        self.case_tells = self._case_tells()

    def _case_tells(self) -> bool:
        """Whether a capital inside a sentence means something: not in SHOUTING, not In A Title, not all lower case."""
        words = [token for token in self.tokens if token.kind == "word" and token.raw[:1].isalpha()]
        inner = words[1:]
        shouted = len(words) > 1 and all(token.raw.isupper() for token in words)
        titled = any(token.capital and token.key in _SMALL_WORDS for token in inner)
        return any(token.capital for token in inner) and not shouted and not titled

    def token(self, at: int) -> Token:
        return self.tokens[at] if 0 <= at < len(self.tokens) else _NO_TOKEN

    def key(self, at: int) -> str:
        return self.keys[at] if 0 <= at < len(self.keys) else ""

    def starts_clause(self, at: int) -> bool:
        return at == 0 or self.key(at - 1) in {".", ":"} or self.token(at - 1).kind == "quote"

    def named_by_case(self, at: int) -> bool:
        """A capital that a name would have, where capitals tell something."""
        return self.case_tells and self.token(at).capital and not self.starts_clause(at)

    def before(self, at: int) -> str:
        """The key before, with "the", "my" and "our" passed over."""
        at -= 1
        while self.key(at) in {"the", "my", "our", "dear"}:
            at -= 1
        return self.key(at)

    def skip(self, at: int, passed: Iterable[str] = ARTICLES) -> int:
        while self.key(at) in passed:
            at += 1
        return at

    def raw(self, first: int, last: int) -> str:
        """The characters of the tokens [first, last), white space made plain."""
        if first >= last:
            return ""
        return " ".join(self.text[self.tokens[first].start : self.tokens[last - 1].end].split())

    def photo_at(self, at: int) -> bool:
        return self.key(at) in PHOTO_WORDS

    def photo_near(self, at: int, within: int = 3) -> bool:
        """A word for photos at `at` or after a few describing words."""
        if self.key(at) in {"best", "nicest"}:
            at += 1
        if self.keys[at : at + 3] == ["black", "and", "white"]:
            at += 3
        for step in range(within + 1):
            key = self.key(at + step)
            if key in PHOTO_WORDS:
                return True
            if self.token(at + step).kind != "word" or key in PREPOSITIONS or key in {"and", "or", "but", "'s"}:
                return False
        return False

    def plain_word(self, at: int) -> bool:
        """An ordinary word that goes on naming a thing: "table" after "the kitchen"."""
        token = self.token(at)
        return token.kind == "word" and token.key not in FUNCTION_WORDS and token.key not in PHOTO_WORDS
