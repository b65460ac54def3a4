"""What watches clients, by what the kernel tells: here with a kernel that refuses."""

from __future__ import annotations

import sys

import pytest
import trio

from server.connected import Connected
from server.leaving import leaving


@pytest.mark.skipif(sys.platform != "linux", reason="epoll watches no files")
async def test_one_that_cannot_be_watched_is_no_worse_to_let_go_and_the_others_are_watched_on(tmp_path):
    theirs, ours = trio.socket.socketpair()
    with (tmp_path / "file").open("w") as unwatchable, theirs, ours, leaving() as clients:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.watch)
            with pytest.raises(PermissionError):
                clients.add(unwatchable.fileno(), Connected())
            clients.discard(unwatchable.fileno())
            connection = Connected()
            clients.add(ours.fileno(), connection)
            theirs.close()
            with trio.fail_after(20), connection.scope:
                await trio.sleep_forever()
            clients.discard(ours.fileno())
            nursery.cancel_scope.cancel()
