"""An origin that misbehaves as told, and a storage with a cache of the test's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import Storage
from storage.events import Event
from storage.order import Order
from tests.storage.origin import Origin, serving


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as own:
        yield own


class Brought(list[Event]):
    """What was told of pulls, by kind."""

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def told() -> Brought:
    return Brought()


@pytest.fixture
def storage(origin: Origin, told: Brought, tmp_path: Path) -> Iterator[Storage]:
    """Bucket ``b`` of the origin is ``s3://b``; what happens is in ``told``."""
    variables = {"AWS_ENDPOINT_URL": origin.url, "awsAnonymousCredential": "true", "HOME": str(tmp_path)}
    own = Storage(variables, cache_dir=tmp_path / "cache", order=Order(observe=told.append))
    yield own
    own.cache.close()
