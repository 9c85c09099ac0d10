import pytest

from framed.errors import BadRequest
from framed.mqtt.topics import Address, Topics, check_transaction

TOPICS = Topics()


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        ("framed/request/ask", Address("request", verb="ask")),
        ("framed/request/library/rescan", Address("request", verb="library/rescan")),
        ("framed/request/no such verb", Address("request", verb="no such verb")),
        ("framed/request/", Address("request", verb="unknown")),
        ("framed/request/a\x00b", Address("request", verb="unknown")),
        ("framed/request/" + "x" * 65, Address("request", verb="unknown")),
        ("framed/frame/hall/hello", Address("hello", frame="hall")),
        ("framed/frame/hall/availability", Address("availability", frame="hall")),
        ("framed/frame/hall/report", Address("report", frame="hall")),
        ("framed/frame/hall/set", Address("set", frame="hall")),
        ("framed/frame/hall/cmd", Address("cmd", frame="hall")),
        ("framed/frame/hall/ask", Address("ask", frame="hall")),
        ("homeassistant/status", Address("home_assistant")),
        ("framed/status", Address("status")),
    ],
)
def test_topic_of_the_contract_is_understood(topic: str, address: Address) -> None:
    assert TOPICS.parse(topic) == address


@pytest.mark.parametrize(
    "topic",
    [
        "framed/frame/Hall/hello",
        "framed/frame/../hello",
        "framed/frame/hall/show",
        "framed/frame/hall/set/more",
        "framed/event",
        "framedx/request/ask",
        "other/request/ask",
        "",
    ],
)
def test_topic_outside_the_contract_is_none(topic: str) -> None:
    assert TOPICS.parse(topic) is None


@pytest.mark.parametrize(
    ("topic", "frame"),
    [
        ("framed/frame/hall/show", "hall"),
        ("framed/frame/hall/image/data", "hall"),
        ("framed/frame/hall", "hall"),
        ("framed/frame/Hall/show", None),
        ("framed/frame/", None),
        ("framed/frames/hall", None),
        ("framed/library", None),
        ("homeassistant/frame/hall/config", None),
    ],
)
def test_the_frame_that_a_topic_is_about(topic: str, frame: str | None) -> None:
    assert TOPICS.frame_of(topic) == frame


@pytest.mark.parametrize("frame", ["", "Hall", "a/b", "a+", "#", "ü", "x" * 33, "hall\n"])
def test_frame_id_that_is_no_slug_never_becomes_a_topic(frame: str) -> None:
    with pytest.raises(BadRequest) as refused:
        TOPICS.show(frame)
    assert refused.value.field == "frame"


@pytest.mark.parametrize("transaction", ["", "a b", "a/b", "x" * 65, "a\n", "é"])
def test_transaction_of_other_characters_is_refused(transaction: str) -> None:
    with pytest.raises(BadRequest):
        check_transaction(transaction)


@pytest.mark.parametrize("base", ["", "/framed", "framed/", "framed/#", "+", "$SYS", "a b", "a//b", "a/b/c/d/e"])
def test_base_that_would_break_topics_is_refused(base: str) -> None:
    with pytest.raises(BadRequest):
        Topics(base)


def test_daemon_subscribes_named_filters_and_never_the_whole_base() -> None:
    filters = [subscription.filter for subscription in TOPICS.subscriptions()]
    assert "framed/#" not in filters
    assert "framed/request/#" in filters
    assert "framed/frame/+/hello" in filters
    assert not any(wanted.startswith("framed/frame/#") for wanted in filters)


def test_states_of_frames_may_be_retained_and_commands_not() -> None:
    command = {subscription.filter: subscription.command for subscription in TOPICS.subscriptions()}
    assert not command["framed/frame/+/hello"]
    assert not command["framed/frame/+/availability"]
    assert all(command[f"framed/frame/+/{leaf}"] for leaf in ("report", "set", "cmd", "ask"))
    assert command["framed/request/#"]


def test_frame_subscribes_to_no_wildcard() -> None:
    for delivery in ("url", "mqtt"):
        filters = [wish.filter for wish in TOPICS.frame_subscriptions("hall", delivery=delivery)]
        assert not any("+" in wanted or "#" in wanted for wanted in filters)


def test_other_base_and_prefix_hold_everywhere() -> None:
    topics = Topics("home/photos", discovery="ha", home_assistant_status="ha/birth")
    assert topics.show("hall") == "home/photos/frame/hall/show"
    assert topics.discovery("ab", "hall") == "ha/device/framed_ab_hall/config"
    assert topics.parse("home/photos/request/ask") == Address("request", verb="ask")
    assert topics.parse("ha/birth") == Address("home_assistant")


def test_removed_frame_leaves_no_retained_topic() -> None:
    cleared = TOPICS.retained_of_frame("hall", instance="ab")
    assert "framed/frame/hall/show" in cleared
    assert "homeassistant/device/framed_ab_hall/config" in cleared


@pytest.mark.parametrize("topic", ["my/app/answers", "framed/response/ask", "zigbee/x"])
def test_answer_may_go_to_the_requesters_own_topic(topic: str) -> None:
    assert TOPICS.may_answer(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "framed",
        "framed/status",
        "framed/frame/hall/show",
        "homeassistant/device/x/config",
        "$SYS/x",
        "a/+",
        "a/#",
        "a\x00",
    ],
)
def test_requester_cannot_have_its_answer_written_over_state(topic: str) -> None:
    assert not TOPICS.may_answer(topic)
