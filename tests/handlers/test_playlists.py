"""Playlists over MQTT and HTTP: kept, named, edited, and right again when photos or days change."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from framed.store import photos
from tests.flows.conftest import analysed, until, write_photo
from tests.handlers.conftest import PHOTOS, Home

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]


async def saved(home: Home, text: str, name: str) -> str:
    """What the kitchen is asked for, saved under a name; the playlist's id."""
    await home.ask("ask", text=text, frame="kitchen")
    return str((await home.ask("playlist/save", frame="kitchen", name=name))["id"])


async def test_a_playlist_is_saved_renamed_found_by_name_and_deleted(home: Home) -> None:
    await home.over_mqtt("ask", text="photos on the kitchen frame")
    first = await home.over_mqtt("playlist/save", frame="kitchen", name="Evening")
    assert (first["name"], first["count"]) == ("Evening", 4)

    renamed = await home.over_http("playlist/save", id=first["id"], name="Nights")
    assert renamed["id"] == first["id"]
    listed = await home.over_http("playlist/list", saved=True)
    assert [item["name"] for item in listed["items"]] == ["Nights"]

    async def told() -> bool:
        return "Nights" in [item["name"] for item in (await home.retained("framed/playlists"))["items"]]

    await until(told)
    got = await home.over_mqtt("playlist/get", id="nights")
    assert (got["id"], got["frames"], len(got["items"])) == (first["id"], ["kitchen"], 4)
    assert (await home.over_mqtt("playlist/set", frame="hall", id="Nights"))["playlist"] == first["id"]

    await home.over_http("playlist/delete", id="Nights")
    assert (await home.refused("playlist/get", id="Nights"))["code"] == "unknown_playlist"

    async def on_their_own() -> bool:
        playing = [(await home.app.player.current(frame))[1] for frame in ("kitchen", "hall")]
        return playing == ["default-kitchen", "default-hall"]

    await until(on_their_own)


async def test_two_saved_playlists_do_not_share_a_name(home: Home) -> None:
    one, other = await saved(home, "cats", "One"), await saved(home, "coffee", "Other")

    assert "another playlist called one" in (await home.refused("playlist/save", id=other, name="one"))["message"]
    assert (await home.ask("playlist/save", id=one, name="ONE"))["name"] == "ONE"


async def test_a_saved_default_list_is_not_overwritten_by_the_next_default(home: Home) -> None:
    await home.app.upkeep.play_default("kitchen")

    kept = await home.ask("playlist/save", frame="kitchen", name="As it was")

    assert not kept["id"].startswith("default-")
    assert (await home.app.player.current("kitchen"))[1] == kept["id"]


@pytest.mark.parametrize("id", ["../../etc", "a b", "Ä", "x" * 33])
async def test_the_id_of_a_new_playlist_is_a_slug(home: Home, id: str) -> None:
    photo = await home.uid("cat.jpg")
    assert (await home.refused("playlist/save", id=id, name="x", photos=[photo]))["field"] == "id"


async def test_what_is_taken_out_stays_out_and_what_is_new_joins(home: Home) -> None:
    id = await saved(home, "photos without coffee", "Not all")
    cat, eileen = await home.uid("cat.jpg"), await home.uid("eileen.jpg")
    await home.ask("playlist/save", id=id, remove=[cat])
    assert "cat.jpg" not in await home.names(id)
    rest = (await home.ask("playlist/get", id=id))["items"]
    order = [eileen, *(item["photo"] for item in rest if item["photo"] != eileen)]
    await home.ask("playlist/save", id=id, photos=order)

    write_photo("motorcycle_left.png", home.album / "motorcycle.jpg", taken="2023:03:03 12:00:00")
    await analysed(home.app, len(PHOTOS) + 2)
    await home.refreshed()

    names = await home.names(id)
    assert "cat.jpg" not in names
    assert "motorcycle.jpg" in names
    assert names[0] == "eileen.jpg"
    await home.ask("playlist/save", id=id, add=[cat])
    assert (await home.names(id))[-1] == "cat.jpg"
    (home.album / "motorcycle.jpg").unlink()

    async def gone() -> bool:
        return "motorcycle.jpg" not in await home.names(id)

    await until(gone)


async def test_a_picture_taken_out_leaves_the_frame_too(home: Home) -> None:
    id = await saved(home, "photos", "Shown")
    before = await home.app.player.state_payload("kitchen")
    listed = await home.names(id)

    await home.ask("playlist/save", id=id, remove=[before["photo"]])

    after = await home.app.player.state_payload("kitchen")
    assert after["photo"] != before["photo"]
    assert (after["count"], before["count"]) == (len(listed) - 1, len(listed)), listed


async def test_of_two_edits_at_once_neither_undoes_the_other(home: Home) -> None:
    id = await saved(home, "photos", "Busy")
    cat, coffee = await home.uid("cat.jpg"), await home.uid("coffee.jpg")

    await asyncio.gather(*(home.ask("playlist/save", id=id, remove=[photo]) for photo in (cat, coffee)))
    left = await home.names(id)
    await asyncio.gather(*(home.ask("playlist/save", id=id, add=[photo]) for photo in (cat, coffee)))

    assert {"cat.jpg", "coffee.jpg"}.isdisjoint(left)
    assert sorted(await home.names(id)) == sorted([*left, "cat.jpg", "coffee.jpg"])
    assert (await home.refused("playlist/save", id=id, add=["nobody"]))["field"] == "add"


async def test_favourites_join_and_leave_their_playlist(home: Home) -> None:
    cat, coffee = await home.uid("cat.jpg"), await home.uid("coffee.jpg")
    await home.ask("photo/favourite", id=cat)
    assert await home.found("my favourites") == ["cat.jpg"]  # at once
    id = await saved(home, "my favourites", "Loved")

    await home.ask("photo/favourite", id=coffee)
    await home.refreshed()
    assert sorted(await home.names(id)) == ["cat.jpg", "coffee.jpg"]

    await home.ask("photo/favourite", id=cat, on=False)

    async def left() -> bool:
        return await home.names(id) == ["coffee.jpg"]

    await until(left)
    await home.ask("photo/favourite", id=coffee, on=False)


async def test_hiding_counts_at_once_and_for_copies_too(home: Home) -> None:
    rocket, small = await home.uid("rocket.jpg"), await home.uid("rocket-small.jpg")
    assert await home.found("January 2022") == ["rocket.jpg"]

    hidden = await home.ask("photo/hide", id=rocket)

    assert sorted(hidden["photos"]) == sorted([rocket, small])
    assert await home.found("photos") == ["cat.jpg", "coffee.jpg", "eileen.jpg"]
    listed = await home.ask("photo/list", state="hidden")
    assert (listed["count"], {item["photo"] for item in listed["items"]}) == (2, {rocket, small})
    await home.ask("photo/hide", id=small, on=False)
    assert "rocket.jpg" in await home.found("photos")


async def test_undo_at_a_frame_takes_back_what_was_decided_there(home: Home) -> None:
    await home.ask("playlist/set", frame="kitchen", photos=[await home.uid("cat.jpg"), await home.uid("coffee.jpg")])
    for action, loved in (("favourite", True), ("favourite", False), ("undo", True), ("undo", False)):
        await home.ask("frame/cmd", frame="kitchen", action=action)
        assert (await home.app.player.state_payload("kitchen"))["favourite"] is loved


async def test_relative_days_move_on(home: Home) -> None:
    christmas = datetime(datetime.now(UTC).year + 1, 12, 25, 12, tzinfo=UTC).timestamp()
    july = datetime(datetime.now(UTC).year + 2, 7, 14, 12, tzinfo=UTC).timestamp()
    start = home.clock()
    home.ahead_s += christmas - start
    id = await saved(home, "photos taken on this day in past years", "Back then")
    assert await home.names(id) == ["coffee.jpg"]

    home.ahead_s += july - christmas
    await home.refreshed()

    assert await home.names(id) == ["cat.jpg"]
    await home.ask("playlist/delete", id=id)
    home.ahead_s = 0.0


async def test_a_frame_with_a_filter_gets_a_list_of_its_own(home: Home) -> None:
    await home.ask("ask", text="photos on all frames")

    _, kitchen = await home.app.player.current("kitchen")
    _, hall = await home.app.player.current("hall")
    assert "cat.jpg" in await home.names(str(kitchen))
    assert sorted(await home.names(str(hall))) == ["coffee.jpg", "eileen.jpg", "rocket.jpg"]


async def test_only_what_is_on_a_frame_is_said_to_be_shown(home: Home) -> None:
    searched = await home.ask("photo/search", text="cats")
    dry = await home.ask("ask", text="cats", frame="kitchen", dry_run=True)
    nowhere = await home.ask("ask", text="cats")
    shown = await home.ask("ask", text="cats on the kitchen frame")

    assert searched["speech"].startswith("I found one photo")
    assert dry["speech"].startswith("I found one photo")
    assert nowhere["speech"].startswith("I found one photo")
    assert nowhere["speech"].endswith("Say on which frame: I know Hall, Kitchen.")
    assert shown["speech"].startswith("Showing one photo")


async def test_a_follow_up_narrows_what_the_frame_plays(home: Home) -> None:
    await home.ask("ask", text="photos from 2019 to 2021", frame="kitchen")

    narrowed = await home.ask("ask", text="only the ones with coffee", frame="kitchen")

    assert [item["path"].rpartition("/")[2] for item in narrowed["items"]] == ["coffee.jpg"]


async def test_a_follow_up_that_says_no_people_takes_them_out(home: Home) -> None:
    whole = await home.ask("ask", text="photos from 2019 to 2021", frame="kitchen")

    without = await home.ask("ask", text="no people", frame="kitchen")

    assert without["plan"]["some_people"] is False
    assert without["plan"]["dates"] == whole["plan"]["dates"]


@pytest.mark.parametrize("state", ["failed", "parked"])
async def test_files_that_cannot_be_read_are_listed_and_counted_with_their_reason(home: Home, state: str) -> None:
    listed = await home.over_http("photo/list", state=state)
    assert listed["count"] == 1
    assert listed["items"][0]["path"].endswith("broken.jpg")
    assert "cut short" in listed["items"][0]["problem"]


async def test_lists_of_photos_come_in_pages(home: Home) -> None:
    pages = [await home.ask("photo/list", state="all", limit=2, offset=offset) for offset in (0, 2, 4)]
    whole: list[Any] = [item["photo"] for page in pages for item in page["items"]]
    assert [page["count"] for page in pages] == [5, 5, 5]
    assert len(set(whole)) == 5


async def test_the_library_s_state_is_told_by_folder_with_what_was_put_aside(home: Home) -> None:
    said = await home.over_http("library/status")

    [root] = said["roots"]
    assert (root["path"], root["files"], root["photos"], root["parked"]) == (str(home.album), 6, 5, 1)
    assert (said["photos"], said["analysed"], said["pending"], said["parked"]) == (5, 5, 0, 1)
    assert [reason["files"] for reason in said["reasons"]] == [1]
    assert said["last_scan"] is not None
    assert said["scanning"] is False


async def test_a_favourite_stands_for_its_burst_at_once(home: Home) -> None:
    cat, coffee = await home.uid("cat.jpg"), await home.uid("coffee.jpg")

    def burst(first: int | None, best: str | None) -> Any:
        query = "update photos set burst = ?, burst_best = (uid = ?) where uid in (?, ?)"
        return lambda c: c.exec_driver_sql(query, (first, best, cat, coffee)).close()

    ids = await home.app.database.read(
        lambda c: {uid: id for uid, id in c.exec_driver_sql("select uid, id from photos").all()}
    )
    await home.app.database.write(burst(ids[cat], coffee))
    await home.app.index.refresh([ids[cat], ids[coffee]])
    assert "cat.jpg" not in await home.found("photos")

    await home.ask("photo/favourite", id=cat)

    assert "cat.jpg" in await home.found("photos")
    assert "coffee.jpg" not in await home.found("photos")
    await home.ask("photo/favourite", id=cat, on=False)
    await home.app.database.write(burst(None, None))
    await home.app.index.refresh([ids[cat], ids[coffee]])


async def test_a_photo_that_is_analysed_again_is_found_meanwhile(home: Home) -> None:
    await home.ask("options/set", paused=True)
    cat = await home.uid("cat.jpg")
    await home.ask("photo/tag", id=cat, tags=["Whiskers"])

    assert (await home.ask("photo/get", id=cat))["state"] == "pending"
    assert "cat.jpg" in await home.found("photos")
    await home.app.index.build()  # as after a restart
    assert "cat.jpg" in await home.found("photos")

    await home.ask("options/set", paused=False)

    async def found_by_its_tag() -> bool:
        return await home.found("whiskers") == ["cat.jpg"]

    await until(found_by_its_tag)


async def test_the_same_wish_for_the_same_frame_makes_no_second_list(home: Home) -> None:
    first = (await home.ask("ask", text="rockets", frame="kitchen"))["playlist"]["id"]
    await home.ask("ask", text="coffee", frame="kitchen")

    assert (await home.ask("ask", text="show me rockets", frame="kitchen"))["playlist"]["id"] == first
    assert (await home.ask("ask", text="rockets", frame="hall"))["playlist"]["id"] != first
    kept = await home.ask("playlist/save", id=first, name="My rockets")
    assert (await home.ask("ask", text="rockets", frame="kitchen"))["playlist"]["id"] != kept["id"]
    await home.ask("playlist/delete", id=first)


async def test_what_is_said_about_the_shown_picture_is_done_to_it(home: Home) -> None:
    asked = await home.ask("ask", text="photos from 2019 to 2021", frame="kitchen")
    playlist = asked["playlist"]["id"]
    first = (await home.app.player.current("kitchen"))[0]

    about = await home.ask("ask", text="where was this taken?", frame="kitchen")
    assert "It was taken on " in about["speech"]
    assert (about["count"], about["playlist"]["id"]) == (0, playlist)

    assert (await home.ask("ask", text="something else please", frame="kitchen"))["speech"] == "Picture 2 of 3."
    second, _ = await home.app.player.current("kitchen")
    assert second != first
    assert (await home.ask("ask", text="go back on the kitchen frame"))["speech"] == "Picture 1 of 3."

    assert (await home.ask("ask", text="not that one", frame="kitchen"))["speech"] == "Left out of this list."
    assert (await home.app.player.current("kitchen"))[0] != first
    assert len(await home.names(playlist)) == 2
    assert (await home.ask("ask", text="I like this one", frame="kitchen"))["speech"] == "A favourite now."
    assert (await home.ask("ask", text="I like this one", frame="kitchen"))["speech"] == "A favourite now."
    assert len(await home.found("my favourites")) == 1


@pytest.mark.parametrize("text", ["thank you", "something else", "change every minute"])
async def test_what_names_no_photos_changes_no_wall(home: Home, text: str) -> None:
    before = await home.app.player.current("kitchen"), await home.app.player.current("hall")

    answer = await home.ask("ask", text=text)

    assert answer["speech"].startswith(("I did not hear what to show.", "Say on which frame"))
    assert (await home.app.player.current("kitchen"), await home.app.player.current("hall")) == before


async def test_a_new_rhythm_keeps_the_pictures(home: Home) -> None:
    before = (await home.app.player.current("kitchen"))[1]

    answer = await home.ask("ask", text="change every two minutes on the kitchen frame")

    assert answer["speech"] == "The Kitchen frame changes every 2 minutes."
    assert home.app.registry.get("kitchen").interval_s == 120
    assert (await home.app.player.current("kitchen"))[1] == before


async def test_a_misspelt_name_is_taken_for_the_near_one_and_said(home: Home) -> None:
    uid = await home.uid("eileen.jpg")
    ids = await home.app.database.read(lambda c: photos.ids_of(c, [uid]))
    await home.app.database.write(lambda c: photos.set_people(c, ids[uid], [("Eileen Collins", None)], "file"))
    await home.app.index.refresh([ids[uid]])
    home.app.names.changed(now=True)

    answer = await home.ask("ask", text="photos of eilleen", dry_run=True)

    assert answer["speech"] == "I took “eilleen” for Eileen Collins. I found one photo of Eileen Collins."
    assert [item["why"] for item in answer["items"]] == [["Eileen Collins"]]


async def test_a_reason_tells_what_is_seen_from_what_is_written(home: Home) -> None:
    seen = (await home.ask("ask", text="cats", dry_run=True))["items"]
    named = (await home.ask("ask", text="eileen.jpg", dry_run=True))["items"]

    assert [item["why"] for item in seen] == [["shows cats"]]
    assert all(not reason.startswith("shows") for item in named for reason in item["why"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("photos taken between 9 and 11 in the morning", ["cat.jpg", "coffee.jpg"]),
        ("photos taken after 2 pm", ["eileen.jpg"]),
        ("photos at night or after 2 pm", ["eileen.jpg"]),
        ("photos from 2019 after 10:30", []),
    ],
)
async def test_a_time_of_the_clock_is_that_of_where_it_was_taken(home: Home, text: str, names: list[str]) -> None:
    assert [name for name in await home.found(text) if name in PHOTOS] == names


async def test_a_frame_is_switched_and_lit_by_a_sentence(home: Home) -> None:
    assert (await home.ask("ask", text="turn off the hall frame"))["speech"].startswith("The Hall frame is off.")
    assert not home.app.registry.get("hall").on
    assert (await home.ask("ask", text="coffee", frame="hall"))["speech"].endswith("on the Hall frame. It is off now.")
    assert (await home.ask("ask", text="turn it back on", frame="hall"))["speech"] == "The Hall frame is on again."
    assert home.app.registry.get("hall").on

    said = (await home.ask("ask", text="make it darker please", frame="hall"))["speech"]
    assert said == "The brightness of the Hall frame is 80 percent now."
    assert home.app.registry.get("hall").brightness == 80
    await home.ask("ask", text="full brightness on the hall")
    assert (await home.ask("ask", text="brighter", frame="hall"))["speech"].endswith("as bright as it can be already.")


async def test_a_shown_photo_goes_to_another_frame_which_keeps_its_list(home: Home) -> None:
    await home.ask("ask", text="coffee", frame="kitchen")
    listed = (await home.ask("ask", text="photos from 2019 to 2022", frame="hall"))["playlist"]["id"]

    said = (await home.ask("ask", text="show this photo on the hall frame too", frame="kitchen"))["speech"]

    assert said == "The Hall frame shows it too, then its own list again."
    shown = (await home.app.player.current("kitchen"))[0]
    assert await home.app.player.current("hall") == (shown, listed)


async def test_the_list_before_comes_back_and_a_saved_one_by_its_name(home: Home) -> None:
    first = (await home.ask("ask", text="coffee", frame="kitchen"))["playlist"]["id"]
    said = (await home.ask("ask", text="save this as Mornings with coffee", frame="kitchen"))["speech"]
    assert said.startswith("Saved as “Mornings with coffee”, one photo")
    await home.ask("ask", text="rockets", frame="kitchen")

    await home.ask("ask", text="go back to the last playlist", frame="kitchen")
    assert (await home.app.player.current("kitchen"))[1] == first
    await home.ask("ask", text="rockets", frame="kitchen")
    await home.ask("ask", text="play my mornings with coffee playlist on the kitchen frame")
    assert (await home.app.player.current("kitchen"))[1] == first
    missing = await home.ask("ask", text="play the playlist Zebras", frame="kitchen")
    assert "No playlist is called “Zebras”, so its words were searched for." in missing["problems"]
    await home.ask("playlist/delete", id=first)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("delete this photo", "I never delete a photo."),
        ("print this picture", "I only show photos on frames"),
        ("turn off the light", "I only look after photos and frames."),
        ("turn off the kitchen frame at ten", "I do that only at once."),
        ("never mind", "All right, nothing was changed."),
        ("how many photos from 2019 are there?", "I found one photo from 2019."),
        ("what is playing?", "The Kitchen frame shows “"),
        ("is Anna in this picture?", "I don't know of anybody on it."),
        ("what can you do?", "Say for example: "),
    ],
)
async def test_what_no_frame_can_do_is_said_and_changes_nothing(home: Home, text: str, said: str) -> None:
    await home.ask("ask", text="coffee", frame="kitchen")
    before = await home.ask("frame/list")

    answer = await home.ask("ask", text=text, frame="kitchen")

    assert answer["speech"].startswith(said)
    assert await home.ask("frame/list") == before


async def test_what_came_on_one_day_is_newest_as_it_was_taken(home: Home) -> None:
    answer = await home.ask("photo/search", text="the newest photos")

    names = [Path(item["path"]).name for item in answer["items"]]
    assert [name for name in names if name in PHOTOS] == ["rocket.jpg", "coffee.jpg", "eileen.jpg", "cat.jpg"]


async def test_a_search_is_about_photos_also_where_a_frame_would_be_steered(home: Home) -> None:
    plan = (await home.ask("photo/search", text="sleep"))["plan"]

    assert (plan.get("steer"), plan["semantic"]) == (None, "sleep")
