"""Two clients with one id: told from ordinary losses, said with what to do, and no fight."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from framed.mqtt.client import MqttClient
from framed.mqtt.rival import UNEXPLAINED, Rival
from framed.mqtt.settings import MqttSettings
from framed.mqtt.topics import Topics
from framed.mqtt.trouble import PACKET_TOO_LARGE, TAKEN_OVER
from tests.broker_fixtures import Mosquitto, retained

TOPICS = Topics()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # the client's state has no event for each change
            await asyncio.sleep(0.01)


def client(port: int, protocol: str) -> MqttClient:
    async def ignore(incoming: object) -> None:
        return

    settings = MqttSettings.model_validate({"port": port, "protocol": protocol, "client_id": "framed-home"})
    return MqttClient(
        settings,
        status_topic=TOPICS.status,
        subscriptions=(),
        on_message=ignore,
        backoff_s=(0.01, 0.1),
        away_s=(0.2, 0.4),
    )


def is_away(one: MqttClient) -> bool:
    return "allows only one at a time" in str(one.state.last_error)


def is_settled(one: MqttClient) -> bool:
    return one.connected or is_away(one)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_of_two_with_one_id_one_stays_and_the_other_waits_for_its_end(
    mosquitto: Mosquitto, protocol: str
) -> None:
    pair = [client(mosquitto.port, protocol) for _ in range(2)]
    for one in pair:
        await one.start()
        await until(partial(is_settled, one))
    await until(lambda: any(is_away(one) for one in pair) and any(one.connected for one in pair))
    winner, loser = sorted(pair, key=is_away)
    fought = winner.state.reconnects + loser.state.reconnects
    sentence = str(loser.state.last_error)
    seen = await retained(mosquitto.port, TOPICS.status)
    with capture_logs() as logs:
        await until(lambda: [entry["event"] for entry in logs].count("the other MQTT client is still there") == 3)
    quiet = winner.state.reconnects + loser.state.reconnects

    await winner.close()
    await until(lambda: loser.connected)
    await loser.close()

    assert "instance" in sentence
    assert seen == {TOPICS.status: b"online"}
    assert quiet == fought
    assert await retained(mosquitto.port, TOPICS.status) == {TOPICS.status: b"offline"}


def test_a_broker_that_says_so_is_believed_at_once() -> None:
    rival = Rival()
    rival.lost(TAKEN_OVER)
    assert rival.here


def test_four_quick_losses_are_a_rival_and_slow_ones_are_a_bad_network() -> None:
    clock = Clock()
    quick, slow = Rival(clock), Rival(clock)
    for _ in range(4):
        quick.lost(UNEXPLAINED)
    for _ in range(12):
        clock.now += 60
        slow.lost(UNEXPLAINED)

    assert (quick.here, slow.here) == (True, False)


def test_a_broker_that_restarts_or_a_message_that_it_hangs_up_on_is_no_rival() -> None:
    restarting, choking, explained = Rival(), Rival(), Rival()
    for _ in range(8):
        restarting.lost(UNEXPLAINED)
        restarting.unreachable()
        choking.lost(UNEXPLAINED, explained=True)
        explained.lost(PACKET_TOO_LARGE)

    assert [rival.here for rival in (restarting, choking, explained)] == [False] * 3
