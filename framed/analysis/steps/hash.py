"""Step: the PDQ hash, always of the canonical 512 px picture."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from framed.analysis.step import ExaminedStep
from framed.store import photos

if TYPE_CHECKING:
    from framed.analysis.examine import Opened


def look(opened: "Opened") -> dict[str, Any]:
    from framed.analysis.pdq import pdq

    value, quality = pdq(opened.px512)
    return {"pdq": value.hex(), "quality": quality}


class HashStep(ExaminedStep):
    name = "hash"
    version = 1

    def keep(self, connection: Connection, photo_id: int, result: dict[str, Any]) -> None:
        values = {"pdq": bytes.fromhex(result["pdq"]), "pdq_quality": result["quality"]}
        photos.set_values(connection, photo_id, values)
