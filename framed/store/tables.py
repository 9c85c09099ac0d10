"""Every table of the store, as SQLAlchemy Core tables; private to `framed/store/`.

Times named `*_at` are UTC seconds since the epoch (REAL). `taken` is local wall time counted as if it were UTC
(design 5.3: local time is kept, UTC is never invented), so that date words compare with it directly.
Paths are BLOBs: a file name need not be UTF-8.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

roots = Table(
    "roots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", LargeBinary, nullable=False, unique=True),
    Column("device", BigInteger),
    Column("last_scan_at", Float),
    Column("problem", Text),
)

folders = Table(
    "folders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("root_id", Integer, ForeignKey("roots.id", ondelete="CASCADE"), nullable=False),
    Column("path", LargeBinary, nullable=False),  # relative to the root, b"" is the root itself
    Column("mtime_ns", BigInteger),
    UniqueConstraint("root_id", "path"),
)

files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("folder_id", Integer, ForeignKey("folders.id", ondelete="CASCADE"), nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("sidecar_ns", BigInteger),  # newest mtime of its .xmp files, so that an edited sidecar re-reads the photo
    # new: to be read · read: photo_id is its photo · parked: unreadable, `problem` says why, retried when it changes
    Column("state", Text, nullable=False),
    Column("problem", Text),
    Column("retry_at", Float),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="SET NULL"), index=True),
    UniqueConstraint("folder_id", "name"),
    Index("files_todo", "state", sqlite_where=text("state <> 'read'"), postgresql_where=text("state <> 'read'")),
    Index("files_inode", "inode"),
)

photos = Table(
    "photos",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),  # first 16 hex digits of the SHA-256 of the file's bytes
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("state", Text, nullable=False),  # pending, analysing, completed, partial, failed, gone
    Column("added_at", Float, nullable=False),
    Column("gone_at", Float),
    Column("format", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("taken", BigInteger),
    Column("taken_offset_min", Integer),
    Column("taken_source", Text),
    Column("taken_precision", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("camera", Text),
    Column("title", Text),
    Column("caption", Text),
    Column("rating", Integer),
    Column("kind", Text),
    Column("orientation", Text),
    Column("quality", Float),
    Column("aesthetic", Float),  # 0 to 1, how much the household or a model likes it
    Column("monochrome", Boolean),
    Column("pdq", LargeBinary),
    Column("pdq_quality", Integer),
    Column("duplicate_of", Integer),
    Column("near_of", Integer),
    Column("burst", Integer),  # id of the burst's first photo
    Column("burst_best", Boolean),
    Column("favourite", Boolean, nullable=False, default=False, server_default=text("0")),
    Column("hidden", Boolean, nullable=False, default=False, server_default=text("0")),
    Index("photos_todo", "state", "id", sqlite_where=text("state in ('pending', 'analysing')")),
    Index("photos_state", "state"),
    Index(
        "photos_unseen",
        "state",
        "hidden",
        "duplicate_of",
        sqlite_where=text("hidden or duplicate_of is not null"),
        postgresql_where=text("hidden or duplicate_of is not null"),
    ),
    Index("photos_taken", "taken"),
)

photo_steps = Table(
    "photo_steps",
    metadata,
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),  # completed, failed, unavailable, skipped
    Column("attempts", Integer, nullable=False),
    Column("problem", Text),
    Column("result", JSON),
    Column("at", Float, nullable=False),
    Index("photo_steps_failed", "step", "state", sqlite_where=text("state <> 'completed'")),
    # What is undone is asked of this alone: the table itself is as large as all results together.
    Index("photo_steps_done", "step", "photo_id", "version", "state", "attempts"),
    sqlite_with_rowid=False,
)

people = Table(
    "people",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),  # empty until somebody says who it is
    Column("aliases", JSON, nullable=False),
    Column("cover_face", Integer),  # the face that stands for this person, where somebody chose one
    Column("hidden", Boolean, nullable=False, default=False, server_default=text("0")),
)

photo_people = Table(
    "photo_people",
    metadata,
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("person_id", Integer, ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("box", JSON),  # [x, y, w, h] as shares of the upright picture, or null
    Column("source", Text, nullable=False),
    Index("photo_people_person", "person_id"),
    sqlite_with_rowid=False,
)

# A face is found by one model; what a person said of a face is kept apart, by place in the picture, because another
# model finds the same faces again under other ids.
faces = Table(
    "faces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("model", Text, nullable=False),
    Column(
        "box", JSON, nullable=False
    ),  # [x, y, w, h] of the top left corner and size, as shares of the upright picture
    Column("points", JSON),  # landmarks, [[x, y], …] in the same shares
    Column("score", Float, nullable=False),  # the detector's
    Column("quality", Float, nullable=False),  # 0 to 1: size, sharpness and pose; poor ones join only what is very near
    Column("child", Float),  # 0 to 1 where the model can tell
    Column("eyes_open", Float),  # 0 to 1 where the model can tell
    Column("vector", LargeBinary, nullable=False),  # float16, L2-normalised
    Column("person_id", Integer, ForeignKey("people.id", ondelete="SET NULL"), index=True),
    Column("named_by", Text),  # user, metadata, cluster: who said that it is this person
    Column("core", Boolean, nullable=False, default=False, server_default=text("0")),
    Index("faces_model", "model", "person_id"),
)

face_rules = Table(
    "face_rules",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("box", JSON, nullable=False),
    Column("person_id", Integer, ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("rule", Text, nullable=False),  # is, is_not
    Column("at", Float, nullable=False),
)

people_apart = Table(
    "people_apart",
    metadata,
    Column("one", Integer, ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    Column("other", Integer, ForeignKey("people.id", ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

places = Table(
    "places",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("level", Text, nullable=False),  # town, region, country, written (from IPTC or XMP)
    Column("country_code", Text),
)

photo_places = Table(
    "photo_places",
    metadata,
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("place_id", Integer, ForeignKey("places.id", ondelete="CASCADE"), primary_key=True),
    Column("rank", Integer, nullable=False),  # 0 the town people would say, 1 and 2 neighbours, 3 region, 4 country
    Index("photo_places_place", "place_id"),
    sqlite_with_rowid=False,
)

tags = Table(
    "tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

photo_tags = Table(
    "photo_tags",
    metadata,
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True),
    Column("score", Float, nullable=False),
    Column("source", Text, nullable=False),  # model, keyword, user
    Index("photo_tags_tag", "tag_id"),
    sqlite_with_rowid=False,
)

photo_traits = Table(
    "photo_traits",
    metadata,
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("trait", Text, primary_key=True),  # scene, style, mood, composition, palette, subject
    Column("value", Text, primary_key=True),
    Column("score", Float, nullable=False),
    Index("photo_traits_value", "trait", "value"),
    sqlite_with_rowid=False,
)

vector_models = Table(
    "vector_models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("dim", Integer, nullable=False),
)

# Float16 rows in an ordinary table rather than a vec0 table: fetching 1,000 rows to rescore takes 5 ms here against
# 96-157 ms from vec0 (measured on 100,000 x 384), and the request loop scans its own derived index in any case.
vectors = Table(
    "vectors",
    metadata,
    Column("model_id", Integer, ForeignKey("vector_models.id", ondelete="CASCADE"), primary_key=True),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("state", Text, nullable=False),  # queued, running, succeeded, failed, cancelled
    Column("priority", Integer, nullable=False),  # smaller runs first
    Column("dedupe_key", Text),
    Column("transaction", Text),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("run_after", Float, nullable=False),
    Column("lease_until", Float),
    Column("lease_owner", Text),
    Column("cancel_requested", Boolean, nullable=False, default=False, server_default=text("0")),
    Column("progress", Float, nullable=False, default=0.0, server_default=text("0")),
    Column("step", Text),
    Column("result", JSON),
    Column("error", JSON),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index("jobs_todo", "state", "priority", "run_after"),
    Index(
        "jobs_dedupe",
        "kind",
        "dedupe_key",
        unique=True,
        sqlite_where=text("dedupe_key is not null and state = 'queued'"),
        postgresql_where=text("dedupe_key is not null and state = 'queued'"),
    ),
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("verb", Text, nullable=False),
    Column("response", JSON),  # null while the first request is still being answered
    Column("at", Float, nullable=False, index=True),
)

playlists = Table(
    "playlists",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("plan", JSON),  # the QueryPlan; null for a list made by hand
    Column("saved", Boolean, nullable=False),  # saved ones stay; others go when no frame shows them
    Column("relaxed", JSON, nullable=False),
    Column("left_out", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

playlist_items = Table(
    "playlist_items",
    metadata,
    Column("playlist_id", Text, ForeignKey("playlists.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("score", Float, nullable=False),
    Column("why", JSON, nullable=False),
    sqlite_with_rowid=False,
)

frames = Table(
    "frames",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),  # config, hello, page, request
    Column("hello", JSON),
    Column("options", JSON, nullable=False),  # what was set at run time, over the configuration
    Column("token", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("removed", Boolean, nullable=False, default=False, server_default=text("0")),
)

frame_states = Table(
    "frame_states",
    metadata,
    Column("frame_id", Text, ForeignKey("frames.id", ondelete="CASCADE"), primary_key=True),
    Column("playlist_id", Text),
    Column("position", Integer, nullable=False, default=0),
    Column("photo_id", Integer),
    Column("item", Text),
    Column("sha256", Text),  # of the rendered picture that is on the panel
    Column("rev", Integer, nullable=False, default=0),
    Column("paused", Boolean, nullable=False, default=False),
    Column("shown_at", Float),
    Column("next_at", Float),
    Column("report", JSON),
    Column("reported_at", Float),
    Column("online", Boolean, nullable=False, default=False),
    Column("show", JSON),
)

shown = Table(
    "shown",
    metadata,
    Column("frame_id", Text, ForeignKey("frames.id", ondelete="CASCADE"), primary_key=True),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("frame_id", Text, ForeignKey("frames.id", ondelete="CASCADE"), nullable=False),
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), nullable=False),
    Column("playlist_id", Text),
    Column("action", Text, nullable=False),  # shown, favourite, hide, skip
    Column("at", Float, nullable=False),
    Index("history_frame", "frame_id", "id"),
)

renders = Table(
    "renders",
    metadata,
    Column("key", Text, primary_key=True),  # photo, panel, focus, overlay and renderer version, hashed
    Column("photo_id", Integer, ForeignKey("photos.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("ext", Text, nullable=False),
    Column("mime", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("thumb", LargeBinary),
    Column("used_at", Float, nullable=False, index=True),
)

retained = Table(
    "retained",
    metadata,
    Column("topic", Text, primary_key=True),
)
