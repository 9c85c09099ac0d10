"""Roots, folders and files: where the photos lie, and which files still have to be read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, literal_column, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from framed.store.tables import files, folders, photo_steps, photos, roots

T = TypeVar("T")
CHUNK = 500
RETRY_MAX_S = 86_400.0

# SQLite uses the partial index `files_todo` only where the query repeats its condition word for word.
_UNREAD = files.c.state != literal_column("'read'")


class StoredRoot(NamedTuple):
    id: int
    path: bytes
    device: int | None
    last_scan_at: float | None
    problem: str | None


class StoredFolder(NamedTuple):
    id: int
    path: bytes
    mtime_ns: int | None


class StoredFile(NamedTuple):
    id: int
    folder_id: int
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    sidecar_ns: int | None


class PlacedFile(NamedTuple):
    """A stored file and where it lay."""

    id: int
    folder_id: int
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    sidecar_ns: int | None
    root_id: int
    root: bytes
    device: int | None
    folder: bytes


class WaitingFile(NamedTuple):
    id: int
    root: bytes
    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    sidecar_ns: int | None
    photo_id: int | None


class Gone(NamedTuple):
    """A photo that no file holds any more."""

    photo_id: int
    uid: str


class FileValues(NamedTuple):
    name: bytes
    size: int
    mtime_ns: int
    inode: int
    sidecar_ns: int | None
    retry_at: float | None


@dataclass
class FolderChange:
    """What a scan found different in one folder. `id` None: the folder is new, unless the store knows its path."""

    root_id: int
    path: bytes
    id: int | None
    mtime_ns: int | None  # None: look again at the next pass
    added: list[FileValues] = field(default_factory=list)
    changed: list[tuple[int, FileValues]] = field(default_factory=list)  # to be read again
    moved: list[tuple[int, FileValues, bool]] = field(default_factory=list)  # True: to be read again as well
    touched: list[tuple[int, int]] = field(default_factory=list)  # (file, inode): the number alone is another


@dataclass
class Removed:
    files: int = 0
    waiting: list[int] = field(default_factory=list)  # files kept until an unread one of the same size has been read
    gone: list[Gone] = field(default_factory=list)


# -- roots -----------------------------------------------------------------------------------------------------------


def all_roots(connection: Connection) -> list[StoredRoot]:
    query = select(roots.c.id, roots.c.path, roots.c.device, roots.c.last_scan_at, roots.c.problem)
    return [StoredRoot(*row) for row in connection.execute(query.order_by(roots.c.id))]


def add_root(connection: Connection, path: bytes) -> int:
    return int(connection.execute(insert(roots).values(path=path).returning(roots.c.id)).scalar_one())


def drop_root(connection: Connection, root_id: int) -> None:
    """Its files must have been removed before, or their photos never learn of it."""
    connection.execute(delete(roots).where(roots.c.id == root_id))


def scanned_root(connection: Connection, root_id: int, *, device: int | None, at: float, problem: str | None) -> None:
    values: dict[str, Any] = {"last_scan_at": at, "problem": problem}
    if device is not None:
        values["device"] = device
    connection.execute(update(roots).where(roots.c.id == root_id).values(values))


def root_problem(connection: Connection, root_id: int, problem: str | None) -> None:
    connection.execute(update(roots).where(roots.c.id == root_id).values(problem=problem))


def files_under_root(connection: Connection, root_id: int) -> int:
    query = select(func.count()).select_from(files.join(folders)).where(folders.c.root_id == root_id)
    return int(connection.execute(query).scalar_one())


def some_files(connection: Connection, root_id: int) -> dict[int, int]:
    """The next files under a root, by file its folder."""
    query = select(files.c.id, files.c.folder_id).join(folders).where(folders.c.root_id == root_id).limit(CHUNK)
    return {file: folder for file, folder in connection.execute(query)}


def files_after(connection: Connection, root_id: int, after: int) -> list[tuple[int, int, bytes, bytes]]:
    """The next files under a root by id: file, folder, the folder's path, name."""
    query = (
        select(files.c.id, files.c.folder_id, folders.c.path, files.c.name)
        .join(folders)
        .where(folders.c.root_id == root_id, files.c.id > after)
        .order_by(files.c.id)
        .limit(CHUNK)
    )
    return [(row.id, row.folder_id, row.path, row.name) for row in connection.execute(query)]


# -- comparing -------------------------------------------------------------------------------------------------------


def folders_at(connection: Connection, root_id: int, paths: Sequence[bytes]) -> dict[bytes, StoredFolder]:
    query = select(folders.c.id, folders.c.path, folders.c.mtime_ns)
    query = query.where(folders.c.root_id == root_id, folders.c.path.in_(paths))
    return {row.path: StoredFolder(*row) for row in connection.execute(query)}


def folders_after(connection: Connection, root_id: int, last_id: int) -> list[StoredFolder]:
    query = select(folders.c.id, folders.c.path, folders.c.mtime_ns)
    query = query.where(folders.c.root_id == root_id, folders.c.id > last_id).order_by(folders.c.id).limit(CHUNK)
    return [StoredFolder(*row) for row in connection.execute(query)]


def folders_under(connection: Connection, root_id: int, path: bytes) -> list[tuple[int, bytes]]:
    """Every stored folder below `path`, without itself, by id and path."""
    query = select(folders.c.id, folders.c.path).where(folders.c.root_id == root_id)
    if path:  # "0" follows "/" in ASCII, so this is a range of the index
        query = query.where(folders.c.path > path + b"/", folders.c.path < path + b"0")
    else:
        query = query.where(folders.c.path > b"")
    return [(row.id, row.path) for row in connection.execute(query)]


def files_in(connection: Connection, folder_ids: Collection[int]) -> dict[int, dict[bytes, StoredFile]]:
    columns = (files.c.id, files.c.folder_id, files.c.name, files.c.size, files.c.mtime_ns, files.c.inode)
    query = select(*columns, files.c.sidecar_ns).where(files.c.folder_id.in_(folder_ids))
    found: dict[int, dict[bytes, StoredFile]] = {folder: {} for folder in folder_ids}
    for row in connection.execute(query):
        file = StoredFile(*row)
        found[file.folder_id][file.name] = file
    return found


def files_at_inodes(connection: Connection, inodes: Iterable[int]) -> dict[int, list[PlacedFile]]:
    columns = (files.c.id, files.c.folder_id, files.c.name, files.c.size, files.c.mtime_ns, files.c.inode)
    query = (
        select(*columns, files.c.sidecar_ns, folders.c.root_id, roots.c.path, roots.c.device, folders.c.path)
        .select_from(files.join(folders).join(roots))
        .where(files.c.inode.in_(bindparam("inodes", expanding=True)))
    )
    found: dict[int, list[PlacedFile]] = {}
    for chunk in chunks(sorted(set(inodes))):
        for row in connection.execute(query, {"inodes": chunk}):
            file = PlacedFile(*row)
            found.setdefault(file.inode, []).append(file)
    return found


def ids_in_folders(connection: Connection, folder_ids: Iterable[int]) -> dict[int, int]:
    """By file the folder, for every file in these folders."""
    found: dict[int, int] = {}
    for chunk in chunks(list(folder_ids)):
        query = select(files.c.id, files.c.folder_id).where(files.c.folder_id.in_(chunk))
        found.update({file: folder for file, folder in connection.execute(query)})
    return found


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterable[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


# -- writing what a scan found ---------------------------------------------------------------------------------------


def rename_folders(connection: Connection, renames: Sequence[tuple[int, int, bytes]]) -> None:
    """(folder, its root, its path) for each; the rows of the files stay as they are."""
    for folder_id, root_id, path in renames:
        connection.execute(update(folders).where(folders.c.id == folder_id).values(root_id=root_id, path=path))


def apply(connection: Connection, changes: Sequence[FolderChange], freed: Sequence[int] = ()) -> set[int]:
    """Gives the ids of the folders. `freed`: files that leave their names, before any other takes one."""
    _free_names(connection, freed)
    ids: set[int] = set()
    for change in changes:
        folder_id = change.id if change.id is not None else _folder(connection, change)
        ids.add(folder_id)
        _update(connection, folder_id, change)
        if change.added:
            rows = [{"folder_id": folder_id, "state": "new", **values._asdict()} for values in change.added]
            connection.execute(insert(files), rows)
        connection.execute(update(folders).where(folders.c.id == folder_id).values(mtime_ns=change.mtime_ns))
    return ids


def _folder(connection: Connection, change: FolderChange) -> int:
    known = folders_at(connection, change.root_id, [change.path]).get(change.path)
    if known is not None:
        return known.id
    row = insert(folders).values(root_id=change.root_id, path=change.path).returning(folders.c.id)
    return int(connection.execute(row).scalar_one())


def _free_names(connection: Connection, ids: Sequence[int]) -> None:
    """Gives them names that no file can have, so that files may swap names; a scan cut short then misses them."""
    if ids:
        statement = update(files).where(files.c.id == bindparam("file")).values(name=bindparam("free"))
        connection.execute(statement, [{"file": file, "free": b"%d/" % file} for file in ids])


def _update(connection: Connection, folder_id: int, change: FolderChange) -> None:
    again = {"state": "new", "problem": None}
    place = update(files).where(files.c.id == bindparam("file"))
    stays = [(file, values) for file, values, reread in change.moved if not reread]
    reread = [*change.changed, *((file, values) for file, values, reread in change.moved if reread)]
    if stays:
        names = ("name", "size", "mtime_ns", "inode", "sidecar_ns")
        statement = place.values(folder_id=folder_id, **{name: bindparam("to_" + name) for name in names})
        rows = [{"to_" + name: getattr(values, name) for name in names} | {"file": file} for file, values in stays]
        connection.execute(statement, rows)
    if reread:
        statement = place.values(
            folder_id=folder_id, **again, **{name: bindparam("to_" + name) for name in FileValues._fields}
        )
        rows = [
            {"to_" + name: value for name, value in values._asdict().items()} | {"file": file}
            for file, values in reread
        ]
        connection.execute(statement, rows)
    if change.touched:
        statement = place.values(inode=bindparam("to_inode"))
        connection.execute(statement, [{"file": file, "to_inode": inode} for file, inode in change.touched])


def look_again(connection: Connection, folder_ids: Collection[int]) -> None:
    for chunk in chunks(list(folder_ids)):
        connection.execute(update(folders).where(folders.c.id.in_(chunk)).values(mtime_ns=None))


# -- removing --------------------------------------------------------------------------------------------------------


def remove(connection: Connection, vanished: Mapping[int, int], *, now: float, wait: bool = True) -> Removed:
    """Removes files by (file: the folder it vanished from); one that has moved elsewhere since is left alone.

    With `wait`, a file whose size equals that of an unread new file stays: it was perhaps copied to another disk, and
    reading the copy will tell. At most CHUNK files a call.
    """
    query = select(files.c.id, files.c.folder_id, files.c.size, files.c.photo_id).where(files.c.id.in_(list(vanished)))
    rows = [row for row in connection.execute(query) if vanished[row.id] == row.folder_id]
    unread = [row.id for row in rows if row.photo_id is None]
    connection.execute(delete(files).where(files.c.id.in_(unread)))
    read = [row for row in rows if row.photo_id is not None]
    kept = _unread_sizes(connection, {row.size for row in read}) if wait and read else set()
    leaving = [row for row in read if row.size not in kept]
    connection.execute(delete(files).where(files.c.id.in_([row.id for row in leaving])))
    gone = orphaned(connection, {row.photo_id for row in leaving}, now=now)
    return Removed(len(unread) + len(leaving), [row.id for row in read if row.size in kept], gone)


def _unread_sizes(connection: Connection, sizes: set[int]) -> set[int]:
    query = select(files.c.size).where(_UNREAD, files.c.state == "new", files.c.photo_id.is_(None))
    return set(connection.execute(query.where(files.c.size.in_(sizes))).scalars())


def remove_empty_folders(connection: Connection, folder_ids: Collection[int]) -> None:
    for chunk in chunks(list(folder_ids)):
        occupied = exists().where(files.c.folder_id == folders.c.id)
        connection.execute(delete(folders).where(folders.c.id.in_(chunk), ~occupied))


def orphaned(connection: Connection, photo_ids: Collection[int], *, now: float) -> list[Gone]:
    """Marks those of the photos that no file holds any more; their rows and results stay for when they return."""
    held = exists().where(files.c.photo_id == photos.c.id)
    query = select(photos.c.id, photos.c.uid).where(photos.c.id.in_(list(photo_ids)), photos.c.state != "gone", ~held)
    gone = [Gone(*row) for row in connection.execute(query)]
    if gone:
        those = photos.c.id.in_([photo.photo_id for photo in gone])
        connection.execute(update(photos).where(those).values(state="gone", gone_at=now))
    return gone


def held(connection: Connection, photo_id: int) -> bool:
    """Whether any file holds the photo."""
    return connection.execute(select(files.c.id).where(files.c.photo_id == photo_id).limit(1)).first() is not None


def restore(connection: Connection, photo_id: int, *, steps: Collection[str] = ()) -> bool:
    """Brings a photo back that was gone, in the state that its steps say; False when it was not gone.

    `steps` names the steps that every photo has: where one is not done yet, or to be done anew, the photo is `pending`
    and goes on from what it has.
    """
    if connection.execute(_STATE, {"b_photo": photo_id}).scalar() != "gone":
        return False
    query = select(photo_steps.c.step, photo_steps.c.state)
    query = query.where(photo_steps.c.photo_id == photo_id, photo_steps.c.version > 0)
    states: dict[str, str] = {step: state for step, state in connection.execute(query)}
    values = {"state": _state_of(states, steps), "gone_at": None}
    connection.execute(update(photos).where(photos.c.id == photo_id).values(values))
    return True


def _state_of(states: Mapping[str, str], steps: Collection[str]) -> str:
    if not states or not states.keys() >= set(steps):
        return "pending"
    found = set(states.values())
    if found <= {"completed", "skipped"}:
        return "completed"
    return "partial" if "completed" in found else "failed"


# -- reading ---------------------------------------------------------------------------------------------------------


def todo(connection: Connection, limit: int, *, now: float, busy: Collection[int] = ()) -> list[WaitingFile]:
    """Unread files whose time has come, newest row first: a photo just added does not wait behind a first import."""
    query = (
        select(
            files.c.id,
            roots.c.path,
            folders.c.path,
            files.c.name,
            files.c.size,
            files.c.mtime_ns,
            files.c.inode,
            files.c.sidecar_ns,
            files.c.photo_id,
        )
        .select_from(files.join(folders).join(roots))
        .where(_UNREAD, files.c.state == "new", due(now))
        .order_by(files.c.id.desc())
        .limit(limit)
    )
    if busy:
        query = query.where(files.c.id.not_in(busy))
    return [WaitingFile(*row) for row in connection.execute(query)]


def due(now: float) -> ColumnElement[bool]:
    """A time further ahead than any retry was written under a clock that was wrong."""
    when = files.c.retry_at
    return or_(when.is_(None), when <= now, when > now + RETRY_MAX_S)


def count_due(connection: Connection, *, now: float) -> int:
    query = select(func.count()).select_from(files).where(_UNREAD, files.c.state == "new", due(now))
    return int(connection.execute(query).scalar_one())


def next_retry(connection: Connection, *, now: float) -> float | None:
    """When the next file that still has to wait comes due."""
    ahead = and_(files.c.retry_at > now, files.c.retry_at <= now + RETRY_MAX_S)
    query = select(func.min(files.c.retry_at)).where(_UNREAD, files.c.state == "new", ahead)
    return connection.execute(query).scalar()


def shift_retries(connection: Connection, seconds: float) -> None:
    """After the system clock jumped by `seconds`."""
    waiting = and_(_UNREAD, files.c.retry_at.is_not(None))
    connection.execute(update(files).where(waiting).values(retry_at=files.c.retry_at + seconds))


def note_look(connection: Connection, looks: Sequence[tuple[int, int, int, float]]) -> None:
    """(file, size, mtime_ns, retry_at) for files that were found still being written, or missing."""
    if looks:
        statement = update(files).where(files.c.id == bindparam("file"), files.c.state == "new")
        names = ("file", "to_size", "to_mtime", "to_retry")
        connection.execute(
            statement.values(size=bindparam("to_size"), mtime_ns=bindparam("to_mtime"), retry_at=bindparam("to_retry")),
            [dict(zip(names, look, strict=True)) for look in looks],
        )


def mark_read(
    connection: Connection,
    file_id: int,
    photo_id: int,
    *,
    now: float,
    seen: tuple[int, int, int, int | None] | None = None,
    steps: Collection[str] = (),
) -> tuple[bool, list[Gone]]:
    """Says that the file holds the photo. Gives whether the photo was gone and is back, and the photos that lost
    their last file by it (the file held another photo before it was edited).

    `seen` (size, mtime_ns, inode, sidecar_ns) is how the file was when it was handed out: where it has changed since,
    nothing is marked and it is handed out again.
    """
    before = _as_seen(connection, file_id, seen)
    if before is None:
        return False, orphaned(connection, {photo_id}, now=now)
    connection.execute(_READ, {"b_file": file_id, "b_photo": photo_id})
    back = restore(connection, photo_id, steps=steps)
    others = before - {photo_id}
    return back, orphaned(connection, others, now=now) if others else []


def park(
    connection: Connection,
    file_id: int,
    problem: str,
    *,
    now: float,
    seen: tuple[int, int, int, int | None] | None = None,
    again_at: float | None = None,
) -> list[Gone]:
    """Puts a file aside until it changes, or from `again_at` on until it can be opened; a photo that only this file
    held is gone. `seen` as in `mark_read`."""
    before = _as_seen(connection, file_id, seen)
    if before is None:
        return []
    values = {"state": "parked", "problem": problem, "retry_at": again_at, "photo_id": None}
    connection.execute(update(files).where(files.c.id == file_id).values(values))
    return orphaned(connection, before, now=now) if before else []


def parked_due(connection: Connection, root_id: int, *, now: float, limit: int = CHUNK) -> list[tuple[int, bytes]]:
    """Parked files that may be opened again by now: id and path under the root."""
    query = (
        select(files.c.id, folders.c.path, files.c.name)
        .select_from(files.join(folders))
        .where(_UNREAD, files.c.state == "parked", folders.c.root_id == root_id)
        .where(files.c.retry_at.is_not(None), due(now))
        .order_by(files.c.retry_at)
        .limit(limit)
    )
    return [(file, folder + b"/" + name if folder else name) for file, folder, name in connection.execute(query)]


def unpark(connection: Connection, ids: Collection[int]) -> None:
    statement = update(files).where(files.c.id.in_(list(ids)), files.c.state == "parked")
    connection.execute(statement.values(state="new", problem=None, retry_at=None))


def unpark_all(connection: Connection) -> int:
    """Hands every file out again that was put aside: what may be read is another. How many."""
    done = connection.execute(
        update(files).where(_UNREAD, files.c.state == "parked").values(state="new", problem=None, retry_at=None)
    )
    return int(done.rowcount)


_SEEN = select(files.c.size, files.c.mtime_ns, files.c.inode, files.c.sidecar_ns, files.c.photo_id).where(
    files.c.id == bindparam("b_file")
)
_READ = (
    update(files)
    .where(files.c.id == bindparam("b_file"))
    .values(state="read", problem=None, retry_at=None, photo_id=bindparam("b_photo"))
)
_STATE = select(photos.c.state).where(photos.c.id == bindparam("b_photo"))


def _as_seen(connection: Connection, file_id: int, seen: tuple[int, int, int, int | None] | None) -> set[int] | None:
    """The photo that a file held; None where the file is gone or not as it was seen."""
    row = connection.execute(_SEEN, {"b_file": file_id}).first()
    if row is None or (seen is not None and tuple(row[:4]) != tuple(seen)):
        return None
    return set() if row.photo_id is None else {row.photo_id}


def retry_later(connection: Connection, file_id: int, at: float) -> None:
    connection.execute(update(files).where(files.c.id == file_id, files.c.state == "new").values(retry_at=at))
