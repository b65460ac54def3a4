"""Fields of a JSON object that are texts or lists, missing ones empty. Raises InvalidInput naming the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import InvalidInput
from pipeline.tensors.shown import kind


def text_in(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f'"{key}" is a text, got {kind(value)}')
    return value


def texts_in(body: Mapping[str, Any], key: str) -> tuple[str, ...]:
    texts = list_in(body, key)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput(f'"{key}" is a list of texts')
    return tuple(texts)


def list_in(body: Mapping[str, Any], key: str) -> list[Any]:
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInput(f'"{key}" is a list, got {kind(value)}')
    return value
