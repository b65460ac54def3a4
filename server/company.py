"""Whether a connection is served in turns with others: then its replies go out together with theirs."""

from __future__ import annotations


class Company:
    """The connections of a worker.

    A reply that is sent wakes its client, and takes the way through the kernel; the request that is handled after it
    finds neither its code nor its data in the caches. So what came together is first handled, and then sent. Who is
    served alone has nobody to wait for.
    """

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: object = None

    def has_others(self, own: object) -> bool:
        """Whether another was answered since this one was. The answer to ``own`` is made now."""
        others = self._latest is not own
        self._latest = own
        return others
