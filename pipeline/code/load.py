"""``file.py:name`` and ``package.module:name`` → the object, without hiding anything of anybody.

The file's folder goes to the END of ``sys.path``: sibling imports work, and a user's ``json.py`` hides nothing. A file
``app.py`` is the module ``app`` where that name is free (pickles name ``app.Cleaner``), else it gets a private name.
Of two graphs with files of one name each gets its own, those that its files and its pickles import included. A graph
that is loaded again gets its code as it is then, and the one that is still served keeps what it has.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pipeline.errors import told
from pipeline.graph.scalars import shown
from pipeline.graph.words import hint


class NotLoaded(Exception):
    """A target that leads to no object; the text says what was looked for and where it went wrong."""


class Code:
    """The user's code of one graph: what a target leads to is looked up once, whatever becomes of the file."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Path], Any] = {}

    def load(self, target: str, folder: Path) -> Any:
        """As ``load``."""
        if (target, folder) not in self._found:
            self._found[target, folder] = load(target, folder)
        return self._found[target, folder]


def load(target: str, folder: Path) -> Any:
    """The object that the target names; files are relative to ``folder``.

    Runs the module's top level; one that calls ``sys.exit`` ends nothing but itself. Raises NotLoaded, naming line and
    file of the user's own error where its import failed.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise NotLoaded(f'"{target}" names no function; write file.py:name or package.module:name')
    see(folder.absolute())
    with _NAMES:
        module = _from_file(folder / where, where) if where.endswith(".py") else _from_package(where, folder)
    found: Any = module
    parts = name.split(".")
    for position, part in enumerate(parts):
        if not hasattr(found, part):
            known = [own for own in dir(found) if not own.startswith("_")]
            if position == len(parts) - 1:
                # A step is a function or a class: modules that the file imports are near to any short name.
                known = [own for own in known if callable(getattr(found, own, None))]
            names = [".".join((*parts[:position], own)) for own in known]
            raise NotLoaded(f'"{where}" has no "{name}"{hint(name, names)}')
        found = getattr(found, part)
    return found


_PREFIX = "_user_code_"
# What a name means in ``sys.modules`` is changed for a moment by one thread at a time.
_NAMES = threading.RLock()


def _from_file(path: Path, written: str) -> ModuleType:
    path = path.absolute()
    try:
        there = path.is_file()
    except OSError:
        # A name longer than any file's, say.
        there = False
    if not there:
        raise NotLoaded(f'there is no file "{shown(written)}" beside the graph')
    see(path.parent)
    name = path.stem if _is_free(path) else private_name(path)
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    module, loader = _made(name, path)
    sys.modules[name] = module
    try:
        with own_names(path.parent):
            loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise NotLoaded(f"{written} cannot be imported: {_told(error, path)}") from error
    return module


def _from_package(name: str, folder: Path) -> ModuleType:
    try:
        with own_names(folder.absolute()):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise NotLoaded(f'there is no module "{name}"; a file beside the graph is written {name}.py:…') from None
        raise NotLoaded(f"{name} cannot be imported: {_told(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise NotLoaded(f"{name} cannot be imported: {_told(error)}") from error


def forget(folder: Path) -> None:
    """What is imported from that folder is imported anew by who asks next; whoever has it keeps it.

    An import that a function reaches when it runs finds the new one.
    """
    folder = folder.absolute()
    with _NAMES:
        places = {Path(place) for place in sys.path if isinstance(place, _Seen)}
        own = {place for place in places if place == folder or folder in place.parents}
        # Other threads import meanwhile.
        gone = {name for name, module in list(sys.modules.items()) if "." not in name and _place(name, module) in own}
        for name in list(sys.modules):
            if name.partition(".")[0] in gone:
                del sys.modules[name]
        importlib.invalidate_caches()


def _place(name: str, module: ModuleType) -> Path | None:
    """The folder that a module of Python code was found in; None for what is not ours to import again."""
    known = getattr(module, "__dict__", {})  # not asked: some modules import others when they are
    file = known.get("__file__")
    if not isinstance(file, str) or not file.endswith(".py") or name == "__main__":
        return None
    if "__path__" not in known:
        return Path(file).parent
    place = Path(file).parents[1]
    # A graph may lie in a checkout of this project, beside its packages.
    return None if place == Path(__file__).parents[2] else place


def see(folder: Path) -> None:
    """Lets code and pickles import from that folder, after everything that is importable already."""
    # Once more where the folder is there already, as that of a script or of `python -m`: it is a graph's all the same.
    if not any(isinstance(place, _Seen) and place == str(folder) for place in sys.path):
        sys.path.append(_Seen(folder))


class _Seen(str):
    """A folder on ``sys.path`` that ``see`` put there: its modules are some graph's, nobody else's."""

    __slots__ = ()


@contextmanager
def own_names(folder: Path) -> Iterator[None]:
    """While code or a pickle of that folder is loaded, the names of its files mean them, and not another graph's.

    What is loaded meanwhile is kept under private names, and the other graph has its names back afterwards. Names that
    Python or an installed package has stay theirs.
    """
    others = {place for place in sys.path if isinstance(place, _Seen) and place != str(folder)}
    with _NAMES:
        beside = list(folder.glob("*.py"))
        files = {path.stem: path for path in beside if _is_taken(path, others)}
        free = {path.stem: path for path in beside if path.stem not in files and _is_free(path)}
        theirs = {name: sys.modules.pop(name, None) for name in files}
        for name, path in files.items():
            if (own := sys.modules.get(private_name(path))) is not None:
                sys.modules[name] = own
        finder = _Own({**free, **files})
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for name, path in files.items():
                if (own := sys.modules.pop(name, None)) is not None:
                    sys.modules[private_name(path)] = own
                if (their := theirs[name]) is not None:
                    sys.modules[name] = their


def shared_names(folder: Path) -> list[Path]:
    """The folder's files whose module names lead into another graph's folder: an import that is first reached inside a
    function, when loading is over, finds the other's.
    """
    others = {place for place in sys.path if isinstance(place, _Seen) and place != str(folder)}
    return sorted(path for path in folder.glob("*.py") if others and _is_taken(path, others))


class _Own:
    """Finds modules by name in these files."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in self._files:
            return None
        path = self._files[name]
        return importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))


class _Source(SourceFileLoader):
    """Reads the file, whatever bytecode lies beside it: that is told by the second, and one may change within it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _made(name: str, path: Path) -> tuple[ModuleType, _Source]:
    loader = _Source(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise AssertionError("where there is a loader, there is a spec")
    return importlib.util.module_from_spec(spec), loader


def _is_taken(path: Path, folders: set[_Seen]) -> bool:
    """Whether the name of that file leads into one of these folders."""
    origin = _origin(path.stem)
    return origin is not None and Path(origin).parent in map(Path, folders) and not _is_file(origin, path)


def _is_free(path: Path) -> bool:
    """Whether this file may be the module of its own name: nobody else has it, loaded or found on the path."""
    if not path.stem.isidentifier():
        return False
    origin = _origin(path.stem)
    return origin is None or _is_file(origin, path)


def _origin(name: str) -> str | None:
    """The file that has that module name, loaded or on the path; empty where it is no file, None where it is free."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__file__", None) or ""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ""
    return (spec.origin or "") if spec else None


def _is_file(origin: str, path: Path) -> bool:
    return Path(origin).is_file() and path.samefile(origin)


def private_name(path: Path) -> str:
    """A module name that only this file has, the same in every process."""
    return f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _told(error: BaseException, path: Path | None = None) -> str:
    """``ZeroDivisionError: division by zero (line 3)``: the line is that of the user's own file.

    A syntax error in a file that it imports is told with the name of that file.
    """
    if isinstance(error, SyntaxError):
        place = f"line {error.lineno}"
        if error.filename and (path is None or Path(error.filename) != path):
            place = f"{Path(error.filename).name}, {place}"
        return f"{type(error).__name__}: {error.msg} ({place})"
    place = ""
    trace = error.__traceback__
    while trace is not None and path is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            place = f" (line {trace.tb_lineno})"
            break
        trace = trace.tb_next
    text = f"it calls sys.exit({error.code!r})" if isinstance(error, SystemExit) else told(error)
    return text + place
