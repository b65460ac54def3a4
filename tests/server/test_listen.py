"""Binding: what is bound says where, what cannot be bound says why in one line."""

from __future__ import annotations

import socket
import stat
from contextlib import closing

import pytest

from server.listen import CannotListen, listen


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    ("host", "secure", "start"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:"),
        ("127.0.0.1", True, "https://127.0.0.1:"),
        ("0.0.0.0", False, "http://localhost:"),
        ("localhost", False, "http://localhost:"),
        pytest.param("::1", False, "http://[::1]:", marks=IPV6),
        pytest.param("[::1]", False, "http://[::1]:", marks=IPV6),
        pytest.param("::", False, "http://localhost:", marks=IPV6),
        pytest.param("[::]", False, "http://localhost:", marks=IPV6),
    ],
)
def test_the_url_is_what_a_client_on_this_machine_uses(host, secure, start):
    bound = listen(host, 0, secure=secure)
    with bound.socket:
        port = bound.socket.getsockname()[1]
        assert bound.url == f"{start}{port}"
        assert port != 0
        assert bound.unix_path is None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.create_connection(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))):
            pass


def test_a_port_in_use_is_one_line_with_the_way_out():
    with listen("127.0.0.1", 0, secure=False).socket as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen) as error:
            listen("127.0.0.1", port, secure=False)
    text = str(error.value)
    assert text == f"port {port} on 127.0.0.1 cannot be bound: another process has it; choose another with --http-port"


@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "1.2.3.4.5", "x" * 300, "a..b", "unix:/no/such/folder/s", "unix:"]
)
def test_an_address_that_is_none_is_one_line_that_names_it(host):
    with pytest.raises(CannotListen) as error:
        listen(host, 0, secure=False)
    assert host.removeprefix("unix:")[:20] in str(error.value)
    assert "\n" not in str(error.value)


def test_a_unix_socket_is_bound_and_one_that_a_dead_server_left_is_taken_over(tmp_path):
    path = tmp_path / "s"
    for _ in range(2):
        bound = listen(f"unix:{path}", 8080, secure=False)
        assert (bound.url, bound.unix_path) == (f"unix:{path}", path)
        assert stat.S_ISSOCK(path.stat().st_mode)
        bound.socket.close()  # as a killed process leaves it: the file stays


def test_a_unix_socket_that_is_answered_and_a_file_that_is_none_are_left_alone(tmp_path):
    with listen(f"unix:{tmp_path / 's'}", 0, secure=False).socket, pytest.raises(CannotListen, match="in use"):
        listen(f"unix:{tmp_path / 's'}", 0, secure=False)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(CannotListen):
        listen(f"unix:{tmp_path / 'file'}", 0, secure=False)
    assert (tmp_path / "file").read_text() == "precious"
