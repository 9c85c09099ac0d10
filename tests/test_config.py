"""config.yaml: the example is complete and true, and a mistake is found by its file, line and key."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from framed import remote
from framed.config import Config, Mqtt, find, load
from framed.errors import ConfigError
from framed.frames.base import Matte, Panel
from framed.frames.palette import PRESETS, inks_of
from framed.frames.registry import FrameConfig, QuietHours
from framed.library.walk import Root
from framed.schedule import ScheduleEntry

LISTED = [Root, FrameConfig, Matte, QuietHours, ScheduleEntry]
EXAMPLE = Path(__file__).parent.parent / "config.yaml.example"


def _leaves(model: BaseModel, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every key of a model and its nested sections, with its default."""
    found: dict[tuple[str, ...], Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        found |= _leaves(value, (*at, name)) if isinstance(value, BaseModel) else {(*at, name): value}
    return found


def _written(data: Any, at: tuple[str, ...]) -> Any:
    for key in at:
        if not isinstance(data, dict) or key not in data:
            return KeyError
        data = data[key]
    return data


def _section(text: str, name: str) -> str:
    """The lines of a top-level section of the example."""
    return re.split(r"^(?=\w)", text[text.index(f"\n{name}:") + 1 :], maxsplit=2, flags=re.M)[1]


def _file(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_the_example_loads_and_is_the_default_configuration() -> None:
    assert load(EXAMPLE) == load(None)


@pytest.mark.parametrize("at", sorted(_leaves(Config())), ids=".".join)
def test_every_key_is_in_the_example_with_its_default(at: tuple[str, ...]) -> None:
    text = EXAMPLE.read_text()
    default = _leaves(Config())[at]
    if default is None:
        assert re.search(rf"^ *# {at[-1]}: \S", _section(text, at[0]), re.M), f"{at} must be there, commented out"
        return
    written = _written(yaml.safe_load(text), at)
    if at == ("data_dir",):
        written = Path(written).expanduser().absolute()
    assert written == default


@pytest.mark.parametrize("at", sorted(_leaves(Config())), ids=".".join)
def test_every_key_is_explained(at: tuple[str, ...]) -> None:
    text = EXAMPLE.read_text()
    if at in {("library", "roots"), ("frames",), ("schedule",)}:
        return  # explained by the comment above, key by key
    section = text if len(at) == 1 else _section(text, at[0])
    assert re.search(rf"^ *(# )?{at[-1]}:.*\S  *# \w|^ *(# )?{at[-1]}: .* # ", section, re.M)


@pytest.mark.parametrize(
    "model", [Root, FrameConfig, Matte, QuietHours, ScheduleEntry], ids=lambda model: model.__name__
)
def test_keys_of_listed_things_are_in_the_example(model: type[BaseModel]) -> None:
    comments = "\n".join(line for line in EXAMPLE.read_text().splitlines() if line.lstrip().startswith("#"))
    missing = [key for key in model.model_fields if not re.search(rf"(# +|- |\{{|, ){key}:", comments)]
    assert not missing


def test_the_listed_root_and_frame_of_the_example_are_valid() -> None:
    lines = [line.lstrip() for line in EXAMPLE.read_text().splitlines()]
    commented = "\n".join(line[1:] for line in lines if re.match(r"#   +(- )?\w+:", line))
    root, frame, *timed = yaml.safe_load(commented)
    assert [ScheduleEntry.model_validate(entry).frame for entry in timed] == ["kitchen"] * 3
    assert Root.model_validate(root).watch == "auto"
    assert FrameConfig.model_validate(frame).matte == Matte()
    panel = Panel(width=800, height=480, palette=frame["palette"], wire_palette=frame["wire_palette"])
    assert inks_of(panel) == PRESETS["spectra6"], "its inks can be had by name, and here one by one"


def test_an_empty_file_is_a_working_one(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "")) == load(None)


def test_a_section_with_every_key_commented_out_means_its_defaults(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "mqtt:\n  # port: 1\n  tls:\nlibrary:\n")) == load(None)


def test_a_key_with_nothing_behind_it_means_its_default(tmp_path: Path) -> None:
    text = "data_dir:\nlibrary:\n  roots:\n  # - ~/Pictures\nframes:\nschedule:\ncaptions: {ollama: }\n"
    assert load(_file(tmp_path, text)) == Config()


def test_a_relative_path_begins_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "ca.pem").touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = "data_dir: data\nmodels: {folder: ~/models}\nmqtt: {tls: {enabled: true, ca: ca.pem}}\n"
    config = load(_file(folder, text))
    assert (config.data_dir, config.mqtt.tls.ca) == (folder / "data", folder / "ca.pem")
    assert config.models.folder == Path("~/models").expanduser()
    assert load(folder / "config.yaml", {"data_dir": "here"}).data_dir == tmp_path / "elsewhere" / "here"
    assert remote.where(folder / "config.yaml", None, None).data == folder / "data", "the commands look there, too"


def test_off_and_no_are_words_and_switches_alike(tmp_path: Path) -> None:
    text = """
    library: {roots: [{path: /photos, watch: off, follow_symlinks: yes}]}
    models: {ocr: off, faces: no, caption: false, traits: off}
    frames: [{id: no, name: On, aliases: [Trueman]}]
    http: {open_lan: on}
    """
    config = load(_file(tmp_path, text))
    assert (config.library.roots[0].watch, config.library.roots[0].follow_symlinks) == ("off", True)
    assert [config.models.choices()[task] for task in ("ocr", "faces", "caption", "traits")] == ["off"] * 4
    frame = config.frames[0]
    assert (frame.id, frame.name, frame.aliases, config.http.open_lan) == ("no", "On", ["Trueman"], True)


def test_a_time_of_day_needs_no_quotes(tmp_path: Path) -> None:
    config = load(_file(tmp_path, "frames:\n- id: a\n  name: 12:30\n  quiet_hours: {start: 22:30, end: 07:00}\n"))
    assert config.frames[0].name == "12:30"
    assert config.frames[0].quiet_hours is not None
    assert str(config.frames[0].quiet_hours.start) == "22:30:00"


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    config = load(_file(tmp_path, "http: {port: 1000, open_lan: true}\n"), {"http": {"port": 2000}})
    assert (config.http.port, config.http.open_lan) == (2000, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http:\n  port: 99999\n", r"config\.yaml, line 2: http\.port: .*65535"),
        ("http:\n  prot: 1\n", r"config\.yaml, line 2: http\.prot: there is no such key; did you mean http\.port\."),
        ("htp: {port: 1}\n", r"config\.yaml, line 1: htp: there is no such key; did you mean http\."),
        ("timezone: UTC\n", r"config\.yaml, line 1: timezone: there is no such key; did you mean ask\.timezone\."),
        ("frames:\n- id: a\n  witdh: 9\n", r"line 3: frames\[0\]\.witdh: .*did you mean frames\[0\]\.width\."),
        (
            "http: {colour: red}\n",
            r"line 1: http\.colour: there is no such key; config\.yaml\.example lists them all\.",
        ),
        ("mqtt:\n  tls:\n    cert: a\n", r"config\.yaml, line 3: mqtt\.tls\.cert: there is no such key"),
        ("http: 5\n", r"line 1: http: expected keys of its own, such as `host:`\."),
        ("library: {roots: ~/Pictures}\n", r"line 1: library\.roots: expected a list"),
        ("mqtt: {password: 0123}\n", r"line 1: mqtt\.password: expected text; put it in quotes\."),
        ("slideshow: {interval_s: 5m}\n", r"line 1: slideshow\.interval_s: expected a whole number\."),
        ("slideshow: {interval_s: 1}\n", r"line 1: slideshow\.interval_s: expected at least 5\."),
        ("slideshow: {fit: covr}\n", r"line 1: slideshow\.fit: expected 'cover', .*'matte'; did you mean cover\."),
        ("compute: {device: gpu}\n", r"line 1: compute\.device: expected auto, cpu, cuda, cuda:1, xpu or mps\."),
        ("mqtt: {host: 'mqtt://b.lan'}\n", r"line 1: mqtt\.host: expected the broker's name or address alone"),
        ("mqtt: {host: b.lan:1884}\n", r"line 1: mqtt\.host: expected .*its port is mqtt\.port\."),
        ("mqtt: {base_topic: a/+}\n", r"line 1: mqtt\.base_topic: expected one to four levels"),
        ("mqtt:\n  tls: {enabled: true, ca: no.pem}\n", r"line 2: mqtt\.tls: ca: there is no file /.*/no\.pem"),
        ("models: {tags: best}\n", r"line 1: models\.tags: expected one of: auto, off, ramplus, efficientnet\."),
        ("models: {text_embedding: off}\n", r"line 1: models\.text_embedding: expected one of: auto, minilm\."),
        ("compute: {keep_loaded: [painting]}\n", r"line 1: compute\.keep_loaded: there is no task painting; there are"),
        ("tags:\n  categories: no.yaml\n", r"line 2: tags\.categories: there is no file /.*/no\.yaml"),
        ("frames:\n- id: a\n  palette: spectra7\n", r"line 3: frames\[0\]\.palette: expected .*did you mean spectra6"),
        (
            "frames:\n- id: a\n  palette: ['#00000g', '#ffffff']\n",
            r"line 3: frames\[0\]\.palette\[0\]: expected a colour",
        ),
        (
            "frames:\n- id: a\n  matte: {colour: red}\n",
            r"frames\[0\]\.matte\.colour: expected 'auto', .*; or a colour such",
        ),
        ("a: &a [*a]\n", r"config\.yaml: it is nested without end"),
        ("http:\n\tport: 1\n", r"config\.yaml, line 2: a tab; YAML is indented with spaces\."),
        ("ask:\n  timezone: Mars/Olympus\n", r"config\.yaml, line 2: ask\.timezone: .*Europe/Berlin"),
        ("frames:\n- id: a\n- name: B\n", r"config\.yaml, line 3: frames\[1\]\.id: this key is needed"),
        ("frames:\n- id: a\n- id: a\n", r"config\.yaml, line 1: frames: the id 'a' is used twice"),
        ("schedule:\n- at: sunset\n  ask: x\n", r"config\.yaml, line 2: schedule\[0\]\.at: sunset needs location\."),
        ("schedule:\n- ask: x\n  at: tea time\n", r"config\.yaml, line 3: schedule\[0\]\.at: write five cron"),
        ("http:\n  port: 1\n  port: 2\n", r"config\.yaml, line 3: http\.port is given twice"),
        ("http:\n  port: [1\n", r"config\.yaml, line \d+: "),
        ("- a\n", r"config\.yaml, line 1: expected keys"),
        ("http:\n  base_url: ${FRAMED_NOT_SET}\n", r"config\.yaml, line 2: http\.base_url: .*no FRAMED_NOT_SET"),
        ("mqtt:\n  password: !secret mqtt\n", r"config\.yaml, line 2: .*secrets\.yaml"),
        ("mqtt:\n  password: !python/name:os.system\n", r"config\.yaml, line 2: "),
        ("mqtt: {password: !secrt mqtt}\n", r"config\.yaml, line 1: there is no !secrt; `!secret name`"),
        ("http: {base_url: 'http://${NO SUCH}'}\n", r"line 1: http\.base_url: write \$\{NAME\}"),
    ],
)
def test_a_mistake_names_its_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(_file(tmp_path, text))


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, "http: {port: -1}\nlogging: {level: loud}\n"))
    assert "http.port" in str(caught.value)
    assert "line 2: logging.level" in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml\.example"):
        load(tmp_path / "config.yaml")


def test_a_secret_is_read_from_beside_the_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("mqtt: hush-hush\n")
    config = load(_file(tmp_path, "mqtt: {password: !secret mqtt}\n"))
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "hush-hush"
    assert "hush-hush" not in repr(config)


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("other: x\n")
    with pytest.raises(ConfigError, match=r"line 1: secrets\.yaml has no 'mqtt'"):
        load(_file(tmp_path, "mqtt: {password: !secret mqtt}\n"))


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ("mqtt: [hush-hush\n", r"^secrets\.yaml, line 2: this is not YAML"),
        ("hush-hush\n", r"^secrets\.yaml: expected `name: value` on each line"),
        ("12: hush-hush\n", r"^config\.yaml, line 1: secrets\.yaml has no 'mqtt'"),
    ],
)
def test_secrets_that_cannot_be_read_are_said_without_them(tmp_path: Path, secrets: str, said: str) -> None:
    (tmp_path / "secrets.yaml").write_text(secrets)
    with pytest.raises(ConfigError, match=said) as caught:
        load(_file(tmp_path, "mqtt: {password: !secret mqtt}\n"))
    assert "hush-hush" not in str(caught.value)


def test_a_dollar_sign_in_a_secret_is_a_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("mqtt: a${b}c\n")
    config = load(_file(tmp_path, "mqtt: {username: 'a$${b}c', password: !secret mqtt}\n"))
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == config.mqtt.username == "a${b}c"


def test_a_wrong_secret_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("mqtt: [hush-hush]\n")
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, "mqtt: {password: !secret mqtt}\n"))
    assert "hush-hush" not in str(caught.value)


def test_the_environment_fills_in_and_a_default_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_TEST_HOST", "framed.lan")
    text = "http:\n  base_url: http://${FRAMED_TEST_HOST}:${FRAMED_TEST_PORT:-8480}\n"
    assert load(_file(tmp_path, text)).http.base_url == "http://framed.lan:8480"


def test_the_named_file_comes_before_the_environment_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, named = _file(tmp_path, ""), tmp_path / "named.yaml"
    named.write_text("")
    monkeypatch.delenv("FRAMED_CONFIG", raising=False)
    assert find(None) == here.relative_to(tmp_path)
    monkeypatch.setenv("FRAMED_CONFIG", str(named))
    assert find(None) == named
    assert find(Path("given.yaml")) == Path("given.yaml")


def test_a_file_named_in_the_environment_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMED_CONFIG", str(tmp_path / "gone.yaml"))
    with pytest.raises(ConfigError, match=r"There is no file .*gone\.yaml"):
        load(find(None))


def test_a_version_written_as_a_number_is_understood() -> None:
    assert Mqtt.model_validate({"protocol": 5}).protocol == "5"


def test_a_configuration_does_not_change_while_framed_runs() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().instance = "other"  # type: ignore[misc]
