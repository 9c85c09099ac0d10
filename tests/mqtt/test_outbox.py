import asyncio

import pytest

from framed.errors import Expired, TooLarge, Unavailable
from framed.mqtt.outbox import Outbox, Outgoing


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def online(**limits: int) -> Outbox:
    outbox = Outbox(**limits)
    outbox.greet()
    outbox.open()
    return outbox


async def sent(outbox: Outbox, count: int) -> list[tuple[str, bytes]]:
    taken = [await outbox.take() for _ in range(count)]
    for message in taken:
        outbox.acked(message)
    return [(message.topic, message.payload) for message in taken]


async def test_newest_retained_payload_takes_the_place_of_the_one_not_sent_yet() -> None:
    outbox = online()
    for topic, payload in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        outbox.put(Outgoing(topic, payload, retain=True))
    assert await sent(outbox, 2) == [("a", b"2"), ("b", b"1")]
    assert len(outbox) == 0


async def test_order_holds_over_a_lost_connection() -> None:
    outbox = online()
    for number in range(4):
        outbox.put(Outgoing("e", b"%d" % number))
    first = await outbox.take()
    await outbox.take()
    outbox.acked(first)
    outbox.close()
    outbox.put(Outgoing("e", b"4"))
    outbox.greet()
    outbox.open()
    assert [payload for _, payload in await sent(outbox, 4)] == [b"1", b"2", b"3", b"4"]


async def test_replay_sends_retained_state_once_per_connection() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("state", b"1", retain=True))
    outbox.put(Outgoing("discovery", b"1", retain=True))
    outbox.greet()
    outbox.put(Outgoing("discovery", b"2", retain=True))
    assert await sent(outbox, 1) == [("discovery", b"2")]
    outbox.replay()
    outbox.replay()
    assert await sent(outbox, 1) == [("state", b"1")]
    assert len(outbox) == 0


async def test_events_wait_until_online_is_said() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("event", b"1"))
    outbox.greet()
    outbox.put(Outgoing("event", b"2"))
    outbox.put_once(Outgoing("status", b"online", retain=True))
    outbox.open()
    assert [topic for topic, _ in await sent(outbox, 3)] == ["status", "event", "event"]


async def test_oldest_event_is_dropped_when_too_many_wait() -> None:
    outbox = Outbox(waiting_limit=2)
    for number in range(4):
        outbox.put(Outgoing("e", b"%d" % number))
    outbox.greet()
    outbox.open()
    assert [payload for _, payload in await sent(outbox, 2)] == [b"2", b"3"]
    assert outbox.dropped == 2


async def test_burst_is_bounded_but_never_at_the_cost_of_state() -> None:
    outbox = online(open_limit=2)
    outbox.put(Outgoing("state", b"1", retain=True))
    for number in range(4):
        outbox.put(Outgoing("e", b"%d" % number))
    assert await sent(outbox, 2) == [("state", b"1"), ("e", b"3")]


async def test_expired_message_is_not_sent() -> None:
    clock = Clock()
    outbox = Outbox(clock=clock)
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outbox.put(Outgoing("late", b"1", expires_at=5, waiters=[waiter]))
    outbox.put(Outgoing("late", b"1", retain=True, expires_at=5))
    outbox.put(Outgoing("good", b"1"))
    clock.now = 6
    outbox.greet()
    outbox.replay()
    outbox.open()
    assert await sent(outbox, 1) == [("good", b"1")]
    assert outbox.desired == {}
    with pytest.raises(Expired):
        await waiter


async def test_cleared_topic_is_cleared_on_the_next_connection_and_then_forgotten() -> None:
    outbox = online()
    outbox.put(Outgoing("state", b"1", retain=True))
    await sent(outbox, 1)
    outbox.close()
    outbox.put(Outgoing("state", b"", retain=True))
    outbox.greet()
    outbox.replay()
    assert await sent(outbox, 1) == [("state", b"")]
    assert outbox.desired == {}


async def test_message_that_the_broker_hangs_up_on_is_given_up() -> None:
    outbox = online()
    big = Outgoing("image", b"x" * 100_000, retain=True)
    outbox.put(big)
    for _ in range(3):
        outbox.greet()
        outbox.replay()
        assert await outbox.take() is big
        outbox.close()
    outbox.greet()
    outbox.replay()
    assert len(outbox) == 0
    assert outbox.dropped == 1


async def test_packet_too_large_gives_up_the_largest_at_once() -> None:
    outbox = online()
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outbox.put(Outgoing("small", b"1"))
    outbox.put(Outgoing("big", b"22", waiters=[waiter]))
    await outbox.take()
    await outbox.take()
    outbox.close(too_large=True)
    with pytest.raises(TooLarge):
        await waiter
    outbox.greet()
    outbox.open()
    assert await sent(outbox, 1) == [("small", b"1")]


async def test_caller_that_waits_hears_of_a_dropped_message() -> None:
    outbox = Outbox(waiting_limit=1)
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outbox.put(Outgoing("e", b"1", waiters=[waiter]))
    outbox.put(Outgoing("e", b"2"))
    with pytest.raises(Unavailable):
        await waiter


async def test_message_without_guarantee_does_not_wait_for_a_connection() -> None:
    outbox = Outbox()
    outbox.put(Outgoing("log", b"1", qos=0))
    assert (len(outbox), outbox.dropped) == (0, 0)
