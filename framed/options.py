"""The options that commands share. None of typer's questions about files: framed has sentences of its own for them."""

from pathlib import Path
from typing import Annotated

import typer

JSON_ASKED = "framed.json"
"""In the context of a command line: whether errors, too, go out as JSON."""


def _note_json(context: typer.Context, value: bool) -> bool:
    context.meta[JSON_ASKED] = value
    return value


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", readable=False, help="config.yaml; else the usual places are looked at."),
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", readable=False, envvar="FRAMED_DATA", help="The data folder.")
]
HttpPort = Annotated[
    int | None, typer.Option("--http-port", metavar="PORT", min=0, max=65_535, help="Port of the pages and the API.")
]
AsJson = Annotated[bool, typer.Option("--json", callback=_note_json, help="Print JSON.")]
