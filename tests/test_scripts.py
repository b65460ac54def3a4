"""The two commands, run for real in a small checkout whose Python is a stand-in.

The stand-in answers as this interpreter does, except that its `venv` makes a folder with itself inside, and its `pip`
writes down what it was asked and installs a `pipeline-serve` that prints its arguments. So the scripts run whole,
without a network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUP_FILES = ["pyproject.toml", "constraints.txt", "scripts/environment", "scripts/serve", "scripts/test", ".ci/run"]
TOOLS = ["cat", "chmod", "cksum", "cp", "dirname", "find", "grep", "mkdir", "mv", "readlink", "rm", "sh", "touch"]

PYTHON = """#!/bin/sh
say() {{ echo "$*" >>"{log}"; }}
case "$*" in
    *"import ensurepip"*) [ ! -e "{tmp}/no-ensurepip" ] ;;
    *"print(sys.executable)"*) echo "$0" ;;
    *'"%d.%d.%d"'*) [ ! -e "{tmp}/old" ] || {{ echo 3.9.18; exit 1; }}; exec "{real}" "$@" ;;
    "-m venv "*) say venv; mkdir "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip install "*)
        say "pip $*"
        [ ! -e "{tmp}/pip-fails" ] || {{ echo "no such version" >&2; exit 1; }}
        [ ! -p "{tmp}/pip-waits" ] || cat "{tmp}/pip-waits"
        printf '#!/bin/sh\\necho $$\\nprintf "[%%s]" "$@"\\n' >"$(dirname "$0")/pipeline-serve"
        chmod +x "$(dirname "$0")/pipeline-serve"
        ;;
    "-c import pip") ;;
    "-m ruff "* | "-m mypy"* | "-m pytest"*) say "$*"; [ ! -e "{tmp}/$2-fails" ] ;;
    *) exec "{real}" "$@" ;;
esac
"""

UV = """#!/bin/sh
echo "uv $*" >>"{log}"
case "$1 ${{2-}}" in
    "venv "*) for folder; do :; done; mkdir "$folder/bin"; cp "{tmp}/bin/python3" "$folder/bin/python" ;;
    "pip install") shift 2; exec "{tmp}/checkout of ours/.venv/bin/python" -m pip install "$@" ;;
esac
"""


class Checkout:
    """A checkout with only the set-up's files and empty packages, and a PATH with only the stand-in."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.root = tmp / "checkout of ours"
        self.log = tmp / "log"
        self.log.touch()
        for name in SETUP_FILES:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.root / name)
        for package in ("pipeline_serve", "pipeline", "server", "storage"):
            (self.root / package).mkdir()
            (self.root / package / "__init__.py").touch()
        (tmp / "bin").mkdir()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (tmp / "bin" / tool).symlink_to(found)
        self.put("python3", PYTHON)

    def put(self, command: str, script: str) -> None:
        path = self.tmp / "bin" / command
        path.write_text(script.format(log=self.log, tmp=self.tmp, real=sys.executable))
        path.chmod(0o755)

    def env(self, **more: str) -> dict[str, str]:
        # Nothing of the outer run's; but a ban on bytecode, in spite of which the scripts compile.
        return {"PATH": str(self.tmp / "bin"), "HOME": str(self.tmp), "PYTHONDONTWRITEBYTECODE": "1", **more}

    def start(self, script: str | Path, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
        command = [str(self.root / script), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=cwd or self.tmp, env=self.env(**env), stdout=pipe, stderr=pipe, text=True)

    def run(self, script: str | Path, *arguments: str, cwd: Path | None = None, **env: str) -> "Ended":
        process = self.start(script, *arguments, cwd=cwd, **env)
        out, err = process.communicate(timeout=60)
        return Ended(process.pid, process.returncode, out, err)

    def logged(self) -> list[str]:
        """What the stand-ins were asked since the last call."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


class Ended:
    def __init__(self, pid: int, code: int, out: str, err: str) -> None:
        self.code = code
        self.err = err.splitlines()
        self.out = out
        self.pid = pid

    def served(self) -> str:
        """The arguments that pipeline-serve got, each in brackets; it must be the very process that was started."""
        assert self.code == 0, self.err
        pid, _, arguments = self.out.partition("\n")
        assert int(pid) == self.pid
        return arguments


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def installed(checkout: Checkout) -> Checkout:
    checkout.run("scripts/serve").served()
    checkout.logged()
    return checkout


def test_the_first_start_makes_the_environment_and_the_second_touches_nothing(checkout: Checkout) -> None:
    first = checkout.run("scripts/serve", "graph.yaml")
    assert first.served() == "[graph.yaml]"
    assert len(first.err) == 1
    asked = checkout.logged()
    assert asked[0] == "venv"
    assert all("-c constraints.txt" in line for line in asked[1:])
    assert asked[-1].endswith("--editable .[sklearn,examples,fast]")

    second = checkout.run("scripts/serve", "graph.yaml")
    assert second.served() == "[graph.yaml]"
    assert second.err == []
    assert checkout.logged() == []


def test_arguments_arrive_as_they_were_given(installed: Checkout) -> None:
    assert installed.run("scripts/serve", "a b", "", "*", "--flag=$x").served() == "[a b][][*][--flag=$x]"


def test_serve_works_from_any_folder_and_through_a_symlink(installed: Checkout) -> None:
    (installed.tmp / "link").symlink_to("checkout of ours/scripts/serve")
    assert installed.run("../link", "x", cwd=Path("/")).served() == "[x]"
    assert installed.logged() == []


def test_sources_are_compiled_although_python_may_not_write_bytecode(installed: Checkout) -> None:
    def compiled() -> set[str]:
        return {path.name.partition(".")[0] for path in (installed.root / "server").rglob("*.pyc")}

    assert compiled() == {"__init__"}
    (installed.root / "server" / "cli.py").write_text("answer = 42\n")
    later = (installed.root / ".venv" / ".stamp").stat().st_mtime + 10
    os.utime(installed.root / "server" / "cli.py", (later, later))
    installed.run("scripts/serve").served()
    assert compiled() == {"__init__", "cli"}
    assert installed.logged() == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_the_recipe_installs_again_into_the_same_environment(installed: Checkout, name: str) -> None:
    with (installed.root / name).open("a") as file:
        file.write("# changed\n")
    installed.run("scripts/serve").served()
    asked = installed.logged()
    assert "venv" not in asked
    assert asked[-1].endswith("--editable .[sklearn,examples,fast]")


def test_an_update_needs_no_python_but_that_of_the_environment(installed: Checkout) -> None:
    (installed.tmp / "bin" / "python3").unlink()
    with (installed.root / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    installed.run("scripts/serve").served()
    assert "venv" not in installed.logged()


def test_extras_only_grow(installed: Checkout) -> None:
    assert installed.run("scripts/test").code == 0
    assert installed.logged()[1].endswith("--editable .[sklearn,examples,fast,onnx,lightgbm,test]")
    installed.run("scripts/serve").served()
    assert installed.logged() == []


def test_what_failed_is_told_and_made_anew(checkout: Checkout) -> None:
    (checkout.tmp / "pip-fails").touch()
    failed = checkout.run("scripts/serve")
    assert failed.code == 1
    assert "no such version" in failed.err
    (checkout.tmp / "pip-fails").unlink()
    checkout.logged()
    checkout.run("scripts/serve").served()
    assert checkout.logged()[0] == "venv"


def test_a_moved_checkout_gets_a_new_environment(installed: Checkout) -> None:
    installed.root = installed.root.rename(installed.tmp / "elsewhere")
    installed.run("scripts/serve").served()
    assert installed.logged()[0] == "venv"


def test_an_environment_made_by_hand_is_completed_and_not_deleted(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy2(checkout.tmp / "bin" / "python3", checkout.root / ".venv" / "bin" / "python")
    (checkout.root / ".venv" / "mine").touch()
    checkout.run("scripts/serve").served()
    assert "venv" not in checkout.logged()
    assert (checkout.root / ".venv" / "mine").exists()


def test_of_two_first_starts_one_installs_and_both_serve(checkout: Checkout) -> None:
    gate = checkout.tmp / "pip-waits"
    os.mkfifo(gate)
    closed = os.open(gate, os.O_RDWR)
    first = checkout.start("scripts/serve", "first")
    assert "making" in said(first)  # it has the lock, and its pip does not end before the gate opens
    second = checkout.start("scripts/serve", "second")
    assert "waiting" in said(second)
    gate.unlink()
    os.close(closed)
    assert "[first]" in first.communicate(timeout=60)[0]
    assert "[second]" in second.communicate(timeout=60)[0]
    assert [line.partition(" ")[0] for line in checkout.logged()] == ["venv", "pip", "pip"]


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_a_python_without_venv_gets_one_line_that_names_the_package(checkout: Checkout) -> None:
    (checkout.tmp / "no-ensurepip").touch()
    ended = checkout.run("scripts/serve", "graph.yaml")
    assert ended.code == 1
    (line,) = ended.err
    assert f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in line
    assert not (checkout.root / ".venv").exists()


def test_a_python_that_is_too_old_is_named(checkout: Checkout) -> None:
    (checkout.tmp / "old").touch()
    ended = checkout.run("scripts/serve")
    assert ended.code == 1
    (line,) = ended.err
    assert "needs Python 3.11 or newer, found python3 3.9.18" in line
    assert not (checkout.root / ".venv").exists()


def test_no_python_at_all_is_one_line(checkout: Checkout) -> None:
    ended = checkout.run("scripts/serve", PYTHON=str(checkout.tmp / "nowhere" / "python3"))
    assert ended.code == 1
    assert len(ended.err) == 1
    assert "nowhere/python3" in ended.err[0]


def test_uv_makes_the_environment_where_it_is(checkout: Checkout) -> None:
    checkout.put("uv", UV)
    checkout.run("scripts/serve").served()
    asked = [line for line in checkout.logged() if line.startswith(("uv venv", "uv pip", "venv"))]
    assert [line.partition(" --")[0] for line in asked] == ["uv venv", "uv pip install", "uv pip install"]
    assert all("--compile-bytecode -c constraints.txt" in line for line in asked[1:])


TRAIN = "import pathlib\nprint('training')\nopen(pathlib.Path(__file__).with_name('model.joblib'), 'w').close()\n"


@pytest.fixture
def example(installed: Checkout) -> Checkout:
    folder = installed.root / "examples" / "iris"
    folder.mkdir(parents=True)
    (folder / "graph.yaml").write_text("steps: {predict: {model: model.joblib}}\n")
    (folder / "other.yaml").write_text("steps: {predict: {model: elsewhere.joblib}}\n")
    (folder / "train.py").write_text(TRAIN)
    return installed


def test_a_missing_model_is_made_once_and_off_stdout(example: Checkout) -> None:
    folder = example.root / "examples"
    first = example.run("scripts/serve", "run", "iris/graph.yaml", "request.json", cwd=folder)
    assert first.served() == "[run][iris/graph.yaml][request.json]"
    assert "training" in first.err
    assert (folder / "iris" / "model.joblib").exists()
    assert example.run("scripts/serve", "iris/graph.yaml", cwd=folder).err == []


@pytest.mark.parametrize("arguments", [["check", "graph.yaml"], ["other.yaml"], ["draw", "graph.yaml"], []])
def test_what_needs_no_model_trains_none(example: Checkout, arguments: list[str]) -> None:
    example.run("scripts/serve", *arguments, cwd=example.root / "examples" / "iris").served()
    assert not (example.root / "examples" / "iris" / "model.joblib").exists()


WHOLE = "-m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder"
STAGES = ["-m ruff check", "-m ruff format --check", "-m mypy", WHOLE]


@pytest.mark.parametrize("script", ["scripts/test", ".ci/run"])
def test_every_stage_runs(installed: Checkout, script: str) -> None:
    assert installed.run(script).code == 0
    assert installed.logged()[-4:] == STAGES


def test_a_failed_stage_stops_no_other_and_is_named_at_the_end(checkout: Checkout) -> None:
    (checkout.tmp / "ruff-fails").touch()
    (checkout.tmp / "mypy-fails").touch()
    ended = checkout.run("scripts/test")
    assert ended.code == 1
    assert checkout.logged()[-4:] == STAGES
    assert ended.err[-1].endswith("failed: ruff check, ruff format --check, mypy")


def test_with_arguments_only_pytest_runs(checkout: Checkout) -> None:
    (checkout.tmp / "pytest-fails").touch()
    assert checkout.run("scripts/test", "-k", "a or b", cwd=Path("/")).code == 1
    assert checkout.logged()[3:] == ["-m pytest -k a or b"]


@pytest.mark.parametrize("name", SETUP_FILES)
def test_no_file_of_the_set_up_names_a_host(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
