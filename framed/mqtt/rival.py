"""Tells another client with our client id from an ordinary loss, so that the two do not fight over it for ever.

A broker hangs up on the older of two clients with one id. Newer brokers say so in MQTT 5; Mosquitto 2.0 does not, and
3.1.1 cannot. There it shows in connections that end one after the other soon after they were made, while the broker
takes each next one at once.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from framed.mqtt.settings import MqttSettings
from framed.mqtt.trouble import TAKEN_OVER

_LOSSES: Final = 4
_WITHIN_S: Final = 120.0
UNEXPLAINED: Final = 0x80
"""The reason that paho gives where the broker hung up without one."""
AWAY_AT_MOST_S: Final = 3_600.0
"""After so long without a look at the id itself it is tried: the status that was seen may be left over."""


class Rival:
    """`lost` and `unreachable` say what happened; `here` whether another client wants our id."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._losses: deque[float] = deque(maxlen=_LOSSES)
        self.here = False

    def lost(self, reason: int | None, *, explained: bool = False) -> None:
        """A connection that stood has ended. `explained`: something else may be the cause, such as a large message."""
        now = self._clock()
        if reason == TAKEN_OVER:
            self.here = True
        elif explained or reason not in (None, UNEXPLAINED):
            self._losses.clear()
        else:
            self._losses.append(now)
            self.here = len(self._losses) == _LOSSES and now - self._losses[0] < _WITHIN_S

    def unreachable(self) -> None:
        """No connection could be made: then the broker, or the way to it, is what breaks them."""
        self._losses.clear()

    def gone(self) -> None:
        self._losses.clear()
        self.here = False


def why_away(settings: MqttSettings, away_s: float, remedy: str) -> str:
    minutes = max(1, round(away_s / 60))
    return (
        f"Another MQTT client uses the client id {settings.client_id!r}, and the broker allows only one at a time:"
        f" {remedy}. This one keeps away and looks again in {minutes} min."
    )
