"""The options that several commands share; left out, the environment or the default decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DataDir", "Host", "KeyFile", "Port"]

Host = Annotated[str | None, typer.Option(help="The address to listen on (CATENA_HOST).")]
Port = Annotated[
    int | None,
    typer.Option(help="The port to listen on, 0 for a free one (CATENA_PORT).", min=0, max=65535),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Where the embedded PostgreSQL lives (CATENA_DATA_DIR).")
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="A file with the API key; left out, the one of the first start."),
]
