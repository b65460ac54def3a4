"""What people install: a wheel of a clean copy of the checkout, in an environment that has nothing else."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.serving import serving

ROOT = Path(__file__).parents[1]
PACKAGES = {"pipeline_serve", "pipeline", "server", "storage"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout without what .gitignore names: as a clone would be, with the uncommitted changes."""
    ignored = [line.rstrip("/").rpartition("/")[2] for line in (ROOT / ".gitignore").read_text().splitlines()]
    tree = tmp_path_factory.mktemp("clean") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", *filter(None, ignored)))
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=tree)
    (wheel,) = (tree / "dist").glob("*.whl")
    return wheel


def test_the_wheel_holds_the_four_packages_whole_and_nothing_else(tree: Path, wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(tree) for package in PACKAGES for path in (tree / package).rglob("*") if path.is_file()}
    assert names == {path.as_posix() for path in sources}
    assert names >= {f"{package}/{name}" for package in PACKAGES for name in ("__init__.py", "py.typed")}


def test_the_wheel_says_what_it_needs_and_what_it_installs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = (file.read(name).decode() for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        (commands,) = (file.read(name).decode() for name in file.namelist() if name.endswith("/entry_points.txt"))
        assert any(name.endswith("/LICENSE") for name in file.namelist())
    assert "Name: pipeline-serve\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    assert "Requires-Dist: scikit-learn" in metadata
    assert not re.search(r"Requires-Dist: scikit-learn(?!.*extra == )", metadata), "a runtime is an extra"
    assert commands == "[console_scripts]\npipeline-serve = server.command:main\n"


def test_no_file_chooses_a_package_index(tree: Path) -> None:
    chooses = re.compile(r"(?:index|find|trusted)[-_](?:url|links|host)\b")
    texts = {path: path.read_bytes().decode(errors="replace") for path in tree.rglob("*") if path.is_file()}
    assert [str(path) for path, text in texts.items() if chooses.search(text)] == []


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """The folder of commands of a new environment that holds the wheel and what it depends on."""
    place = tmp_path / "environment"
    what = ["-c", str(ROOT / "constraints.txt"), str(wheel)]
    if _has_uv():
        _run("uv", "venv", "--python", sys.executable, str(place))
        _run("uv", "pip", "install", "--python", str(place / "bin" / "python"), *what)
    else:
        _run(sys.executable, "-m", "venv", str(place))
        _run(str(place / "bin" / "python"), "-m", "pip", "install", "--no-compile", *what)
    return place / "bin"


def _has_uv() -> bool:
    uv = shutil.which("uv")
    return uv is not None and subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0


def _run(*command: str, cwd: Path = ROOT) -> None:
    ended = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


GRAPH = "name: twice\nsteps:\n  double: app.py:double\n"
APP = "def double(rows):\n    return rows * 2\n"
REQUEST = {"inputs": [{"name": "rows", "datatype": "FP64", "shape": [2], "data": [1.5, 2.0]}]}


@pytest.mark.slow
def test_the_wheel_serves_in_an_empty_environment(environment: Path, tmp_path: Path) -> None:
    """In a folder of its own and without PYTHONPATH: nothing is imported from the checkout."""
    command = [str(environment / "pipeline-serve")]
    with serving(tmp_path, {"graph.yaml": GRAPH, "app.py": APP}, command=command, env={"PYTHONPATH": ""}) as server:
        answer = server.post("/v2/models/twice/infer", REQUEST)
        assert answer.status_code == 200, answer.text
        (output,) = answer.json()["outputs"]
        assert (output["name"], output["data"]) == ("double", [3.0, 4.0])
        assert [server.get(path).status_code for path in ("/docs", "/docs/docs.js", "/openapi.json")] == [200] * 3
        assert server.stop() == 0, server.stderr
