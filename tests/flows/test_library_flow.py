"""Photo folders as they live: files that grow, move, vanish and come back, and what framed makes of each."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from PIL import Image

from framed.app import App
from framed.config import load
from tests.flows.conftest import settings, until
from tests.flows.disks import mounted
from tests.library.pictures import cat, difference, encoded

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

MANY, KINDS = 104, 4


def picture(turn: int, quality: int = 90) -> bytes:
    return encoded(cat().resize((320, 213)).rotate(turn), "JPEG", quality=quality)


@dataclass
class House:
    """One daemon over three roots: `album` by events, `share` as a network mount is, `many` to lose at once."""

    app: App
    home: Path

    @property
    def album(self) -> Path:
        return self.home / "album"

    @property
    def share(self) -> Path:
        return self.home / "share"

    async def photo(self, path: Path, *, state: str = "completed") -> dict[str, Any]:
        """Awaits that the file holds a photo in this state, and gives what `photo/get` says of it."""

        async def found() -> dict[str, Any] | None:
            uid = await self.uid(path)
            said = await self.ask("photo/get", id=uid) if uid else {"state": None}
            return said if said["state"] == state else None

        return dict(await until(found))

    async def uid(self, path: Path) -> str | None:
        """The photo that the file holds, once it has been read as it is now."""

        def read(connection: Any) -> Any:
            return connection.exec_driver_sql(
                "select p.uid from files f join folders d on d.id = f.folder_id join roots r on r.id = d.root_id"
                " join photos p on p.id = f.photo_id where f.name = ? and f.state = 'read'"
                " and cast(r.path || x'2f' || d.path as blob) = ?",
                (os.fsencode(path.name), self.place(path.parent)),
            ).scalar()

        found: str | None = await self.app.database.read(read)
        return found

    def place(self, folder: Path) -> bytes:
        root = self.home / folder.relative_to(self.home).parts[0]
        below = folder.relative_to(root)
        return os.fsencode(root) + b"/" + (b"" if below == Path() else os.fsencode(below))

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        answer = await self.app.router.call(verb, payload)
        assert answer["status"] in ("ok", "accepted"), answer
        found: dict[str, Any] = answer["data"]
        return found

    async def rescan(self, **payload: Any) -> dict[str, Any]:
        job = (await self.ask("library/rescan", **payload))["job"]

        async def done() -> dict[str, Any] | None:
            found = await self.ask("job/get", id=job)
            return found if found["state"] not in ("queued", "running") else None

        found = await until(done)
        assert found["state"] == "succeeded", found
        return dict(found["result"])

    async def problem(self) -> str:
        return str((await self.ask("health")).get("problem", ""))

    async def rests(self) -> dict[str, Any]:
        async def quiet() -> dict[str, Any] | None:
            library = await self.app.system.library_payload()
            return library if not library["pending"] and not library["scanning"] else None

        return dict(await until(quiet, 120))


def configured(home: Path) -> dict[str, Any]:
    roots: list[dict[str, Any]] = [
        {"path": str(home / "album")},
        {
            "path": str(home / "share"),
            "watch": "poll",
            "include": ["Family/", "*.heic"],
            "exclude": ["*-draft.*", "Family/Private/"],
            "follow_symlinks": True,
        },
        {"path": str(home / "many")},
    ]
    library = {"roots": roots, "settle_s": 0.1, "debounce_s": 0.2, "poll_interval_s": 0.5, "scan_interval_s": 2.0}
    return settings(home, home / "album") | {"library": library}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("house")
    for folder in ("album/Trips", "share/Family/Private", "share/Work", "many", "linked"):
        (home / folder).mkdir(parents=True)
    (home / "album" / "first.jpg").write_bytes(picture(1))
    (home / "share" / "Family" / "wanted.jpg").write_bytes(picture(2))
    (home / "share" / "Family" / "wanted-draft.jpg").write_bytes(picture(3))
    (home / "share" / "Family" / "Private" / "diary.jpg").write_bytes(picture(4))
    (home / "share" / "Work" / "slide.jpg").write_bytes(picture(5))
    (home / "share" / "Work" / "phone.heic").write_bytes(encoded(cat().resize((160, 106)), "HEIF"))
    (home / "linked" / "far.jpg").write_bytes(picture(6))
    (home / "share" / "Family" / "there").symlink_to(home / "linked")
    (home / "share" / "Family" / "round").symlink_to(home / "share")
    for number in range(MANY):
        (home / "many" / f"{number:03}.jpg").write_bytes(picture(100 + number % KINDS))
    async with App(load(None, configured(home))) as running:
        house = House(running, home)
        await house.photo(home / "album" / "first.jpg")

        async def analysed() -> bool:
            return bool((await running.system.library_payload())["analysed"] == KINDS + 4)

        await until(analysed, 120)
        yield house


async def test_patterns_say_what_belongs_and_links_are_followed_once_where_asked(house: House) -> None:
    listed = await house.ask("photo/list", state="completed", limit=1000)
    share = {item["path"].removeprefix(f"{house.share}/") for item in listed["items"] if "/share/" in item["path"]}

    assert share == {"Family/wanted.jpg", "Work/phone.heic", "Family/there/far.jpg"}
    far = await house.photo(house.share / "Family" / "there" / "far.jpg")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {house.app.token}"}) as http:
        async with http.get(f"http://127.0.0.1:{house.app.web.port}/photo/{far['photo']}/original") as response:
            assert await response.read() == picture(6)


async def test_a_network_mount_is_polled(house: House) -> None:
    roots = {Path(root.path).name: root.polled for root in await house.app.scanner.status()}
    assert roots == {"album": False, "share": True, "many": False}

    (house.share / "Family" / "polled.jpg").write_bytes(picture(7))

    await house.photo(house.share / "Family" / "polled.jpg")


async def test_a_photo_written_slowly_is_whole_in_the_end(house: House) -> None:
    path, data = house.album / "slow.jpg", encoded(cat(), "JPEG", quality=95)

    async def known() -> bool:
        return path.name in await names(house)

    with path.open("wb", buffering=0) as file:
        for start in range(0, len(data), len(data) // 12):
            file.write(data[start : start + len(data) // 12])
            await until(known)
            await house.app.scanner.scan()
    slow = await house.photo(path)

    assert (await house.ask("photo/list", state="failed"))["items"] == []
    with Image.open(house.app.previews.path(slow["photo"])) as preview:
        assert difference(preview, cat()) < 5


async def names(house: House) -> set[str]:
    rows = await house.app.database.read(lambda c: c.exec_driver_sql("select name from files").scalars().all())
    return {os.fsdecode(row) for row in rows}


async def test_a_half_copied_photo_with_an_old_date_is_complete_in_the_end(house: House) -> None:
    path, data = house.album / "half.jpg", encoded(cat().rotate(9), "JPEG", quality=95)
    old = (1_500_000_000, 1_500_000_000)

    path.write_bytes(data[: len(data) // 3])
    os.utime(path, old)
    path.write_bytes(data)
    os.utime(path, old)  # as rsync and cameras leave it

    half = await house.photo(path)
    with Image.open(house.app.previews.path(half["photo"])) as preview:
        assert difference(preview, cat().rotate(9)) < 5


async def test_a_photo_replaced_under_the_same_name_date_and_size_is_noticed(house: House) -> None:
    path = house.album / "replaced.jpg"
    data = {turn: picture(turn) for turn in (30, 31)}
    size = max(map(len, data.values()))
    path.write_bytes(data[30].ljust(size, b"\0"))
    os.utime(path, (1_500_000_000, 1_500_000_000))
    before = await house.photo(path)

    other = house.album / ".replaced.part"
    other.write_bytes(data[31].ljust(size, b"\0"))
    os.utime(other, (1_500_000_000, 1_500_000_000))
    other.replace(path)

    async def replaced() -> bool:
        return await house.uid(path) not in (None, before["photo"])

    await until(replaced)
    assert (await house.ask("photo/get", id=before["photo"]))["state"] == "gone"


async def test_moved_files_and_renamed_folders_keep_everything(house: House) -> None:
    trip = house.album / "Trips" / "Rome"
    trip.mkdir()
    for number in range(3):
        (trip / f"{number}.jpg").write_bytes(picture(40 + number))
    before = [await house.photo(trip / f"{number}.jpg") for number in range(3)]
    await house.ask("photo/favourite", id=before[0]["photo"])

    trip.rename(house.album / "Trips" / "Roma 2019")
    (house.album / "Trips" / "Roma 2019" / "0.jpg").rename(house.album / "best.jpg")
    (house.album / "Trips" / "Roma 2019" / "1.jpg").rename(house.share / "Family" / "from-rome.jpg")
    places = [house.album / "best.jpg", house.share / "Family" / "from-rome.jpg"]
    after = [await house.photo(path) for path in [*places, house.album / "Trips" / "Roma 2019" / "2.jpg"]]

    assert [photo["photo"] for photo in after] == [photo["photo"] for photo in before]
    assert [photo["favourite"] for photo in after] == [True, False, False]
    assert {step["attempts"] for photo in after for step in photo["steps"].values()} == {1}
    assert after[2]["path"].endswith("Trips/Roma 2019/2.jpg")


async def test_a_deleted_photo_comes_back_as_the_one_it_was(house: House) -> None:
    path = house.album / "back.jpg"
    path.write_bytes(picture(50))
    before = await house.photo(path)
    await house.ask("photo/favourite", id=before["photo"])
    path.unlink()

    async def gone() -> bool:
        return bool((await house.ask("photo/get", id=before["photo"]))["state"] == "gone")

    await until(gone)
    assert before["photo"] in {item["photo"] for item in (await house.ask("photo/list", state="gone"))["items"]}
    assert before["photo"] not in {item["photo"] for item in (await house.ask("photo/search", text="photos"))["items"]}

    (house.album / "Trips" / "found again.jpg").write_bytes(picture(50))
    after = await house.photo(house.album / "Trips" / "found again.jpg")
    assert after["photo"] == before["photo"]
    assert after["favourite"]


async def test_a_root_that_vanishes_deletes_nothing_and_says_so(house: House) -> None:
    count = (await house.rests())["photos"]
    away = house.album.rename(house.home / "away")

    async def said() -> bool:
        return f"{house.album} is not there" in await house.problem()

    await until(said)
    assert (await house.rests())["photos"] == count
    assert "Mount its disk" in await house.problem()

    house.album.mkdir()

    async def empty() -> bool:
        return f"{house.album} is empty" in await house.problem()

    await until(empty)
    result = await house.rescan()
    assert any(
        "nothing was removed" in problem and "framed rescan --confirm" in problem for problem in result["problems"]
    )
    assert (await house.rests())["photos"] == count

    house.album.rmdir()
    away.rename(house.album)

    async def well() -> bool:
        return not await house.problem()

    await until(well)
    assert (await house.rests())["photos"] == count


async def test_a_root_on_another_disk_deletes_nothing(house: House) -> None:
    count = (await house.rests())["photos"]
    with mounted(house.share):
        (house.share / "Family").mkdir()
        (house.share / "Family" / "stranger.jpg").write_bytes(picture(60))
        result = await house.rescan(path=str(house.share))

        assert "lies on another disk than before; nothing was removed" in " ".join(result["problems"])
        assert "another disk" in await house.problem()
        assert (await house.rests())["photos"] >= count

    result = await house.rescan(path=str(house.share))
    assert result["problems"] == []

    async def as_before() -> bool:
        return bool((await house.rests())["photos"] == count and not await house.problem())

    await until(as_before)


async def test_a_mass_deletion_waits_for_a_second_look_or_a_yes(house: House) -> None:
    count = (await house.rests())["photos"]
    for number in range(1, MANY):
        (house.home / "many" / f"{number:03}.jpg").unlink()

    async def held() -> bool:
        said = await house.problem()
        return f"{MANY - 1} of the {MANY} files" in said and "framed rescan --confirm" in said

    await until(held)
    assert (await house.rests())["photos"] == count

    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "framed", "rescan", str(house.home / "many"), "--confirm", "--json"),
            *("--data", str(house.app.config.data_dir), "--http-port", str(house.app.web.port)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["job"]

    async def removed() -> bool:
        return bool((await house.rests())["photos"] == count - KINDS + 1 and not await house.problem())

    await until(removed)


@pytest.mark.parametrize(
    ("path", "code"),
    [("/etc", "refused"), ("relative", "bad_request"), ("/a\0b", "bad_request"), ("\ud800", "bad_request")],
)
async def test_a_rescan_stays_in_the_photo_folders(house: House, path: str, code: str) -> None:
    answer = await house.app.router.call("library/rescan", {"path": path})

    assert answer["error"]["code"] == code
