"""Environments of others' software: made once, made anew when their list changes or their making was interrupted."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.peers import environment
from tests.peers.environment import NoPython, NotInstalled

PEERS = ("ipykernel", "kserve", "kserve-storage", "moto", "schemathesis", "torch", "tritonclient")


@pytest.fixture
def make(tmp_path):
    """Makes the environment of ``peer.txt``, which lists ``text``."""

    def make(text=""):
        (tmp_path / "peer.txt").write_text(text)
        return environment.python("peer", tmp_path / "peers", tmp_path)

    return make


@pytest.mark.slow
def test_an_environment_is_made_once_also_by_many_and_anew_where_its_making_was_interrupted(make, tmp_path):
    mark = tmp_path / "peers" / "peer" / "mark"
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(make, ["# nothing", "# nothing"])
    assert first == second
    told = subprocess.run([first, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(mark.parent)
    mark.touch()
    make("# nothing")
    assert mark.exists()
    (tmp_path / "link").symlink_to(tmp_path / "peers")
    assert environment.python("peer", tmp_path / "link", tmp_path) == first
    assert mark.exists()
    (mark.parent / "stamp").unlink()  # what is written last
    make("# nothing")
    assert not mark.exists()


@pytest.mark.slow
def test_what_cannot_be_installed_is_told_in_the_installers_words_and_counts_as_unmade(make, tmp_path):
    with pytest.raises(NotInstalled, match="nowhere-to-be-found"):
        make("./nowhere-to-be-found\n")
    assert not (tmp_path / "peers" / "peer" / "stamp").exists()


def test_a_peer_that_no_python_here_can_run_is_told_of(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "TOO_NEW", {"peer": (3, 11)})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoPython, match="peer cannot be installed on Python 3"):
        environment.python("peer", tmp_path, tmp_path)


def test_a_peer_runs_without_what_is_meant_for_our_python(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "here")
    made = environment.environment(OWN="1")
    assert ("PYTHONPATH" in made, made["NO_PROXY"], made["OWN"]) == (False, "*", "1")


@pytest.mark.parametrize("name", PEERS)
def test_a_list_names_exact_versions_and_no_host(name):
    lines = (environment.LISTS / f"{name}.txt").read_text().splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    assert all("==" in line and "://" not in line and " @ " not in line and "--" not in line for line in listed)
    assert any(line.startswith(f"{name}==") for line in listed)


def test_our_own_interpreter_makes_the_environment_where_it_can():
    assert str(environment._base("tritonclient")) == sys.executable
