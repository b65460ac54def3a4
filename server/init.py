"""``init``: a working project, from the files of ``server/starter/``; all of it or nothing, and nothing overwritten."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
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
_NAMED = "pipeline-serve"
# What a reader of YAML, of 1.1 too, takes for a text as it stands.
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_.-]*", re.IGNORECASE)


def make_project(folder: Path) -> int:
    """The exit code: 0, or 2 where a file is in the way or the folder cannot be written; then no file is left."""
    if not str(folder).isprintable():
        return _refuse(f"a folder's name is printable text, not {str(folder)!r}")
    try:
        files = _project(model_name(folder.absolute().resolve().name))
        there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
        if there:
            are = "is" if len(there) == 1 else "are"
            return _refuse(f"{folder}: {listed(there)} {are} there already; nothing is written")
        _write(folder, files)
    except OSError as error:
        return _refuse(f"{error.filename or folder}: cannot be written: {error.strerror or error}")
    for name in files:
        print(f"made {folder / name}")  # noqa: T201
    print("next:", *_next_lines(folder), sep="\n  ")  # noqa: T201
    return 0


def _next_lines(folder: Path) -> Iterator[str]:
    if folder != Path():
        place = str(folder)
        yield f"cd {shlex.quote(f'./{place}' if place.startswith('-') else place)}"
    yield f"{_command()} run graph.yaml request.json"
    yield f"{_command()} graph.yaml"


def _command() -> str:
    """What a shell finds this command under: its name, else the path that it was called by."""
    if shutil.which(_NAMED):
        return _NAMED
    called = Path(sys.argv[0]).absolute()
    return shlex.quote(str(called)) if called.name == _NAMED else f"{shlex.quote(sys.executable)} -m pipeline_serve"


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
    if not _PLAIN.fullmatch(name):
        files["graph.yaml"] = files["graph.yaml"].replace(f"name: {name}", f'name: "{name}"', 1)
    # Under its own name it would hide files of ours from git.
    return {**files, ".gitignore": starter.joinpath("gitignore").read_text("utf-8"), _SCHEMA: schema_text()}


def _refuse(message: str) -> int:
    print(f"pipeline-serve: {message}", file=sys.stderr)  # noqa: T201
    return FAULTS
