"""What kqueue tells of a client, and what is made of it; beside a kernel in memory that ends sockets as the BSDs do."""

from __future__ import annotations

import errno
import importlib.util
import select
import socket
import sys
from types import SimpleNamespace

import pytest
import trio

from server.connected import Connected
from server.leaving_kqueue import ends

READ, WRITE, EOF = -1, -2, 0x8000


def event(flags: int, errors: int = 0, filter_: int = READ) -> SimpleNamespace:
    return SimpleNamespace(ident=7, filter=filter_, flags=flags, fflags=errors)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], []),
        ([event(0)], []),
        ([event(EOF)], [(7, False)]),
        ([event(EOF | 0x20)], [(7, False)]),
        ([event(EOF, errno.ECONNRESET)], [(7, True)]),
        ([event(EOF), event(EOF, errno.ETIMEDOUT)], [(7, False), (7, True)]),
    ],
    ids=["nothing", "data", "done", "done, with another flag", "reset", "done, then lost"],
)
def test_an_end_is_told_and_whether_it_is_the_connections(events, found):
    assert list(ends(events, EOF)) == found


class Kernel:
    """kqueue(2), whose sockets end as those of FreeBSD do (filt_soread and filt_sowrite in uipc_socket.c)."""

    def __init__(self) -> None:
        self.watched = []
        self.events = []
        self.ours, self.theirs = socket.socketpair()

    def fileno(self) -> int:
        return self.ours.fileno()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def control(self, changes, most, timeout=None):
        self.watched += changes or ()
        told, self.events = self.events[:most], self.events[most:]
        if told:
            self.ours.recv(len(told))
        return told

    def ends(self, *filters: int, errors: int = 0) -> None:
        told = [event(EOF, errors, filter_) for filter_ in filters if filter_ in {own.filter for own in self.watched}]
        self.events += told
        self.theirs.send(b"x" * len(told))

    def client_is_done(self) -> None:
        self.ends(READ)

    def we_are_done(self) -> None:
        self.ends(WRITE)

    def reset(self) -> None:
        self.ends(READ, WRITE, errors=errno.ECONNRESET)


@pytest.fixture
def kernel(monkeypatch):
    kernel = Kernel()
    names = {"KQ_EV_ADD": 1, "KQ_EV_CLEAR": 0x20, "KQ_EV_EOF": EOF, "KQ_NOTE_LOWAT": 1, "KQ_FILTER_READ": READ}
    for name, value in {**names, "KQ_FILTER_WRITE": WRITE}.items():
        monkeypatch.setattr(select, name, value, raising=False)
    monkeypatch.setattr(select, "kqueue", lambda: kernel, raising=False)
    monkeypatch.setattr(select, "kevent", lambda fd, own, *_: SimpleNamespace(ident=fd, filter=own), raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "freebsd14")
        found = importlib.util.find_spec("server.leaving_kqueue")
        kernel.module = importlib.util.module_from_spec(found)
        found.loader.exec_module(kernel.module)
    return kernel


@pytest.mark.parametrize(
    ("happens", "gone"),
    [
        (["client_is_done"], False),
        (["we_are_done", "client_is_done"], False),
        (["client_is_done", "reset"], True),
        (["we_are_done", "client_is_done", "reset"], True),
    ],
    ids=lambda own: "; ".join(own) if isinstance(own, list) else None,
)
async def test_a_half_close_of_ours_does_not_end_a_connection_and_a_reset_does(kernel, happens, gone):
    connection = Connected()
    own = kernel.module.Kqueue()
    own.add(7, connection)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.watch)
        for one in happens:
            getattr(kernel, one)()
        with trio.fail_after(20):
            while kernel.events or not connection.done_sending:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    own.discard(7)
    own.close()
    assert connection.scope.cancel_called == gone
