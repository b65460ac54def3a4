"""What a source is told by its surroundings: KServe's JSON and a step's own options, laid over the environment. Pure.

Nothing is ever written into the process's environment, so two models cannot see each other's credentials.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.errors import StorageError

# KServe's words (kserve_storage 0.21, _update_with_storage_spec) and a step's, as the variables they stand for.
_S3 = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}
_WORDS: Mapping[str, tuple[frozenset[str], Mapping[str, str]]] = {
    "s3": (frozenset({"s3"}), _S3),
    "hdfs": (frozenset({"hdfs", "webhdfs"}), {}),
    "webhdfs": (frozenset({"hdfs", "webhdfs"}), {}),
}
# Other variables of the same meaning, which would win over the one that was named.
_SAME = {
    "AWS_ENDPOINT_URL": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "S3_USE_ACCELERATE"),
    "AWS_DEFAULT_REGION": ("AWS_REGION",),
    # A session's token goes with its own keys alone.
    "AWS_ACCESS_KEY_ID": ("AWS_SESSION_TOKEN", "awsAnonymousCredential"),
}
_LONGEST = 1e6
_NO = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scheme works with: this source's variables, the folder of relative paths, and stores in memory."""

    variables: Mapping[str, str] = field(repr=False)
    folder: Path
    stores: Mapping[str, Any] = field(default_factory=dict, repr=False)
    offline: bool = False

    def get(self, *names: str) -> str | None:
        """The first of these variables that is set to anything, without the line end that a file has left on it."""
        return next((value for name in names if (value := self.variables.get(name, "").strip())), None)

    def says(self, name: str, *, default: bool) -> bool:
        """A variable as yes or no, in KServe's spellings; an empty one says nothing."""
        value = self.variables.get(name, "").strip()
        return value.lower() not in _NO if value else default

    def seconds(self, name: str, default: float) -> float:
        """A variable as a time. Raises StorageError where it is none."""
        told = self.get(name)
        try:
            read = default if told is None else float(told)
        except ValueError:
            read = 0.0
        if not 0 < read < _LONGEST:
            raise StorageError(f'{name} is a number of seconds above 0, not "{told}"')
        return read


def variables_for(scheme: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with ``STORAGE_CONFIG`` and over it ``STORAGE_OVERRIDE_CONFIG`` where they are of this scheme.

    Raises StorageError for JSON that is no map; its text is never repeated, for it holds secrets.
    """
    told: dict[str, Any] = {}
    for name in ("STORAGE_CONFIG", "STORAGE_OVERRIDE_CONFIG"):
        if text := environment.get(name):
            told |= _map(name, text)
    schemes, words = _WORDS.get(str(told.pop("type", "")).lower(), (frozenset(), {}))
    if scheme not in schemes:
        return environment
    given = dict(_named(told, words))
    hidden = {other for name in given for other in _SAME.get(name, ())}
    return {name: value for name, value in environment.items() if name not in hidden} | given


def with_options(
    variables: Mapping[str, str], words: Mapping[str, str], options: Mapping[str, Any]
) -> Mapping[str, str]:
    """The variables with a step's own options over them; ``words``: option → the variable it stands for."""
    given = {words[word]: _text(value) for word, value in options.items()}
    hidden = {other for name in given for other in _SAME.get(name, ())}
    return {name: value for name, value in variables.items() if name not in hidden} | given


def misused(scheme: str, words: Mapping[str, str], options: Mapping[str, Any]) -> str | None:
    """Why a scheme cannot be given those options; None where it can. Values are never repeated."""
    source = f"{scheme}://" if scheme else "a path"
    for word, value in options.items():
        if word not in words:
            known = f"has no storage option but {', '.join(words)}" if words else "has no storage options"
            return f'{source} {known}; "{word}" is none'
        if not isinstance(value, bool if word == "anonymous" else str):
            return f"the storage option {word} is {'true or false' if word == 'anonymous' else 'a text'}"
    return None


def _named(told: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for word, value in told.items():
        name = words.get(word, word if not words else None)
        if name is not None and value is not None:
            yield name, _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def headers_in(name: str, text: str | None) -> Mapping[str, str]:
    """Header → value, of the variable with that text; none where there is no text. Raises as ``_map``."""
    read = {} if text is None else _map(name, text, " of header names and values")
    return {str(header): str(value) for header, value in read.items()}


def _map(name: str, text: str, of: str = "") -> dict[str, Any]:
    """The JSON object of a variable. Raises StorageError, without the text, which may hold secrets."""
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise StorageError(f"{name} is not a JSON object{of}")
    return read


def patterns(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """``STORAGE_ALLOW_PATTERNS`` or ``STORAGE_IGNORE_PATTERNS``: a JSON array, one JSON scalar, or a comma list."""
    text = environment.get(name, "").strip()
    if not text:
        return ()
    try:
        read = json.loads(text)
    except ValueError:
        read = text.split(",")
    listed = read if isinstance(read, list) else [read]
    return tuple(own for item in listed if (own := str(item).strip()))
