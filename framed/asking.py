"""The commands that ask a running framed: what is sent, and how its answer is printed."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from framed import remote, terminal
from framed.errors import Unavailable
from framed.options import AsJson, ConfigFile, Data, HttpPort
from framed.remote import call

_STATES = ("failed", "parked", "pending", "completed", "partial", "gone", "hidden", "favourite", "new", "all")


def ask(
    text: Annotated[str, typer.Argument(help='Such as "beach photos from last summer".')],
    frame: Annotated[str | None, typer.Option(metavar="NAME", help="The frame to show them on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Ask for photos in plain words, and show them."""
    wanted: dict[str, Any] = {"text": text, "dry_run": dry_run, "source": "cli"}
    if frame is not None:
        wanted["frame"] = frame
    answer = call("ask", wanted, remote.where(config, data, http_port))
    terminal.show(answer, as_json, lambda: _print_asked(answer, dry_run))


def plan(
    text: Annotated[str, typer.Argument(help='Such as "Christmas 2019 without dad".')],
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Say how a sentence is understood."""
    answer = call("playlist/plan", {"text": text}, remote.where(config, data, http_port))

    def words() -> None:
        terminal.say(f"Understood: {terminal.written(answer.get('understood'))}")
        for sentence in [*answer.get("unknown", []), *answer.get("plan", {}).get("problems", [])]:
            terminal.say(str(sentence))

    terminal.show(answer, as_json, words)


def search(
    text: Annotated[str, typer.Argument(help='Such as "snow in the mountains".')],
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=500, help="The most to list.")] = 20,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Find photos without showing them."""
    answer = call("photo/search", {"text": text, "limit": limit}, remote.where(config, data, http_port))

    def words() -> None:
        listed, matched = len(answer["items"]), int(answer.get("matched", 0))
        if listed:
            of_all = f" of {matched:,}" if matched > listed else ""
            terminal.say(f"Found {listed:,}{of_all}:")
            _print_items(answer)
        else:
            terminal.say(str(answer.get("speech", "")))
        _print_remarks(answer)

    terminal.show(answer, as_json, words)


def similar(
    photo: Annotated[str, typer.Argument(help="A photo's id, or the file.")],
    by: Annotated[
        str,
        typer.Option(metavar="auto|embedding|face|hash", help="Its looks, who is in it, or nearly the same picture."),
    ] = "auto",
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=200, help="The most to list.")] = 20,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Find photos like one photo."""
    wanted = {"id": _id_of(photo), "by": by, "limit": limit}
    answer = call("photo/similar", wanted, remote.where(config, data, http_port))

    def words() -> None:
        _print_items(answer)
        if not answer["items"]:
            terminal.say(str(answer.get("problem") or "Nothing else in the library is like it."))

    terminal.show(answer, as_json, words)


def _id_of(photo: str) -> str:
    """A photo's id is the beginning of the SHA-256 of its file."""
    path = Path(photo).expanduser()
    if not path.is_file():
        if "/" in photo or path.suffix:
            raise Unavailable(f"There is no file {path.absolute()}; name one, or the id of a photo.")
        return photo
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def status(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """Say how framed is doing."""
    at = remote.where(config, data, http_port)
    answer = call("health", {}, at)

    def words() -> None:
        queue, mqtt = answer["queue"], answer["mqtt"]
        terminal.say(f"framed has been up for {terminal.lasted(answer['uptime_s'])}.")
        if library := answer.get("library"):
            terminal.say(_library_words(library))
            for one in library.get("deeper", []):
                terminal.say(_deeper_words(one))
        terminal.say(f"Jobs: {queue['queued']} waiting, {queue['running']} running, {queue['failed']} failed.")
        terminal.say(f"MQTT: {'connected' if mqtt['connected'] else 'not connected'}.")
        terminal.say(f"Memory: {answer['memory_mb']:.0f} MB. Errors in the last hour: {answer['errors_1h']}.")
        if looking := answer.get("image_search"):
            terminal.say(image_search_words(looking))
        if answer.get("problem"):
            terminal.say(f"Problem: {answer['problem']}")
        for sentence in answer.get("advice", []):
            terminal.say(f"Advice: {sentence}")

    terminal.show(answer, as_json, words)


def image_search_words(looking: dict[str, Any]) -> str:
    """Which model looks at the pictures themselves, and how far the next one is."""
    said = f"Pictures are looked through by {looking['model']}." if looking["model"] else ""
    if "next" in looking:
        said += f" {looking['next']} takes over: {looking['done']:,} of {looking['of']:,} photos done."
    return said.strip()


def _library_words(library: dict[str, Any]) -> str:
    parts = [f"{library['analysed']:,} ready"]
    if library["pending"]:
        left = f", about {terminal.lasted(library['eta_s'])}" if "eta_s" in library else ""
        parts.append(f"{library['pending']:,} waiting{left}")
    if library["failed"]:
        parts.append(f"{library['failed']:,} could not be read")
    return f"Photos: {'; '.join(parts)}."


def _deeper_words(one: dict[str, Any]) -> str:
    """A step that is taken when every photo is ready: what is left of it."""
    said = f"Deeper look, {one['step'].replace('_', ' ')}: {one['left']:,} photos left"
    if one.get("problem"):
        return f"{said}. It rests: {one['problem']}"
    return f"{said}, about {terminal.lasted(one['eta_s'])}." if "eta_s" in one else f"{said}."


def rescan(
    path: Annotated[Path | None, typer.Argument(help="A photo folder or one inside it; else all of them.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="What is missing was deleted on purpose.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Look through the photo folders now."""
    wanted: dict[str, Any] = {"confirm": confirm}
    if path is not None:
        wanted["path"] = str(path.expanduser().absolute())
    answer = call("library/rescan", wanted, remote.where(config, data, http_port))
    terminal.show(
        answer, as_json, lambda: terminal.say(f"Scanning. `framed jobs` says how it ends (job {answer['job']}).")
    )


def photos(
    state: Annotated[
        str,
        typer.Option(metavar="STATE", help=f"{', '.join(_STATES[:-1])} or {_STATES[-1]}."),
    ] = "failed",
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=1000, help="The most to list.")] = 100,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """List the photos that cannot be read, or those of a --state."""
    answer = call("photo/list", {"state": state, "limit": limit}, remote.where(config, data, http_port))
    none = "Every photo could be read." if state == "failed" else f"There are no photos with state {state}."
    columns = ("photo", "path", "problem", "caption")
    terminal.show(answer, as_json, lambda: terminal.table(answer["items"], columns, empty=none))


def frames(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """List the frames and what they show."""
    answer = call("frame/list", {}, remote.where(config, data, http_port))
    rows = [
        {
            **item,
            "size": f"{item['width']}×{item['height']}" if item.get("width") else "",
            "online": bool(item.get("online")),
            "plays": item.get("playlist_name"),
            "paused": "paused" if item.get("paused") else "",
            "dark": "" if item.get("on", True) else "dark",
        }
        for item in answer["items"]
    ]
    columns = ("frame", "name", "size", "online", "dark", "paused", "plays", "caption", "error")
    terminal.show(answer, as_json, lambda: terminal.table(rows, columns, empty="No frame is known yet."))


def people(
    person: Annotated[str | None, typer.Argument(help="The id of somebody on the list.")] = None,
    name: Annotated[str | None, typer.Argument(help="What this person is called from now on.")] = None,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """List the people in the photos, or give one of them a name."""
    at = remote.where(config, data, http_port)
    if person is not None and name is not None:
        named = call("person/name", {"id": person, "name": name}, at)
        found = terminal.counted(int(named["photos"]), "photo")
        terminal.show(named, as_json, lambda: terminal.say(f"{found} of {named['name']}."))
        return
    if person is not None:
        answer = call("person/get", {"id": person}, at)
        columns: tuple[str, ...] = ("face", "photo", "quality", "said_by")
        terminal.show(answer, as_json, lambda: terminal.table(answer["items"], columns, empty="No face is known."))
        return
    answer = call("person/list", {}, at)

    def words() -> None:
        rows = [{**item, "name": item["name"] or "(no name yet)"} for item in answer["items"]]
        terminal.table(rows, ("id", "name", "photos"), empty="Nobody was found in the photos yet.")
        if answer["faces_alone"]:
            terminal.say(f"{terminal.counted(int(answer['faces_alone']), 'face')} more, each seen once or not clearly.")

    terminal.show(answer, as_json, words)


def jobs(config: ConfigFile = None, data: Data = None, http_port: HttpPort = None, as_json: AsJson = False) -> None:
    """List the long work, the newest first."""
    answer = call("job/list", {}, remote.where(config, data, http_port))
    rows = [{**job, "progress": f"{100 * float(job.get('progress') or 0):.0f} %"} for job in answer["items"]]
    columns = ("id", "kind", "state", "progress", "step", "error")
    terminal.show(answer, as_json, lambda: terminal.table(rows, columns, empty="There is no long work."))


def link(
    frame: Annotated[str | None, typer.Argument(help="The frame's name; without it: your own page.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Make another; the frame's earlier link ends.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Print the address of a frame's page, or of your own."""
    at = remote.where(config, data, http_port)
    if frame is None:
        call("health", {}, at)  # says what is wrong, if the token or the port is
        answer: dict[str, Any] = {"link": f"http://{at.host}:{at.port}/?token={at.token()}"}
    elif new:
        answer = call("frame/link", {"frame": frame}, at)
    else:
        answer = _link_of(frame, call("frame/list", {}, at)["items"], at)
    terminal.show(answer, as_json, lambda: terminal.say(answer["link"]))


def _link_of(wanted: str, listed: list[dict[str, Any]], at: remote.Where) -> dict[str, Any]:
    for item in listed:
        if wanted.casefold() in (str(item["frame"]).casefold(), str(item.get("name", "")).casefold()):
            return {"frame": item["frame"], "link": item["link"]}
    known = ", ".join(str(item["frame"]) for item in listed) or "none yet"
    raise Unavailable(f"There is no frame {wanted[:40]!r}. The frames are: {known}.")


def account(
    frame: Annotated[str, typer.Argument(help="The frame's name; one that is not known yet will do.")],
    renew: Annotated[bool, typer.Option("--renew", help="Make a new password; the earlier one ends.")] = False,
    config: ConfigFile = None,
    data: Data = None,
    http_port: HttpPort = None,
    as_json: AsJson = False,
) -> None:
    """Print the MQTT address, password included, of a frame."""
    answer = call("frame/account", {"frame": frame, "renew": renew}, remote.where(config, data, http_port))

    def words() -> None:
        terminal.say(answer["url"])
        if answer.get("note"):
            print(answer["note"], file=sys.stderr)  # the address alone can be put into another command

    terminal.show(answer, as_json, words)


def _print_asked(answer: dict[str, Any], dry_run: bool) -> None:
    said = str(answer.get("speech", ""))
    if answer["items"] and dry_run:
        terminal.say(f"It would show {terminal.counted(int(answer['count']), 'photo')}: {answer.get('understood')}.")
    else:
        terminal.say(said)
    for sentence in answer.get("problems", []):
        if str(sentence) not in said:
            terminal.say(str(sentence))
    if answer["items"] and answer.get("frame") is None and not dry_run:
        terminal.say("No frame was named, so every frame keeps its picture. Name one with --frame.")
    _print_items(answer)
    _print_remarks(answer, said)


def _print_items(answer: dict[str, Any]) -> None:
    if answer["items"]:
        terminal.table(answer["items"], ("path", "why"))


def _print_remarks(answer: dict[str, Any], said: str = "") -> None:
    """What was relaxed and left out, where `said` has not said it."""
    for sentence in answer.get("relaxed", []):
        if str(sentence)[1:] in said:
            continue
        terminal.say(f"{str(sentence)[:1].upper()}{str(sentence)[1:]}.")
    left_out = {str(reason): int(count) for reason, count in (answer.get("left_out") or {}).items() if count}
    if left_out:
        terminal.say(f"Left out: {', '.join(f'{count:,} {reason}' for reason, count in left_out.items())}.")
