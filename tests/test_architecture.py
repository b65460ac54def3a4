"""What a machine can hold of the house's plan: arrows, protocol words, blind excepts, globals, sizes, import costs."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipeline", "storage", "server", "pipeline_serve")
MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "storage": {"storage"},
    "server": {"server", "pipeline", "storage"},
    "pipeline_serve": {"pipeline_serve", "server", "pipeline", "storage"},
}
# Inside `pipeline`, a folder (or a file beside them) imports only what stands above it.
PIPELINE = (
    "plugins", "errors", "observe", "threads", "tensors", "wire", "network", "transport", "exchange", "graph",
    "drawing", "asking", "contract", "engine", "hooks", "predictor_config", "model", "code", "runtimes", "steps",
    "warmup", "blueprint", "reason", "loading", "ways", "pipeline", "finding", "held", "served", "availability",
    "turns", "loads", "refused", "repository", "blocking", "blocking_pipeline", "client",
)  # fmt: skip
BLIND = {
    "pipeline/warmup.py": "zeros may be anything to a model, and what they do to it is told",
    "pipeline/code/annotations.py": "a user's annotation may raise anything when it is evaluated",
    "pipeline/engine/asyncio_from_threads.py": "an error crosses to the thread that waits for it",
    "pipeline/engine/asyncio_task.py": "what would end the loop is raised by who waits for the task",
    "pipeline/engine/asyncio_threads.py": "a future hands it to who waits for it",
    "pipeline/engine/detached.py": "nobody waits for the step: its failure is for the log",
    "pipeline/engine/each.py": "an item hands its failure to the loop that waits for it",
    "pipeline/engine/execute.py": "a branch hands its failure to the fork that waits for it",
    "pipeline/engine/job.py": "an error crosses to the task that waits for it",
    "pipeline/engine/crew.py": "that the system has no thread is told to who waits for one",
    "pipeline/engine/from_asyncio.py": "an error crosses to the task of asyncio that awaits it",
    "pipeline/held.py": "a model that cannot be closed must not end the others",
    "pipeline/repository.py": "a model that cannot be opened must not end the others",
    "pipeline/runtimes/sklearn.py": "unpickling may raise anything",
    "pipeline/steps/meanwhile.py": "it is raised again, outside of the nursery that would put it into a group",
    "pipeline/steps/life.py": "an engine, and metadata: what fails there is not the model's requests",
    "pipeline/steps/readiness.py": "a question that fails is a no",
    "pipeline/wire/statuses.py": "an author's text may have none",
    "server/failure.py": "an author's text may have none",
    "server/handle.py": "the one of the request path: a failure is a reply",
    "pipeline/errors.py": "an author's error may raise at every look at it",
    "server/controls.py": "who asked for it does not wait, and the server goes on",
    "server/registered.py": "a script's own unload may raise anything, and the model is gone all the same",
    "server/log.py": "an author's error may raise at every look at it",
    "server/once.py": "whatever kept the model from loading is the answer",
    "server/middleware.py": "what a middleware raises is a reply",
    "storage/flag.py": "a failure is raised outside of the nursery that would make a group of it",
    "storage/puller.py": "the process that waits for it raises it",
    "storage/transfer.py": "a thread's failure is raised by the thread that waits for it",
    "server/asgi.py": "an application is others' code, and what it raises ends its reply",
    "server/conversation.py": "what breaks a connection must not break the others",
    "server/forked.py": "what ends a worker is told, and nobody else is there to hear it",
}
# Where os.environ is read; everybody else is handed it.
ENVIRONMENT = {
    "server/config.py", "pipeline_serve/_pipeline.py",
    "pipeline_serve/kserve/logging.py", "pipeline_serve/kserve/model.py", "pipeline_serve/kserve/storage.py",
}  # fmt: skip
# KServe's import paths: its names for files, its names of protocols, and its loggers.
KSERVE = "pipeline_serve/kserve/"
# Beside the codecs: the line to curl, KServe's flags that are refused, and paths of others' APIs.
PROTOCOL_WORDS = {
    "server/greeting.py",
    "server/flags.py",
    "server/script.py",
    "server/model_server.py",
    "storage/credentials/azure.py",
    "storage/credentials/google.py",
    "storage/hdfs.py",
}
# Methods of trio's and Hypercorn's own that are overridden, and why: docs/adr/045-http2-has-the-same-clock.md.
OTHERS_PRIVATES = {"server/http2_streams.py": {"_handle_events", "_send_data"}}
# What decides has no clock, no socket, no task and no file: the shell around it has.
PURE = (
    "pipeline/tensors/", "pipeline/graph/", "pipeline/drawing/", "pipeline/wire/", "pipeline/errors.py",
    "pipeline/observe.py", "pipeline/contract.py", "pipeline/asking.py", "pipeline/engine/run.py",
    "server/access.py", "server/changes.py", "server/channel.py", "server/chunks.py", "server/company.py",
    "server/deadline.py", "server/encoding.py", "server/failure.py", "server/head.py", "server/openapi.py",
    "server/sampling.py",
    "storage/uri.py", "storage/secret.py",
    "storage/listing.py", "storage/parts.py", "storage/failures.py",
)  # fmt: skip
IMPURE = {"trio", "time", "os", "socket", "threading", "pathlib", "random", "subprocess", "logging", "anyio"}
HEAVY = {"sklearn", "joblib", "pandas", "scipy", "torch", "onnxruntime", "xgboost", "lightgbm"}
AT_HOME = {
    "networkx": {"pipeline/graph/", "pipeline/drawing/"},
    "ruamel": {"pipeline/graph/"},
    "quart": {"server/app.py"},
    "quart_trio": {"server/app.py"},
    "hypercorn": {"server/http2.py", "server/http2_streams.py", "server/lifespan.py"},
    "obstore": {"storage/"},
    "prometheus_client": {"server/exposition.py"},
    "click": {"server/cli.py", "server/flags.py", "server/script.py"},
    "httpx": {
        "pipeline/exchange.py",
        "pipeline/transport.py",
        "pipeline_serve/kserve/inference_client.py",
        "storage/web.py",
        "storage/hdfs.py",
    },
    "httpcore": {"pipeline/network.py", "pipeline/transport.py"},
}

FILES = sorted(path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
FILES = [name for name in FILES if not name.startswith("server/starter/")]  # what `init` writes is its user's code
TREES = {name: ast.parse((ROOT / name).read_text()) for name in FILES}
EVERY_FILE = pytest.mark.parametrize("name", FILES)


def imports(name: str) -> Iterator[tuple[str, bool]]:
    """(module, whether at the top of the file at run time) of everything a file imports."""
    top = set(map(id, TREES[name].body))
    for node in ast.walk(TREES[name]):
        for module in _modules(node):
            yield module, id(node) in top


def _modules(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module), names=names):
            return [f"{module}.{alias.name}" if is_module(f"{module}.{alias.name}") else module for alias in names]
    return []


def is_module(dotted: str) -> bool:
    path = ROOT / dotted.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@EVERY_FILE
def test_rooms_import_only_the_rooms_below_them(name):
    room = name.partition("/")[0]
    imported = {module.partition(".")[0] for module, _ in imports(name)}
    assert imported & set(ROOMS) <= MAY_IMPORT[room]


def test_inside_the_pipeline_imports_go_up_the_list_only():
    entries = (ROOT / "pipeline").iterdir()
    parts = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set(PIPELINE)
    wrong = []
    for name in FILES:
        here = module_of(name).split(".")[1:2]
        if not name.startswith("pipeline/") or not here:
            continue
        wrong += [
            f"{name} imports {module}"
            for module, _ in imports(name)
            if module.startswith("pipeline.") and PIPELINE.index(module.split(".")[1]) > PIPELINE.index(here[0])
        ]
    assert wrong == []


def test_no_two_files_import_each_other_however_long_the_way():
    known = {module_of(name) for name in FILES}
    edges = ((module_of(name), module) for name in FILES for module, top in imports(name) if top and module in known)
    assert list(nx.simple_cycles(nx.DiGraph(edge for edge in edges if edge[0] != edge[1]))) == []


@EVERY_FILE
def test_words_of_a_protocol_stand_in_its_codec_only(name):
    if name.startswith(("pipeline/wire/", KSERVE)) or name in PROTOCOL_WORDS:
        return
    prose = {id(node.value) for node in ast.walk(TREES[name]) if isinstance(node, ast.Expr)}  # docstrings may cite
    nodes = [node for node in ast.walk(TREES[name]) if id(node) not in prose]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    assert [
        text for text in texts + names if re.search(r"(?<![a-z])(v1|v2|grpc)(?![a-z0-9])", text, re.IGNORECASE)
    ] == []


def test_no_file_is_a_grab_bag_and_none_has_two_ideas():
    bags = re.compile(r"util|helper|common|manager|misc|base\.py$")
    assert [name for name in FILES if bags.search(Path(name).name) and not name.startswith(KSERVE)] == []
    long = {name: lines for name in FILES if (lines := len((ROOT / name).read_text().splitlines())) > 350}
    assert long == {}


def test_the_map_names_every_file_and_no_other():
    told = (ROOT / "ARCHITECTURE.md").read_text().partition("```")[2].partition("```")[0]
    words = set(re.findall(r"\w+\.py\b", told))
    # Plug-ins of one folder are found by their folder, and the façade's own parts are nobody's business.
    named = [name for name in FILES if not name.startswith("storage/schemes/") and not name.endswith("__init__.py")]
    there = {Path(name).name for name in named} - {"__main__.py", "_pipeline.py", "_shadow.py"}
    assert (there - words, words - there) == (set(), set())


@EVERY_FILE
def test_a_module_opens_with_its_reason(name):
    reason = ast.get_docstring(TREES[name]) or ""
    assert reason or not TREES[name].body, "no docstring"
    assert len(reason.splitlines()) <= 12


@EVERY_FILE
def test_an_except_for_everything_is_a_decision_that_is_listed(name):
    blind = [
        handler.lineno
        for handler in ast.walk(TREES[name])
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or {"Exception", "BaseException"} & {
            node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)
        })
        # A handler that always raises hides nothing.
        and not isinstance(handler.body[-1], ast.Raise)
    ]  # fmt: skip
    assert bool(blind) == (name in BLIND), blind


@EVERY_FILE
def test_importing_a_file_does_nothing_and_leaves_nothing_that_changes(name):
    for node in TREES[name].body:
        match node:
            case (
                ast.Expr(ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef()
            ):
                continue
            case ast.ClassDef() | ast.If(test=ast.Name("TYPE_CHECKING")):
                continue
            case (
                ast.AnnAssign(target=ast.Name(target), value=value)
                | ast.Assign(targets=[ast.Name(target)], value=value)
            ):
                logger = name == f"{KSERVE}logging.py" and "logger" in target
                assert target == "__all__" or logger or not target.islower(), (
                    f"line {node.lineno}: {target} is a variable"
                )
                assert not mutable(value) or target == "__all__" or constant(name, target), (
                    f"line {node.lineno}: {target}"
                )
            case ast.AugAssign(target=ast.Name(target)) if constant(name, target):
                continue  # a table that is written in two lines
            case ast.Assign(targets=[ast.Tuple(targets)]):
                assert all(isinstance(own, ast.Name) and not own.id.islower() for own in targets), f"line {node.lineno}"
            case ast.Expr(ast.Call()) if name in ("pipeline_serve/__init__.py", "pipeline_serve/__main__.py"):
                continue  # refuses what would hide ours; runs the command
            case ast.Try() | ast.If() if name.startswith("pipeline/tensors/"):
                continue  # a library that may be missing
            case ast.If() if name in ("server/leaving_epoll.py", "server/leaving_kqueue.py"):
                continue  # so may what the kernel has
            case _:
                pytest.fail(f"line {node.lineno}: {ast.unparse(node)[:80]}")


def mutable(value: ast.expr | None) -> bool:
    match value:
        case ast.Dict() | ast.List() | ast.Set() | ast.DictComp() | ast.ListComp() | ast.SetComp():
            return True
        case ast.Call(ast.Name(called)):
            return called in ("dict", "list", "set", "bytearray", "defaultdict", "deque", "Counter")
    return False


def constant(name: str, target: str) -> bool:
    """An upper-case table that its file only reads: nothing stores into it or calls a method of it that changes it."""
    changing = {"append", "add", "update", "setdefault", "pop", "clear", "extend", "insert", "remove", "discard"}
    if not target.lstrip("_").isupper():
        return False
    for node in ast.walk(TREES[name]):
        match node:
            case ast.Subscript(ast.Name(stored), ctx=ast.Store() | ast.Del()) if stored == target:
                return False
            case ast.Attribute(ast.Name(own), method) if own == target and method in changing:
                return False
            case ast.Global():
                return False
    return True


@EVERY_FILE
def test_the_environment_is_read_in_few_places_and_libraries_stay_at_home(name):
    reads = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)} & {"environ", "getenv"}
    assert not reads or name in ENVIRONMENT
    for module, top in imports(name):
        library = module.partition(".")[0]
        assert not (top and library in HEAVY), f"{module} costs start-up time of everybody who does not use it"
        homes = AT_HOME.get(library)
        typed_only = not top
        assert homes is None or typed_only or any(name.startswith(home) for home in homes), f"{module} in {name}"


@EVERY_FILE
def test_privates_of_trio_and_hypercorn_are_listed(name):
    """A private name that a class shares with one of theirs that it is made from is theirs, whether it is meant or not.

    Any other object's are for ruff (SLF), and what it lets through for a reason is no one's of theirs.
    """
    theirs = {module for module, _ in imports(name) if module.partition(".")[0] in ("trio", "hypercorn")}
    assert [module for module in theirs if "._" in module] == []
    used = set[str]()
    for node in ast.walk(TREES[name]):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module in theirs:
                assert [own.name for own in names if own.name.startswith("_")] == []
            case ast.Attribute(ast.Name("trio" | "hypercorn"), attribute):
                assert not attribute.startswith("_"), f"line {node.lineno}"
            case ast.ClassDef(bases=bases) if theirs and bases:
                used |= privates(node) & set().union(*(privates(own) for own in foreign(name, node.name)))
    assert used == OTHERS_PRIVATES.get(name, set())


def foreign(name: str, own: str) -> Iterator[ast.Module]:
    """The files of trio's and Hypercorn's classes that a class of ours is made from."""
    for base in getattr(importlib.import_module(module_of(name)), own).__mro__:
        if base.__module__.partition(".")[0] in ("trio", "hypercorn"):
            yield ast.parse(Path(inspect.getfile(base)).read_text())


def privates(tree: ast.AST) -> set[str]:
    """Private names of methods, and of attributes of ``self`` and ``super()``."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                found.add(name)
            case ast.Attribute(ast.Name("self") | ast.Call(ast.Name("super")), name):
                found.add(name)
    return {name for name in found if re.match("_[^_]", name)}


@EVERY_FILE
def test_no_thread_is_taken_from_those_that_all_share(name):
    """Code that hangs keeps its place: what has no limiter of its own would wait for it."""
    calls = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    threads = [node for node in calls if ast.unparse(node.func).endswith("to_thread.run_sync")]
    assert all("limiter" in {own.arg for own in node.keywords} for node in threads)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(PURE)])
def test_what_decides_is_pure(name):
    assert {module.partition(".")[0] for module, _ in imports(name)} & IMPURE == set()


def test_no_public_name_hides_a_builtin_and_no_folder_hides_the_standard_library():
    assert {*ROOMS, *PIPELINE} & ({*dir(builtins)} | set(sys.stdlib_module_names)) <= {"code"}  # ours is pipeline.code
