"""``hf://OWNER/MODEL[:REVISION]``: the Hugging Face hub, or another of its kind (``HF_ENDPOINT``)."""

from __future__ import annotations

import re
from pathlib import Path

from storage.connection import connection
from storage.errors import StorageError
from storage.failures import Who
from storage.options import Settings
from storage.source import Remote

KEYS = ("hf",)
OPTIONS = {"endpoint": "HF_ENDPOINT"}
_HUB = "https://huggingface.co"
_URI = re.compile(r"hf://([\w.\-]+)/([\w.\-]+)(?::([^:\s?#]+))?/?", re.IGNORECASE | re.ASCII)


def refusal(uri: str) -> str | None:
    found = _URI.fullmatch(uri)
    if found is None or {found[1], found[2]} & {".", ".."}:
        return f'"{uri}" is not of the form hf://OWNER/MODEL or hf://OWNER/MODEL:REVISION'
    return None


def open_source(uri: str, settings: Settings) -> Remote:
    """Raises StorageError for an ``HF_ENDPOINT`` that is no URL."""
    from storage.hub import Hub  # noqa: PLC0415  # slow, and `check` downloads nothing

    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError(refusal(uri))
    endpoint = (settings.get("HF_ENDPOINT") or _HUB).rstrip("/")
    if not re.match(r"https?://[^/@?]+", endpoint) or "@" in endpoint:
        raise StorageError("HF_ENDPOINT is http://HOST or https://HOST")
    own, named_by = token(settings)
    headers = {"authorization": f"Bearer {own}"} if own else {}
    who = Who(
        "HuggingFace", uri, f"the token of {named_by}" if own else "nobody in particular: no token is set",
        "set HF_TOKEN, and accept the model's terms on its page where it has some", (own,) if own else (),
        "" if endpoint == _HUB else "HF_ENDPOINT says where it is",
    )  # fmt: skip
    how = connection(settings, plain=endpoint.startswith("http:"), headers=headers)
    return Hub(who, f"{uri} at {endpoint}", endpoint, f"{found[1]}/{found[2]}", found[3] or "main", how)


def token(settings: Settings) -> tuple[str, str]:
    """(token, where it is from), as the hub's own library looks for it; ("", "") where there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if told := (settings.get(name) or "").strip():
            return told, name
    home = settings.get("HF_HOME") or f"{settings.get('XDG_CACHE_HOME') or _cache(settings)}/huggingface"
    file = Path(settings.get("HF_TOKEN_PATH") or f"{home}/token")
    try:
        return file.read_text().strip(), str(file)
    except OSError:
        return "", ""


def _cache(settings: Settings) -> str:
    return f"{settings.get('HOME') or '/nonexistent'}/.cache"
