"""README, docs/contract.md and the unit say what the code does: names, options, keys, topics, addresses."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from typer.main import get_command

from framed import contract
from framed.cli import app
from framed.config import Config, load
from framed.mqtt.topics import Topics
from framed.web.api import STATUS_OF_CODE
from framed.web.server import WebOptions, WebServer
from tests.web.fakes import Folder, Gate, Tokens, Verbs, Vitals

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
GROUPED = {name: [command, *getattr(command, "commands", {}).values()] for name, command in COMMANDS.items()}
OPTIONS = {
    name: {o for command in commands for p in command.params for o in p.opts} | {"--help"}
    for name, commands in GROUPED.items()
}
CODE = re.findall(r"`([^`\n]+)`", README) + re.findall(r"^ {4}(.+)$", README, re.M)
"""Everything in README that is written as code: spans and blocks."""
SENTENCES = ("framed is ", "framed runs ", "framed refuses ")
CALLS = sorted({call for text in CODE for call in re.findall(r"(?:^|[\s(/])(framed [a-z]+\b[^|`#)]*)", text)})
CALLS = [call for call in CALLS if not call.startswith(SENTENCES)]


def _keys(model: type[BaseModel], at: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        found.add(f"{at}{name}")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _keys(field.annotation, f"{at}{name}.")
    return found


def test_the_contract_document_is_the_codes() -> None:
    assert (ROOT / "docs" / "contract.md").read_text() == contract.markdown(), "run: make docs"


def test_every_request_is_explained_and_none_is_invented() -> None:
    known = contract.verbs()

    assert {verb for verb, (_, words) in known.items() if not words} == set()
    assert set(contract.VERBS) <= set(known)
    assert not set(contract.LATER) & set(known)


def test_every_error_code_is_explained() -> None:
    assert set(contract.ERRORS) == contract.codes() | {"internal"}
    assert set(contract.ERRORS) == set(STATUS_OF_CODE)


def test_the_topics_are_those_of_the_code() -> None:
    topics = Topics()
    named = {name: getattr(topics, name) for name in dir(topics) if not name.startswith("_")}
    leaves = "hello availability show playlist image control report state thumb set cmd ask".split()
    written = {value for value in named.values() if isinstance(value, str) and "/" in value}
    written |= {named[leaf]("f0").replace("f0", "<f>") for leaf in leaves}
    written |= {topics.request("<verb>"), topics.response("<verb>")}
    written |= {topics.reply_to("t").replace("/t", "/<transaction>"), topics.job("id").replace("/id", "/<id>")}
    written |= {topics.discovery("i0").replace("i0", "<inst>[_<f>]")}

    assert {topic.topic for topic in contract.TOPICS} == written


async def test_the_addresses_are_those_of_the_web_server(tmp_path: Path) -> None:
    pictures = Folder(tmp_path)
    server = WebServer(
        options=WebOptions(port=0),
        api=Verbs(),
        pictures=pictures,
        gate=Gate(pictures),
        tokens=Tokens(),
        health=Vitals(),
        admin_token="0123456789abcdef",
    )
    application: web.Application = await server._application()
    served = {
        (route.method, route.resource.canonical)
        for route in application.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }

    assert {(route.method, route.path) for route in contract.ROUTES} == served


@pytest.mark.parametrize("call", CALLS)
def test_commands_in_the_readme_exist_with_their_options(call: str) -> None:
    name = call.split()[1]
    used = set(re.findall(r"(?<!\S)--[a-z-]+", call))

    assert name in COMMANDS
    assert used <= OPTIONS[name]


def test_every_command_is_in_the_readme() -> None:
    assert set(COMMANDS) <= {call.split()[1] for call in CALLS}


def test_options_in_the_readme_exist() -> None:
    every = set().union(*OPTIONS.values())
    used = {option for text in CODE for option in re.findall(r"(?:^|\s)(--[a-z][a-z-]+)", text)}

    assert used - {"--system", "--user-group", "--now"} <= every  # of useradd and systemctl


def test_keys_in_the_readme_exist() -> None:
    sections = "|".join(name for name, f in Config.model_fields.items() if isinstance(f.annotation, type))
    used = {key for text in CODE for key in re.findall(rf"(?<![\w/.])((?:{sections})\.[a-z_]+)\b(?!/)", text)}

    assert "mqtt.bind" in used
    assert used - {"config.yaml"} <= _keys(Config)


def test_the_configuration_in_the_readme_is_a_valid_one(tmp_path: Path) -> None:
    blocks = re.findall(r"^    [a-z]+:\n(?:    .*\n)+", README, re.M)
    (tmp_path / "secrets.yaml").write_text("mqtt: word\n")
    (tmp_path / "config.yaml").write_text("".join(re.sub(r"^    ", "", block, flags=re.M) for block in blocks))
    config = load(tmp_path / "config.yaml")

    assert len(blocks) == 1
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "word"
    assert [frame.id for frame in config.frames] == ["kitchen"]


def test_topics_in_the_readme_exist() -> None:
    words = {word for text in CODE for word in re.split(r"[\s:]+", text)}
    used = {word for word in words if re.fullmatch(r"framed/[a-z/<>]+", word) and not (ROOT / word).exists()}

    assert "framed/frame/<f>/cmd" in used
    assert used - {"framed/request/ask"} <= {topic.topic for topic in contract.TOPICS}


def test_files_and_folders_in_the_readme_exist() -> None:
    named = {text for text in CODE if re.fullmatch(r"(framed|tests|docs|systemd|\.ci)/[\w./-]+", text)}
    named -= {topic.topic for topic in contract.TOPICS} | {"framed/request/ask"}
    linked = set(re.findall(r"\]\(([^)h#][^)]*)\)", README))

    assert {path for path in named | linked if not (ROOT / path).exists()} == set()


def test_targets_and_variables_of_make_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {word for text in CODE for word in re.findall(r"(?:^|\s)make ([a-z-]+)", text)}
    variables = {word for text in CODE for word in re.findall(r"\b([A-Z]+(?:_[A-Z]+)*)=", text)}

    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert variables <= set(re.findall(r"\$[($]([A-Z_]+)", makefile))


def test_the_defaults_in_the_readme_are_the_codes() -> None:
    config = Config()

    assert f"`~/.local/share/framed`,\n{config.http.port} and {config.mqtt.port}" in README
    assert config.data_dir == Path("~/.local/share/framed").expanduser()
    assert config.library.confirm_deletion_s == 1800.0  # “after half an hour”
    assert config.library.poll_interval_s == 60.0  # “every minute”
    assert config.library.settle_s == 2.0  # “two seconds”


def test_the_unit_starts_framed_with_options_that_exist() -> None:
    unit = (ROOT / "systemd" / "framed.service").read_text()
    start = re.search(r"^ExecStart=\S+/framed (\S+) (.*)$", unit, re.M)
    assert start

    assert set(re.findall(r"--\S+", start[2])) <= OPTIONS[start[1]]
