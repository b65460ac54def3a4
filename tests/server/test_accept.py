"""Accepting: what a full process does with who waits."""

from __future__ import annotations

import errno
import socket

import pytest
import trio

from server.accept import accept, unbounded


class Full(socket.socket):
    """A listener in a process that has no free descriptor for a while."""

    left = 3
    error = errno.EMFILE

    def accept(self):
        if self.left:
            self.left -= 1
            raise OSError(self.error, "none is free")
        return super().accept()


@pytest.mark.parametrize(("error", "lines"), [(errno.EMFILE, 1), (errno.ENFILE, 1), (errno.ECONNABORTED, 0)])
async def test_who_waits_while_no_descriptor_is_free_is_accepted_once_one_is_and_the_log_says_so_once(
    caplog, nursery, error, lines
):
    with Full() as listener:
        listener.error = error
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        send, receive = trio.open_memory_channel[socket.socket](10)
        nursery.start_soon(accept, listener, send.send_nowait, unbounded, lambda: None)
        with trio.fail_after(20):
            clients = [await trio.open_tcp_stream(*listener.getsockname()) for _ in range(3)]
            for client in clients:
                with await receive.receive() as accepted:
                    assert accepted.getpeername()
                await client.aclose()
        nursery.cancel_scope.cancel()
    assert caplog.text.count("connections wait to be accepted") == lines
