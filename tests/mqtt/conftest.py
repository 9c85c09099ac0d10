"""The broker fixtures, for the tests of this folder."""

from tests.broker_fixtures import mosquitto

__all__ = ["mosquitto"]
