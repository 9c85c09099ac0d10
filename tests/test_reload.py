"""A new configuration is handed to the parts that follow it; the rest is said, key by key."""

from pathlib import Path
from typing import cast

import pytest

from framed.assembly import Assembly
from framed.config import Config, load
from framed.errors import ConfigError, Unavailable
from framed.parts import parts_of
from framed.reload import FIXED, Part, Reload, leaves, under


def config(**sections: object) -> Config:
    return Config.model_validate(sections)


@pytest.mark.parametrize("key", sorted(leaves(Config())))
def test_every_key_is_followed_or_said_to_need_a_restart(key: str) -> None:
    followed = [own for part in parts_of(cast(Assembly, None)) for own in part.keys]
    assert any(under(key, own) for own in [*followed, *(fixed.key for fixed in FIXED)])


async def test_only_the_parts_whose_keys_changed_hear_of_it() -> None:
    heard: list[str] = []

    def part(*keys: str) -> Part:
        async def apply(old: Config, new: Config) -> None:
            heard.append(" ".join(keys))

        return Part(keys, apply)

    new = config(ask={"timezone": "Europe/Berlin"}, mqtt={"tls": {"insecure": True}})
    reload = Reload(config(), lambda: new, [part("ask"), part("library"), part("mqtt", "ask.timezone")])

    done = await reload.now()

    assert heard == ["ask", "mqtt ask.timezone"]
    assert done.changed == ["mqtt.tls.insecure", "ask.timezone"]
    assert reload.config == new
    assert (await reload.now()).speech == "Nothing has changed in the configuration."


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"data_dir": "/elsewhere"}, "data_dir needs a restart: everything framed knows lies in that folder."),
        ({}, {"http": {"port": 8000}}, "http.port needs a restart: the web server keeps its address."),
        ({}, {"mqtt": {"port": 1884}}, "mqtt.port needs a restart: framed's own broker keeps its address."),
        ({}, {"mqtt": {"host": "broker.lan"}}, "mqtt.host needs a restart: framed's own broker and yours"),
    ],
)
async def test_what_cannot_change_while_it_runs_is_said_and_stays(
    before: dict[str, object], after: dict[str, object], said: str
) -> None:
    old = config(**before)
    reload = Reload(old, lambda: config(**after), [])

    done = await reload.now()

    assert [sentence.startswith(said) for sentence in done.restart] == [True]
    assert reload.config == old
    assert reload.problems == done.restart


async def test_the_address_of_your_own_broker_may_change() -> None:
    new = config(mqtt={"host": "other.lan", "port": 1884})
    reload = Reload(config(mqtt={"host": "broker.lan"}), lambda: new, [])

    assert (await reload.now()).restart == []
    assert reload.config == new


async def test_a_mistake_leaves_everything_as_it_was_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("slideshow:\n  interval_s: soon\n")
    reload = Reload(config(), lambda: load(file), [])

    with pytest.raises(ConfigError):
        await reload.now()
    assert reload.config == config()
    assert "config.yaml, line 2: slideshow.interval_s:" in reload.problems[0]

    file.write_text("slideshow:\n  interval_s: 60\n")
    await reload.now()
    assert reload.problems == []
    assert reload.config.slideshow.interval_s == 60


async def test_a_part_that_fails_is_said_and_keeps_no_other_from_its_own() -> None:
    heard: list[int] = []

    async def failing(old: Config, new: Config) -> None:
        raise Unavailable("There is no backend 'x' for tags.")

    async def broken(old: Config, new: Config) -> None:
        raise ZeroDivisionError

    async def working(old: Config, new: Config) -> None:
        heard.append(new.slideshow.interval_s)

    parts = [Part(("slideshow",), failing), Part(("slideshow",), broken), Part(("slideshow",), working)]
    reload = Reload(config(), lambda: config(slideshow={"interval_s": 60}), parts)

    done = await reload.now()

    assert heard == [60]
    assert done.problems == [
        "slideshow: There is no backend 'x' for tags.",
        "slideshow could not be changed; framed's log says why.",
    ]
    assert reload.problems == done.problems
