"""The deterministic parser: a request in plain English → query plan, with the library's own names. No I/O, no clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

from framed.errors import BadRequest
from framed.playlists.grammar_fold import Fold
from framed.playlists.grammar_reader import read
from framed.playlists.grammar_say import say
from framed.playlists.grammar_sentence import Sentence
from framed.playlists.grammar_steer import playlist
from framed.playlists.grammar_tokens import clean
from framed.playlists.grammar_vocabulary import Name, Vocabulary
from framed.playlists.plan import TEXT_LIMIT, AskSettings, QueryPlan

__all__ = ["AskSettings", "Name", "QueryPlan", "Vocabulary", "parse", "say"]


def parse(text: str, vocabulary: Vocabulary, settings: AskSettings, now: datetime) -> QueryPlan:
    """What the text asks for, by the calendar of `settings.timezone` at `now`, which knows its offset.

    Raises BadRequest where the text is longer than 1,000 characters, and for nothing else.
    """
    if len(text) > TEXT_LIMIT:
        raise BadRequest(f"The request has {len(text)} characters; at most {TEXT_LIMIT} can be read.", field="text")
    today = now.astimezone(ZoneInfo(settings.timezone)).date()
    sentence = Sentence(clean(text), vocabulary, settings, today)
    read(sentence)
    plan = Fold(sentence).plan()
    named = playlist(sentence) if plan.steer is None else None
    if named is None:
        return plan
    name, frame = named
    labels = {f"frames:{frame}": vocabulary.labels.get(f"frames:{frame}", frame)} if frame else {}
    where = {"frame": plan.frame or frame, "labels": {**plan.labels, **labels}}
    return plan.model_copy(update={"steer": "play", "steer_to": name, **where})
