"""What models say around a caption goes, the caption stays; and names, place and time come into it."""

import pytest

from framed.analysis.captions import NoCaption, names, sentence, told, unnamed

CAT = "A tabby cat sleeps on a red sofa"


@pytest.mark.parametrize(
    "answer",
    [
        "A tabby cat sleeps on a red sofa.",
        '"A tabby cat sleeps on a red sofa."',
        "“A tabby cat sleeps on a red sofa.”",
        "Here's a detailed description of the image:\n\nA tabby cat sleeps on a red sofa.",
        "Here is a caption for your photo: A tabby cat sleeps on a red sofa.",
        "Sure! Here's a plain sentence describing the photo:\n\n**A tabby cat sleeps on a red sofa.**",
        "Certainly, here is the description:\n> A tabby cat sleeps on a red sofa.",
        "Caption: A tabby cat sleeps on a red sofa.",
        "**Caption:** A tabby cat sleeps on a red sofa.",
        "## Description\n\nDescription: *A tabby cat sleeps on a red sofa.*",
        "The image shows a tabby cat sleeps on a red sofa.",
        "This photo depicts a tabby cat sleeps on a red sofa.",
        "In this image, we can see a tabby cat sleeps on a red sofa.",
        "In the picture there is a tabby cat sleeps on a red sofa.",
        "A photo of a tabby cat sleeps on a red sofa.",
        "This is an image of a tabby cat sleeps on a red sofa.",
        "<think>The user wants a caption. The image shows a cat.</think>\n\nA tabby cat sleeps on a red sofa.",
        '```json\n{"caption": "A tabby cat sleeps on a red sofa."}\n```',
        '{"description": "The image shows a tabby cat sleeps on a red sofa."}',
        "- A tabby cat sleeps on a red sofa.",
        "1. A tabby cat sleeps on a red sofa.\n2. A cat naps.",
        "A tabby cat sleeps on a red sofa.<|im_end|>",
        "A tabby cat sleeps on a red sofa. Let me know if you'd like more detail!",
    ],
)
def test_what_a_model_says_around_a_caption_goes(answer: str) -> None:
    assert sentence(answer) == CAT


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "no words"),
        ("  \n ", "no words"),
        ("...", "no words"),
        ("Here is the description:", "no words"),
        ("<think>It is a cat. I should", "no words"),
        ('{"caption": null}', "no words"),
        ("I'm sorry, but I can't help with identifying people in images.", "would not"),
        ("I cannot describe this image.", "would not"),
        ("As an AI language model, I can't see pictures.", "would not"),
        ("I don't see an image attached. Please upload it.", "would not"),
        ("Unfortunately, I am unable to view the image.", "would not"),
        ("a dog and a dog and a dog and a dog and a dog and a dog", "over and over"),
        ("the the the the the the the the", "over and over"),
    ],
)
def test_an_answer_without_a_caption_is_none_and_says_why(answer: str, says: str) -> None:
    with pytest.raises(NoCaption, match=says):
        sentence(answer)


def test_a_caption_ends_with_a_sentence_within_its_length() -> None:
    text = "A dog runs along the beach at low tide. Behind it the sun goes down. Far off, a ship is passing by."
    assert sentence(text, 70) == "A dog runs along the beach at low tide. Behind it the sun goes down."
    assert sentence(text, 40) == "A dog runs along the beach at low tide"


def test_one_sentence_that_is_too_long_is_cut_between_words() -> None:
    words = "A very long walk through the woods, past the old mill and over the bridge " * 10
    cut = sentence(words, 100)
    assert len(cut) <= 100
    assert cut.endswith("…")
    assert words.startswith(cut[:-1])


def test_a_sentence_that_the_model_could_not_finish_is_left_out() -> None:
    assert sentence("Two boats lie in the harbour. In the back, a row of col") == "Two boats lie in the harbour"


def test_a_shortened_word_ends_no_sentence() -> None:
    assert sentence("St. Mark's Square lies under water. Dr. Who", 300) == "St. Mark's Square lies under water"


def test_a_hostile_answer_takes_no_time() -> None:
    with pytest.raises(NoCaption):
        sentence("<think>" * 100_000)
    assert len(sentence("word " + "x" * 50_000)) <= 300


FACTS = {"place": "Florence, Italy", "time": "on a summer evening in 2019", "year": "2019"}


def say(seen: str, *people: str) -> str:
    return told(seen, people=people, **FACTS)


def test_what_the_model_did_not_say_is_added() -> None:
    assert say("A cat on a sofa") == "A cat on a sofa in Florence, Italy, on a summer evening in 2019"
    assert say("A cat in Florence in 2019") == "A cat in Florence in 2019"


def test_a_name_takes_the_place_of_the_only_one_it_can_be() -> None:
    assert say("A young woman standing by a wall", "Anna").startswith("Anna standing by a wall in Florence")
    assert say("Two people at a table", "Anna", "Ben").startswith("Anna and Ben at a table in Florence")
    assert say("A man and a woman dancing", "Anna", "Ben").startswith("Anna and Ben dancing")


def test_a_name_is_added_where_it_could_be_one_of_several() -> None:
    assert say("A group of people in front of a church", "Anna", "Ben") == (
        "A group of people in front of a church in Florence, Italy,"
        " among them Anna and Ben, on a summer evening in 2019"
    )
    assert say("A woman's hand holding a cup", "Anna").startswith(
        "A woman's hand holding a cup in Florence, Italy, with Anna"
    )


def test_a_name_that_was_said_is_not_said_again() -> None:
    assert say("Anna laughs in Florence in 2019", "Anna Berg") == "Anna laughs in Florence in 2019"
    assert say("A walking tour in Florence in 2019", "Al").endswith("with Al")


def test_long_captions_stay_as_they_are_but_for_names() -> None:
    long = "Someone stands on a hill. Behind lies the sea."
    assert say(long) == long
    assert say(long, "Anna", "Ben") == "Someone stands on a hill. Behind lies the sea. With Anna and Ben"


def test_meaning_knows_no_names() -> None:
    assert unnamed("Anna Berg and Ben at the sea, Anna laughing.", ["Anna Berg", "Ben"]) == (
        "a person and a person at the sea, a person laughing"
    )
    assert names("O'Neil's boat", "O'Neil")
    assert not names("Benches in a park", "Ben")
