"""Pulling weights from a hub on this machine: what breaks is gone on with, what is wrong is thrown away."""

import asyncio
import hashlib
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from framed.errors import FramedError, Refused, Unavailable
from framed.models import weights
from framed.models.download import Downloader, Hub, Wanted
from framed.models.pull import Pins, Puller
from framed.models.weight_sets import MIT, WEIGHTS
from framed.models.weights import File, Weights
from tests.models.fake_hub import COMMIT, FakeHub, fake_hub

MODEL = bytes(range(256)) * 8_000  # 2 MB
CONFIG = b'{"dim": 4}'


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tiny(*files: File, revision: str = "main") -> Weights:
    given = files or (File("model.safetensors", len(MODEL), sha(MODEL)), File("config.json"))
    return Weights("tiny", "A tiny model", "tags", "tiny", "lab/tiny", revision, given, MIT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models" / "tiny"


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as running:
        running.files = {"lab/tiny/model.safetensors": MODEL, "lab/tiny/config.json": CONFIG}
        yield running


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


class Patience:
    """Waits no time, and remembers how long it should have."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


def puller(
    hub: FakeHub,
    *,
    free: Callable[[Path], int] = lambda _: 10**12,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> Puller:
    return Puller(Downloader(Hub(mirror=hub.base), free=free, sleep=sleep or Patience()))


async def refused(work: Awaitable[object]) -> FramedError:
    with pytest.raises(FramedError) as caught:
        await work
    return caught.value


async def test_a_set_is_whole_when_its_manifest_is_there(hub: FakeHub, folder: Path) -> None:
    assert weights.missing("tiny") == "Its weights are not here: framed models pull tiny"
    seen: list[tuple[int, int, str]] = []

    done = await puller(hub).pull(tiny(), report=lambda *told: seen.append(told))

    assert weights.missing("tiny") is None
    assert (folder / "model.safetensors").read_bytes() == MODEL
    assert (folder / "config.json").read_bytes() == CONFIG
    assert done.fetched == len(MODEL) + len(CONFIG)
    assert done.published
    assert done.pins == Pins(COMMIT, {"config.json": sha(CONFIG)})
    assert seen[-1][0] == seen[-1][1] or seen[-1][2] == "config.json"
    assert sorted(os.listdir(folder)) == ["config.json", "framed.json", "model.safetensors"]
    manifest = weights.read_manifest("tiny")
    assert manifest is not None
    assert manifest["revision"] == COMMIT
    assert manifest["files"]["config.json"]["sha256"] == sha(CONFIG)


async def test_what_is_whole_is_not_fetched_again(hub: FakeHub, folder: Path) -> None:
    await puller(hub).pull(tiny())
    hub.asked.clear()

    again = await puller(hub).pull(tiny())

    assert again.fetched == 0
    assert hub.asked == []


async def test_a_cut_download_goes_on_at_its_byte(hub: FakeHub, folder: Path) -> None:
    hub.cut_at["lab/tiny/model.safetensors"] = 700_000
    patience = Patience()

    await puller(hub, sleep=patience).pull(tiny())

    ranges = [span for path, span in hub.asked if path.startswith("/cdn/")]
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) == 700_000
    assert (folder / "model.safetensors").read_bytes() == MODEL
    assert patience.waited == [2.0]


async def test_a_later_pull_goes_on_where_an_earlier_one_ended(hub: FakeHub, folder: Path) -> None:
    model, wanted = "lab/tiny/model.safetensors", tiny(File("config.json"), *tiny().files[:1])
    hub.cut_at[model] = 700_000
    hub.refuses[model] = [200, *[500] * 99]
    error = await refused(puller(hub).pull(wanted))
    hub.refuses.clear()
    hub.asked.clear()

    done = await puller(hub).pull(wanted)

    assert "What has come is kept, and the next pull goes on from there." in error.message
    assert [span for path, span in hub.asked if path.startswith("/cdn/")] == ["bytes=700000-"]
    assert not any(path.endswith("config.json") for path, _ in hub.asked)
    assert (folder / "model.safetensors").read_bytes() == MODEL
    assert done.pins.files == {"config.json": sha(CONFIG)}


async def test_a_cancelled_download_leaves_its_part_and_no_file(hub: FakeHub, folder: Path) -> None:
    hub.hold = asyncio.Event()
    heard = asyncio.Event()
    work = asyncio.create_task(puller(hub).pull(tiny(), report=lambda *_: heard.set()))
    await heard.wait()
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
    assert (folder / ".new" / "model.safetensors.part").stat().st_size == 1
    assert weights.missing("tiny") is not None


async def test_a_wrong_hash_is_refused_and_the_file_thrown_away(hub: FakeHub, folder: Path) -> None:
    hub.swaps["lab/tiny/model.safetensors"] = MODEL[:-1] + b"!"

    error = await refused(puller(hub).pull(tiny()))

    assert error.message.startswith("model.safetensors is not the file that is listed: its SHA-256 is")
    assert not found(folder, "*.part")
    assert not (folder / "model.safetensors").exists()
    assert weights.missing("tiny") is not None


async def test_a_file_without_a_listed_hash_must_have_the_one_the_hub_says(hub: FakeHub, folder: Path) -> None:
    hub.swaps["lab/tiny/model.safetensors"] = MODEL[:-1] + b"!"
    hub.swaps["lab/tiny/config.json"] = b'{"dim": 5}'

    of_model = await refused(puller(hub).pull(tiny(File("model.safetensors"))))
    of_config = await refused(puller(hub).pull(tiny(File("config.json"))))

    assert "was expected" in of_model.message
    assert of_config.message == "config.json did not arrive as the hub has it. It was thrown away."


async def test_what_was_fetched_first_is_held_to(hub: FakeHub, folder: Path) -> None:
    wanted = tiny(File("config.json"))
    hub.plain = True
    first = await puller(hub).pull(wanted)
    await puller(hub).remove("tiny")
    hub.files["lab/tiny/config.json"] = b'{"dim": 9}'

    error = await refused(puller(hub).pull(wanted, first.pins))

    assert not first.published
    assert "is not the file that is listed" in error.message


async def test_a_moving_revision_is_asked_for_by_its_commit_ever_after(hub: FakeHub, folder: Path) -> None:
    first = await puller(hub).pull(tiny())
    await puller(hub).remove("tiny")
    hub.asked.clear()

    await puller(hub).pull(tiny(), first.pins)

    assert all(COMMIT in path for path, _ in hub.asked if "/resolve/" in path)


@pytest.mark.parametrize("size", [len(MODEL) - 1, len(MODEL) + 1])
async def test_another_size_than_the_listed_one_is_refused(hub: FakeHub, folder: Path, size: int) -> None:
    error = await refused(puller(hub).pull(tiny(File("model.safetensors", size))))

    assert "are listed: it is another file" in error.message
    assert not found(folder, "*.part")


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "has no model.safetensors"), (403, "signed in and agreed"), (401, "models.mirror"), (418, "answered 418")],
)
async def test_a_refusal_is_a_sentence_and_is_not_tried_again(
    hub: FakeHub, folder: Path, status: int, words: str
) -> None:
    hub.refuses["lab/tiny/model.safetensors"] = [status] * 9

    error = await refused(puller(hub).pull(tiny()))

    assert words in error.message
    assert len(hub.refuses["lab/tiny/model.safetensors"]) == 8


async def test_a_busy_hub_is_given_the_time_it_asks_for(hub: FakeHub, folder: Path) -> None:
    hub.refuses["lab/tiny/model.safetensors"] = [429, 503]
    hub.retry_after = "17"
    patience = Patience()

    await puller(hub, sleep=patience).pull(tiny())

    assert patience.waited == [17.0, 17.0]


async def test_a_hub_that_stays_away_is_given_up_with_a_sentence(hub: FakeHub, folder: Path) -> None:
    hub.refuses["lab/tiny/model.safetensors"] = [500] * 99
    patience = Patience()

    error = await refused(puller(hub, sleep=patience).pull(tiny()))

    assert patience.waited == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert "could not be fetched from 127.0.0.1: it answered 500." in error.message


async def test_a_file_the_hub_may_lack_is_left_out_for_good(hub: FakeHub, folder: Path) -> None:
    wanted = tiny(*tiny().files, File("merges.txt", optional=True))
    await puller(hub).pull(wanted)
    assert weights.missing("tiny") is None
    hub.asked.clear()

    await puller(hub).pull(wanted)

    assert hub.asked == []


async def test_a_full_disk_is_said_before_and_during(hub: FakeHub, folder: Path) -> None:
    before = await refused(puller(hub, free=lambda _: 256_500_000).pull(tiny()))
    assert hub.asked == []
    large = os.urandom(1 << 20) * 70
    hub.files["lab/tiny/model.safetensors"] = large
    left = iter([10**12, 10**12] + [200_000_000] * 9)

    during = await refused(puller(hub, free=lambda _: next(left)).pull(tiny(File("model.safetensors"))))

    assert before.message.startswith("The disk has too little room for A tiny model: 2 MB are wanted, and 256 MB")
    assert during.message.startswith("The disk has too little room for model.safetensors")


async def test_redirects_lead_to_encrypted_places_only(hub: FakeHub, folder: Path) -> None:
    hub.sends_to = "http://localhost:9/model.safetensors"

    error = await refused(puller(hub).pull(tiny()))

    assert isinstance(error, Refused)
    assert error.message == "127.0.0.1 sends framed to http://localhost, which is not encrypted."


async def test_the_password_of_a_mirror_goes_nowhere_else_and_is_never_said(hub: FakeHub, folder: Path) -> None:
    async with fake_hub() as other:
        hub.sends_to = f"{other.base}/cdn/lab/tiny/model.safetensors"
        address = hub.base.replace("http://", "http://anna:geheim@")
        work = Puller(Downloader(Hub(mirror=address), sleep=Patience()))

        error = await refused(work.pull(tiny()))

    assert hub.authorised
    assert other.authorised == []
    assert other.asked == []
    assert "geheim" not in error.message


async def test_offline_nothing_is_fetched_but_from_a_folder(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    offline = Puller(Downloader(Hub(mirror=hub.base, offline=True)))
    error = await refused(offline.pull(tiny()))
    shelf = tmp_path / "shelf"
    (shelf / "lab" / "tiny").mkdir(parents=True)
    (shelf / "tiny").mkdir()
    (shelf / "lab" / "tiny" / "model.safetensors").write_bytes(MODEL)
    (shelf / "tiny" / "config.json").write_bytes(CONFIG)

    await Puller(Downloader(Hub(mirror=str(shelf), offline=True))).pull(tiny())

    assert "models.offline is true" in error.message
    assert hub.asked == []
    assert weights.missing("tiny") is None


async def test_a_mirror_folder_cannot_lead_elsewhere(folder: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "lab").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "model.safetensors").write_bytes(MODEL)
    (shelf / "lab" / "tiny").symlink_to(secret)
    work = Puller(Downloader(Hub(mirror=str(shelf))))

    linked = await refused(work.pull(tiny()))
    climbing = await refused(work.pull(tiny(File("../secret/model.safetensors"))))
    (shelf / "lab" / "tiny").unlink()
    empty = await refused(work.pull(tiny()))

    assert "is a link, and links are not followed" in linked.message
    assert isinstance(climbing, Refused)
    assert empty.message.startswith(f"model.safetensors is not in the mirror: put it to {shelf}/tiny/")


async def test_a_damaged_file_is_named_set_aside_and_alone_fetched_again(hub: FakeHub, folder: Path) -> None:
    work = puller(hub)
    await work.pull(tiny())
    assert await work.verify("tiny") == []
    (folder / "model.safetensors").write_bytes(MODEL[:-1] + b"!")

    damages = await work.verify("tiny")

    assert [(damage.file, damage.why) for damage in damages] == [
        ("model.safetensors", "Its bytes are not those that were fetched.")
    ]
    assert weights.missing("tiny") == "Its weights are damaged (model.safetensors): framed models verify tiny"
    hub.asked.clear()
    await work.pull(tiny())
    assert weights.missing("tiny") is None
    assert await work.verify("tiny") == []
    assert not any("config.json" in path for path, _ in hub.asked)
    assert sorted(os.listdir(folder)) == ["config.json", "framed.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a//b", "C:x", "a\\b"])
async def test_a_manifest_cannot_name_files_elsewhere(hub: FakeHub, folder: Path, name: str) -> None:
    await puller(hub).pull(tiny())
    (folder / "framed.json").write_text(json.dumps({"revision": "x", "files": {name: {"size": 1, "sha256": "0"}}}))

    assert isinstance(await refused(puller(hub).verify("tiny")), Refused)


async def test_two_pulls_of_one_set_fetch_it_once(hub: FakeHub, folder: Path) -> None:
    work = puller(hub)

    first, second = await asyncio.gather(work.pull(tiny()), work.pull(tiny()))

    assert sorted([first.fetched, second.fetched]) == [0, len(MODEL) + len(CONFIG)]


async def test_a_set_stays_usable_until_its_next_revision_is_complete(hub: FakeHub, folder: Path) -> None:
    old, new = "a" * 40, "b" * 40
    await puller(hub).pull(tiny(revision=old))
    hub.files["lab/tiny/model.safetensors"] = MODEL[::-1]
    wanted = tiny(File("model.safetensors"), File("new.json"), revision=new)

    await refused(puller(hub).pull(wanted))
    usable = weights.missing("tiny")
    hub.files["lab/tiny/new.json"] = b"{}"
    await puller(hub).pull(wanted)

    assert usable is None
    assert (folder / "model.safetensors").read_bytes() == MODEL[::-1]
    assert sorted(os.listdir(folder)) == ["framed.json", "model.safetensors", "new.json"]


def zipped(**entries: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/"), content)
    return data.getvalue()


async def test_of_a_zip_only_the_listed_nets_are_taken(hub: FakeHub, folder: Path) -> None:
    hub.files["lab/tiny/pack.zip"] = zipped(buffalo__det=b"net one", buffalo__rec=b"net two", other=b"not wanted")
    pack = File("pack.zip", members=(File("det", 7, sha(b"net one")), File("rec", 7, sha(b"net two"))))

    done = await puller(hub).pull(tiny(pack))

    assert sorted(os.listdir(folder)) == ["det", "framed.json", "rec"]
    assert list(done.pins.files) == ["pack.zip"]


async def test_a_hostile_zip_is_refused(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    wanted = File("pack.zip", members=(File("det", 7),))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    linking = io.BytesIO()
    with zipfile.ZipFile(linking, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    said = []
    for data in (
        zipped(**{"..__..__det": b"net one"}),
        zipped(**{"__etc__det": b"net one"}),
        linking.getvalue(),
        zipped(det=b"0" * 9_000_000),
        zipped(other=b""),
        b"no zip",
    ):
        hub.files["lab/tiny/pack.zip"] = data
        said.append((await refused(puller(hub).pull(tiny(wanted)))).message)

    assert [sentence.split(" (")[0] for sentence in said] == [
        "pack.zip would write outside its folder",
        "pack.zip would write outside its folder",
        "pack.zip holds a link",
        "det in the archive has 9,000,000 bytes, and 7 are listed.",
        "There is no det in the archive.",
        "pack.zip is no zip file: File is not a zip file.",
    ]
    assert not found(tmp_path, "det")


async def test_a_pickle_becomes_safetensors_and_runs_nothing(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path}/owned",)

    good, evil = io.BytesIO(), io.BytesIO()
    torch.save({"head.weight": torch.arange(6.0).reshape(2, 3)}, good)
    torch.save({"head.weight": Evil()}, evil)
    wanted = tiny(File("head.pth", becomes="head.safetensors", by="framed.models.convert:tensors"))
    hub.files["lab/tiny/head.pth"] = evil.getvalue()
    error = await refused(puller(hub).pull(wanted))
    hub.files["lab/tiny/head.pth"] = good.getvalue()

    await puller(hub).pull(wanted)

    assert "could not be converted to safetensors: UnpicklingError: Weights only load failed" in error.message
    assert not (tmp_path / "owned").exists()
    assert sorted(os.listdir(folder)) == ["framed.json", "head.safetensors"]
    assert load_file(folder / "head.safetensors")["head.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


async def test_removal_frees_the_disk_and_follows_no_link(hub: FakeHub, folder: Path, tmp_path: Path) -> None:
    work = puller(hub)
    await work.pull(tiny())
    freed = await work.remove("tiny")
    (tmp_path / "precious").mkdir()
    os.symlink(tmp_path / "precious", folder)

    linked = await refused(work.remove("tiny"))

    assert freed > len(MODEL)
    assert weights.missing("tiny") is not None
    assert isinstance(linked, Unavailable)
    assert (tmp_path / "precious").exists()
    assert isinstance(await refused(work.remove("../precious")), Refused)


async def test_one_file_can_be_fetched_from_a_plain_web_server(hub: FakeHub, tmp_path: Path) -> None:
    got = await Downloader(Hub(mirror=hub.base)).fetch(
        Wanted("m", f"{hub.base}/elsewhere/lab/tiny/model.safetensors"), tmp_path / "m"
    )

    assert (got.size, got.sha256, got.published, got.revision) == (len(MODEL), sha(MODEL), False, None)


def test_the_list_names_safe_files_https_addresses_and_whole_hashes() -> None:
    from framed.models.download import safe

    names = [weights.name for weights in WEIGHTS]
    files = [file for listed in WEIGHTS for file in (*listed.files, *(m for f in listed.files for m in f.members))]

    assert len(names) == len(set(names))
    assert all(safe(kept) == kept for file in files for kept in (file.name, *file.kept))
    assert all(file.url is None or file.url.startswith("https://") for file in files)
    assert all(file.sha256 is None or len(file.sha256) == 64 for file in files)
    assert all(not kept.endswith((".pth", ".bin", ".pt", ".zip")) for file in files for kept in file.kept)
    assert all(listed.licence.says for listed in WEIGHTS if listed.licence.ask)
