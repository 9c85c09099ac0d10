"""MiniLM in NumPy gives the vectors of the model it stands for."""

import numpy as np
import pytest

from framed.errors import Cancelled
from framed.models.base import Context
from framed.models.text_minilm import DIMENSIONS, MiniLM

pytestmark = pytest.mark.models

# The first eight values of transformers' own BertModel on these weights, mean over tokens, length 1.

RECORDED = {
    "a dog on the beach": [-0.00192, -0.00108, 0.06845, -0.01435, 0.0239, 0.00924, 0.01698, -0.04541],
    "Anna and Ben with a dog on a beach in Sylt": [
        *(0.01316, 0.02468, 0.07784, 0.05631, 0.01574, -0.00538, 0.08792, -0.06288),
    ],
    "Großmutter im Garten": [-0.0648, 0.10502, -0.02457, -0.03389, -0.0545, 0.04115, 0.20173, -0.00142],
    "sunset over the sea with boats": [0.02147, 0.09144, 0.03169, 0.02603, 0.00599, -0.04034, 0.04271, -0.03628],
}


@pytest.fixture(scope="module")
def model() -> MiniLM:
    backend = MiniLM()
    backend.load({}, "cpu")
    return backend


def vectors(model: MiniLM, *texts: str) -> np.ndarray:
    return model.run({"texts": list(texts)}, Context())["vectors"]


def likeness(model: MiniLM, query: str, *texts: str) -> np.ndarray:
    return vectors(model, *texts) @ vectors(model, query)[0]


def test_it_is_available_where_its_packages_are() -> None:
    assert MiniLM.available() is None


@pytest.mark.parametrize("text", RECORDED)
def test_vectors_equal_the_recorded_ones(model: MiniLM, text: str) -> None:
    assert vectors(model, text)[0, :8] == pytest.approx(RECORDED[text], abs=1e-5)


def test_a_batch_gives_what_each_text_alone_gives(model: MiniLM) -> None:
    texts = [*RECORDED, "dog", "a much longer sentence about a boat that sails on a lake " * 4, "", "…", *RECORDED] * 2
    together = vectors(model, *texts)
    alone = np.concatenate([vectors(model, text) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_vectors_are_float32_of_length_one_in_the_order_of_the_texts(model: MiniLM) -> None:
    answer = vectors(model, "a cat", "a very long description of a cat that sleeps", "")
    assert answer.dtype == np.float32
    assert answer.shape == (3, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(answer, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(answer[0], vectors(model, "a cat")[0], atol=1e-5)


def test_no_text_gives_no_vector(model: MiniLM) -> None:
    assert vectors(model).shape == (0, DIMENSIONS)


def test_a_text_is_cut_after_128_tokens(model: MiniLM) -> None:
    long, longer = vectors(model, "beach " * 126, "beach " * 126 + "screenshot " * 500)
    np.testing.assert_allclose(long, longer, atol=1e-5)


@pytest.mark.parametrize(
    ("query", "right", "wrong"),
    [
        ("seaside holiday", "a dog on a beach by the sea", "a screenshot of a chat"),
        ("puppy playing", "a dog and a ball in the garden", "a church in an old town"),
        ("wedding", "a bridegroom in a suit", "an espresso in a white cup"),
        ("mountains in winter", "snow, alps, people skiing", "a cat on a sofa"),
        ("something sweet to eat", "ice cream and a birthday cake", "a motorcycle in a garage"),
    ],
)
def test_a_query_is_nearer_to_what_it_means(model: MiniLM, query: str, right: str, wrong: str) -> None:
    near, far = likeness(model, query, right, wrong)
    assert near > far + 0.1


def test_a_cancelled_call_stops_between_batches(model: MiniLM) -> None:
    context = Context(lambda fraction, note: context.cancel())
    with pytest.raises(Cancelled):
        model.run({"texts": ["a dog"] * 40}, context)
