"""What obstore raises, as our errors: of what, with which credential, and what to set. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from storage.errors import Busy, Changed, Denied, NotThere, StorageError, Unranged, Unreachable, Unsafe, Untrusted
from storage.secret import legible, scrub

_STATUS = re.compile(r"status code: (\d{3})")
_XML = re.compile(r"<Code>([^<]*)</Code>|<Message>([^<]*)</Message>")
_LONGEST = 300
# What S3 answers for a bucket of another region.
_ELSEWHERE = "redirect without LOCATION"
# A whole reply to a question for a part; headers that obstore cannot do without, or cannot read.
_NOT_FOR_PARTS = re.compile(r"non-partial response|Header missing|Invalid last modified|Invalid content")
# What a credential that we gave to obstore raised: of which kind, and its words.
_OURS = re.compile(r"External \w+ credential provider: (\w+): (.*)", re.DOTALL)
_URL = re.compile(r"https?://[^\s/?#]+")
_NO_TLS = re.compile("InvalidContentType|InvalidMessage|WRONG_VERSION_NUMBER")
_NO_PROOF = re.compile("InvalidCertificate|invalid peer certificate|CERTIFICATE_VERIFY_FAILED")
# Of a connection that failed: what obstore's debug text has of it, and what httpx has of the system's.
_CAUSES = (
    (re.compile(r"failed to lookup address|\[Errno -\d+\]|nodename nor servname"), "there is no such host"),
    (re.compile("ConnectionRefused|Connection refused"), "nobody listens there"),
    (_NO_TLS, "it speaks no TLS, as https:// asks"),
    (_NO_PROOF, "its certificate is not trusted; AWS_CA_BUNDLE names more certificates"),
    (re.compile("TimedOut|timed out|Timeout"), "it did not answer in time"),
    (re.compile("ConnectionReset|IncompleteMessage|UnexpectedEof|Server disconnected|peer closed|ReadError"),
     "it closed the connection"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Who:
    """A source as errors name it. ``tried``: the credential; ``set``: which variables to set for another.

    ``place``: which variables said where it is, "" where none did.
    """

    provider: str
    shown: str
    tried: str
    set: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    place: str = ""

    @property
    def looked(self) -> str:
        """The end of an error that another place would mend."""
        return f"; {self.place}" if self.place else ""


def translated(error: Exception, who: Who) -> StorageError:
    """The error for a failed call. Its text has no secret in it, and says what the server said."""
    text = str(error).partition("\n\nDebug source:")[0]
    said = legible(scrub(_said(text), who.secrets))
    of = f"{who.provider} resource {who.shown}"
    if ours := _OURS.search(text):
        return _of_credential(ours[1], " ".join(scrub(ours[2], who.secrets).split()), of, who)
    if found := _STATUS.search(text):
        return by_status(int(found[1]), of, said, who)
    match type(error).__name__:
        case "FileNotFoundError" | "NotFoundError":
            return NotThere(f"{of} is not there: {said}{who.looked}")
        case "PermissionDeniedError" | "UnauthenticatedError":
            return Denied(f"{of} is refused to {who.tried}: {said}; {who.set}")
        case "PreconditionError" | "NotModifiedError":
            return changed(of)
        case "NotSupportedError" if "ange" in text:
            return Unranged(f"{of} is given as a whole only")
        case "GenericError" if _NOT_FOR_PARTS.search(text):
            return Unranged(f"{of} is not given in parts: {said}")
        case "GenericError" if _ELSEWHERE in text:
            return StorageError(f"{of} is in another region; set AWS_DEFAULT_REGION to its own, or to nothing")
        case "InvalidPathError" | "ValueError":
            return Unsafe(f"{of} has a key that is no file below its folder: {said}")
    url = _URL.search(text)
    return unreachable(who, url[0] if url and "://" not in said else "", str(error), said)


def unreachable(who: Who, url: str, text: str, said: str) -> Unreachable:
    """Where it was looked for, what was found there as far as ``text`` tells (else what is said), what to look at."""
    found = _URL.match(scrub(url))
    where = f" at {found[0]}" if found else ""
    cause = next((words for known, words in _CAUSES if known.search(text)), said)
    return unmet(text)(f"{who.provider} resource {who.shown} cannot be reached{where}: {cause}{who.looked}")


def unmet(text: str) -> type[Unreachable]:
    """What a failed connection is, as far as its text tells. A name that is not found may be found in a moment."""
    return Untrusted if _NO_TLS.search(text) or _NO_PROOF.search(text) else Unreachable


def changed(of: str, what: str = "") -> Changed:
    """The error for a source that is not as it was listed; ``what``: what of it, where that is more than its bytes."""
    return Changed(f"{of} changed {f'{what} ' if what else ''}while it was downloaded; the next pull starts clean")


def unmade(error: Exception, who: Who) -> StorageError:
    """The error for settings that obstore can make nothing of: a file of credentials, certificates, a host."""
    said = legible(scrub(str(error).partition("\n\nDebug source:")[0], who.secrets))[:_LONGEST]
    return StorageError(f"{who.provider} resource {who.shown} cannot be asked by {who.tried}: {said}; {who.set}")


def _of_credential(kind: str, said: str, of: str, who: Who) -> StorageError:
    for known in (Unreachable, Untrusted):
        if kind == known.__name__:
            return known(f"{of} cannot be asked by {who.tried}: {said}")
    return Denied(f"{of} is refused to {who.tried}: {said}; {who.set}")


def by_status(status: int, of: str, said: str, who: Who) -> StorageError:
    """The error that an HTTP status stands for."""
    said = legible(said)
    match status:
        case 404 | 410:
            return NotThere(f"{of} is not there: {said}{who.looked}")
        case 400 | 401 | 403 | 407:
            return Denied(f"{of} is refused to {who.tried}: {said}; {who.set}")
        case 412 | 416:
            return changed(of)
        case 429 | 503:
            return Busy(f"{of} is not available now: {said}")
        case 408 | 500 | 502 | 504:
            return Unreachable(f"{of} cannot be reached: {said}")
    return StorageError(f"{of}: {said}")


def _said(text: str) -> str:
    """What of an error text is the server's, or the client's, own words: a line."""
    xml = [code or message for code, message in _XML.findall(text)]
    if xml:
        return " ".join(": ".join(xml).split())[:_LONGEST]
    text = text.rpartition(" - ")[2] if " - " in text else text
    text = text.removeprefix("Server returned non-2xx status code: ").rstrip(": ")
    return " ".join(text.split())[:_LONGEST]
