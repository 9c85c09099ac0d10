"""The table of sentences: what each one fills in, and nothing else."""

from pathlib import Path

import pytest

from framed.playlists import grammar_requests, grammar_words
from framed.playlists.grammar import QueryPlan, say
from framed.playlists.grammar_tokens import tokenise
from tests.playlists.library import slots, understood


def _table() -> dict[str, dict[str, list[str]]]:
    lines = (Path(__file__).parent / "sentences.txt").read_text("utf-8").splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    return {text: _fields(fields.strip()) for text, fields in zip(rows[::2], rows[1::2], strict=True)}


def _fields(line: str) -> dict[str, list[str]]:
    pairs = [field.split("=", 1) for field in line.split(" | ") if line != "-"]
    return {name: values.split("; ") for name, values in pairs}


TABLE = _table()
KNOWN_FILLER = (
    grammar_words.FUNCTION_WORDS
    | grammar_words.PHOTO_WORDS
    | grammar_words.FRAME_WORDS
    | grammar_words.ALL_RELATIVES
    | grammar_words.ASSISTANTS
    | {"only", "just", "all"}
    | {
        word
        for listed in (
            grammar_words.FILLERS,
            grammar_words.COMMANDS,
            grammar_words.NEGATORS,
            grammar_requests.NAMING,
        )
        for phrase in listed
        for word in phrase
    }
)


def _pairs(table: dict[str, dict[str, list[str]]]) -> set[tuple[str, str, str]]:
    return {
        (text, name, value) for text, fields in table.items() for name, values in fields.items() for value in values
    }


def _unaccounted(plan: QueryPlan) -> list[str]:
    """Words that no span covers and that are no known filler."""
    covered = {at for span in plan.spans for at in range(span.start, span.end)}
    return [
        token.raw
        for token in tokenise(plan.text)
        if token.kind != "mark" and token.start not in covered and token.key not in KNOWN_FILLER
    ]


@pytest.mark.parametrize(("text", "fields"), TABLE.items(), ids=list(TABLE))
def test_sentence_fills_exactly_these_fields(text: str, fields: dict[str, list[str]]) -> None:
    assert slots(understood(text)) == fields


def test_slot_f1_over_the_table_is_one() -> None:
    expected = _pairs(TABLE)
    filled = _pairs({text: slots(understood(text)) for text in TABLE})
    right = len(expected & filled)

    assert 2 * right / (len(expected) + len(filled)) == 1.0
    assert len(TABLE) >= 120


@pytest.mark.parametrize("text", TABLE)
def test_no_word_is_lost(text: str) -> None:
    assert _unaccounted(understood(text)) == []


@pytest.mark.parametrize("text", TABLE)
def test_plan_survives_json_and_can_be_said(text: str) -> None:
    plan = understood(text)

    assert QueryPlan.model_validate_json(plan.model_dump_json()) == plan
    assert say(plan)


@pytest.mark.parametrize("text", TABLE)
def test_spans_quote_the_text(text: str) -> None:
    plan = understood(text)

    assert all(plan.text[span.start : span.end] == span.text for span in plan.spans)
    assert {span.slot for span in plan.spans} <= set(QueryPlan.model_fields)
