"""What a server was told: a frozen Config, from flags and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.wire.cloudevents import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Durations in seconds, sizes in bytes. ``host`` is an address, a name or ``unix:PATH``; port 0 is any free one.

    ``graphs``: graph files and models; a text is the URI of a model.
    """

    graphs: tuple[Path | str, ...]
    host: str
    http_port: int
    workers: int
    grace: float
    drain_delay: float
    keep_alive: float
    max_body: int
    ready: Literal["all", "any", "now"]
    log_level: str
    log_format: Literal["text", "json"]
    log_config: Path | None
    access_log: bool
    access_log_format: str | None
    access_log_rate: int
    latency_log: bool
    tls_cert: Path | None
    tls_key: Path | None
    model_name: str | None
    model_repository: Path | None
    ui: bool
    cache_dir: Path | None
    cache_size: int | None
    offline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """What a command that needs models was told of their cache. Sizes in bytes."""

    cache_dir: Path | None = None
    cache_size: int | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PullConfig:
    """What ``pull`` was told. Sizes in bytes; ``max_ratio`` is of an archive unpacked to itself."""

    cache_dir: Path | None
    cache_size: int | None
    offline: bool
    max_unpacked: int
    max_members: int
    max_ratio: float


def environment() -> Mapping[str, str]:
    """What ``${VAR}`` of graph files is filled in from; everybody else is handed it."""
    return os.environ


def sender_of(variables: Mapping[str, str]) -> Sender:
    """What replies that are events say of themselves, by KServe's variables."""
    # What only talks (--help) need not wait for the codecs.
    from pipeline.wire.cloudevents import Sender  # noqa: PLC0415

    usual = Sender()
    return Sender(
        type=variables.get("CE_TYPE") or usual.type,
        source=variables.get("CE_SOURCE") or usual.source,
        merge=variables.get("CE_MERGE", "").lower() == "true",
    )
