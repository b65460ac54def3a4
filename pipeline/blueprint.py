"""A graph read, connected and checked, with what is needed to open it: ``check`` makes it, a Pipeline runs it.

Making one runs the top level of the user's modules and downloads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pipeline.graph.agree import check_edges
from pipeline.graph.dag import Graph, connect, explained
from pipeline.graph.each import looped
from pipeline.graph.edges import Interfaces
from pipeline.graph.events import MAX_BYTES
from pipeline.graph.fields import MAX_NAME
from pipeline.graph.parse import parse
from pipeline.graph.python import Spot, declared
from pipeline.graph.read import read_graph
from pipeline.graph.scalars import shown
from pipeline.graph.source import Entry, Fault, GraphFaults, Node, Place, Scalar, Table
from pipeline.graph.spec import GraphSpec
from pipeline.graph.words import listed
from pipeline.model import Model
from pipeline.runtimes.catalog import Unclear, model_file, runtimes, suffixes
from pipeline.steps.catalog import Home, StepKind, Storage, step_kinds
from pipeline.warmup import check_warmup

if TYPE_CHECKING:
    import networkx as nx

GRAPH_SUFFIXES = (".yaml", ".yml")
# The only step of a model that is served by itself, as the smallest file of graph.md calls it.
_STEP = "predict"
# A user's exception can be quoted in a fault, and be as long as it likes.
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Blueprint:
    graph: Graph
    interfaces: Interfaces
    kinds: Mapping[str, StepKind]
    home: Home

    @property
    def spec(self) -> GraphSpec:
        return self.graph.spec

    def named(self, name: str, version: str | None = None) -> Blueprint:
        """The same graph under another model name, and as another version where one is given."""
        spec = replace(self.spec, name=name, version=self.spec.version if version is None else version)
        return replace(self, graph=replace(self.graph, spec=spec))

    def stored_by(self, storage: Storage) -> Blueprint:
        """The same graph, whose models that storage brings."""
        return replace(self, home=replace(self.home, storage=storage))


def from_file(path: Path, environment: Mapping[str, str], storage: Storage) -> Blueprint:
    """The blueprint of a graph file. Raises GraphFaults with every fault; a file that cannot be read is one."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise GraphFaults((Fault(path, f"cannot be read: {error.strerror or error}"),)) from None
    faults: list[Fault] = []
    root = parse(data, str(path), environment, faults)
    if root is None:
        raise GraphFaults(faults)
    return _blueprint(root, path.stem, Home(path.absolute().parent, storage), faults)


def from_dag(name: str, dag: nx.DiGraph[str], top: Mapping[str, Any], folder: Path, storage: Storage) -> Blueprint:
    """The blueprint of a networkx graph whose nodes carry a ``Step``. Raises GraphFaults naming nodes, not lines."""
    faults: list[Fault] = []
    root = declared(name, dag, top, faults)
    return _blueprint(root, name, Home(folder.absolute(), storage), faults)


def from_given(given: Path | str, environment: Mapping[str, str], storage: Storage) -> Blueprint:
    """The blueprint of what a command is given: a graph file, else a model (a text is the URI of one).

    Raises GraphFaults, also for a file that is neither by its ending.
    """
    match given:
        case Path() if given.suffix.lower() in ("", *GRAPH_SUFFIXES) and not given.is_dir():
            return from_file(given, environment, storage)
        case Path() if not given.is_dir() and given.suffix.lower() not in (known := suffixes(runtimes())):
            message = f"graph files end in {listed(GRAPH_SUFFIXES)}, model files in {listed(known)}"
            way_out = "a model of another ending needs a graph that says its runtime"
            raise GraphFaults((Fault(given, f"{message}; {way_out}"),))
        case _:
            return from_model_file(given, storage)


def from_model_file(given: Path | str, storage: Storage, name: str | None = None) -> Blueprint:
    """The blueprint of a graph of one step around a model: a file, a folder with one model file, or a URI (a text).

    Its name is the file's without the ending, or the folder's, unless ``name`` says another. Raises GraphFaults.
    """
    place = Spot(str(given))
    match given:
        case Path():
            folder, target = _located(given, place)
            stem = given.absolute().name if given.is_dir() else given.stem
        case _:
            folder, target, stem = Path.cwd(), given, PurePosixPath(unquote(given.partition("://")[2])).stem
    model = Table((Entry("model", place, Scalar(target, place)),), place)
    steps = Entry("steps", place, Table((Entry(_STEP, place, model),), place))
    named = () if name is None else (Entry("name", place, Scalar(name, place)),)
    return _blueprint(Table((*named, steps), place), _legal(stem), Home(folder, storage), [])


def from_model(model: Model, storage: Storage, name: str | None = None) -> Blueprint:
    """The blueprint of a graph of one step around a Model, under its own name unless ``name`` says another.

    Raises GraphFaults for a name that no graph can have.
    """
    name = model.name if name is None else name
    place = Spot(f'model "{name}"')
    step = Table((Entry("run", place, Scalar(model, place)),), place)
    steps = Entry("steps", place, Table((Entry(_STEP, place, step),), place))
    named = Entry("name", place, Scalar(name, place))
    return _blueprint(Table((named, steps), place), name, Home(Path.cwd(), storage), [])


def _located(given: Path, place: object) -> tuple[Path, str]:
    """The folder that the model lies in, with the user's code beside it, and its file's name there."""
    try:
        if not given.is_dir():
            given.stat()
        file, _ = model_file(given, None, runtimes())
    except OSError as error:
        raise GraphFaults((Fault(place, f"cannot be read: {error.strerror or error}"),)) from None
    except Unclear as error:
        raise GraphFaults((Fault(place, error.reason),)) from None
    return file.absolute().parent, file.name


def _legal(name: str) -> str:
    """A model name like that of a file: what no URL carries plainly becomes a hyphen."""
    return re.sub(r"[^\w.\-]+", "-", name).strip("-.")[:MAX_NAME] or "model"


def _blueprint(root: Node, name: str, home: Home, faults: list[Fault]) -> Blueprint:
    # What stands in for a value that could not be read is no fault of its own.
    told = {fault.place for fault in faults if isinstance(fault.place, Place)}
    source = list(faults)
    faults = []
    kinds = step_kinds()
    keys = {action: kind.KEYS[action] for action, kind in kinds.items()}
    spec = read_graph(root, name=name, kinds=keys, faults=faults)
    if spec is None:
        raise GraphFaults((*source, *faults))
    # A graph with faults is looked through to the end: its author hears of all of them at once.
    graph = connect(spec, faults)
    described = {step.name: kinds[step.action].describe(step, home, faults) for step in graph.steps if step.action}
    interfaces = {
        step.name: looped(step, interface, faults)
        for step in graph.steps
        if (interface := described.get(step.name)) is not None
    }
    graph = explained(graph, [name for name, interface in interfaces.items() if interface.explains])
    check_edges(graph, interfaces, faults)
    for step in graph.steps:
        check_warmup(step, home.folder, faults)
    found = [*source, *(fault for fault in faults if fault.place not in told)]
    if found:
        raise GraphFaults(_each_once(found))
    return Blueprint(graph, interfaces, kinds, home)


def _each_once(faults: list[Fault]) -> Iterable[Fault]:
    """A fault is one line, whatever texts it quotes; what two checks have found, or an alias repeats, is told once."""
    return dict.fromkeys(replace(fault, message=shown(fault.message, most=_LONGEST)) for fault in faults)
