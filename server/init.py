"""``init``: a working project, from the files of ``server/starter/``; all of it or nothing, and nothing overwritten."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from pipeline.graph.fields import is_model_name
from pipeline.graph.words import listed
from server.report import FAULTS
from server.schema import schema_text

# What the starter calls its model, and the project is called where its folder's name has nothing in it that may be one.
_NAME = "my-model"
_FILES = ("graph.yaml", "app.py", "request.json", "test_graph.py", "README.md")
_SCHEMA = "graph.schema.json"


def make_project(folder: Path) -> int:
    """The exit code: 0, or 2 where a file is in the way or the folder cannot be written; then no file is left."""
    files = _project(model_name(folder.absolute().resolve().name))
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        return _refuse(
            f"{folder}: {listed(there)} {'is' if len(there) == 1 else 'are'} there already; nothing is written"
        )
    try:
        _write(folder, files)
    except OSError as error:
        return _refuse(f"{error.filename or folder}: cannot be written: {error.strerror or error}")
    into = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    print("\n".join([f"made {folder / name}" for name in files]))  # noqa: T201
    print(f"next:\n  {into}pipeline-serve run graph.yaml request.json\n  {into}pipeline-serve graph.yaml")  # noqa: T201
    return 0


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """The files, and the folders that they need; where that fails or is interrupted, none that was not there before."""
    with ExitStack() as undo:
        for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
            missing.mkdir()
            undo.callback(_removed, missing.rmdir)
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                undo.callback(_removed, (folder / name).unlink)
                file.write(text)
        undo.pop_all()


def _removed(remove: Callable[[], None]) -> None:
    # What somebody else has removed meanwhile, or put there, is theirs.
    with suppress(OSError):
        remove()


def model_name(folder: str) -> str:
    """The folder's name as a model name: what none may hold becomes a hyphen."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", folder).strip("-.")[:128]
    return name if is_model_name(name) else _NAME


def _project(name: str) -> Mapping[str, str]:
    """File → text, for a model of that name."""
    from importlib import resources  # noqa: PLC0415  # milliseconds

    starter = resources.files("server") / "starter"
    files = {file: starter.joinpath(file).read_text("utf-8").replace(_NAME, name) for file in _FILES}
    # Under its own name it would hide files of ours from git.
    return {**files, ".gitignore": starter.joinpath("gitignore").read_text("utf-8"), _SCHEMA: schema_text()}


def _refuse(message: str) -> int:
    print(f"pipeline-serve: {message}", file=sys.stderr)  # noqa: T201
    return FAULTS
