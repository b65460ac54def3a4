"""What obstore says, as our errors; its texts are those of obstore 0.12 on a real socket."""

import pytest

from storage.errors import Busy, Changed, Denied, NotThere, StorageError, Unranged, Unreachable, Unsafe, Untrusted
from storage.failures import Who, by_status, translated

WHO = Who("S3", "s3://b/m", "the access key AKIA…", "set AWS_ACCESS_KEY_ID", ("the-secret",), "look at S3_ENDPOINT")


class GenericError(Exception):
    """As obstore names it."""


class PreconditionError(Exception):
    """As obstore names it."""


class NotSupportedError(Exception):
    """As obstore names it."""


class InvalidPathError(Exception):
    """As obstore names it."""


def sending(debug):
    text = (
        "Generic S3 error: Error performing HEAD http://u:the-secret@h:1/b/m?sig=1 in 2ms - HTTP error: error sending"
    )
    return GenericError(f"{text} request\n\nDebug source:\nkind: Connect, {debug}")


def generic(text):
    return GenericError(f"Generic S3 error: {text}\n\nDebug source:\nGeneric {{ secret }}")


SAID = "Error performing GET http://h/b/m?X-Amz-Signature=sig in 1ms - Server returned non-2xx status code: "
LACKED = "The operation lacked valid authentication credentials for path External AWS credential provider: "


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (generic(f"{SAID}503 Service Unavailable: "), Busy, "is not available now: 503 Service Unavailable"),
        (generic(f"{SAID}429 Too Many Requests: "), Busy, "429"),
        (generic(f"{SAID}500 Internal Server Error: "), Unreachable, "500"),
        (generic(f"{SAID}416 Range Not Satisfiable: "), Changed, "the next pull starts clean"),
        (generic(f"{SAID}403 Forbidden: <Error><Code>AccessDenied</Code><Message>No.</Message></Error>"), Denied,
         "is refused to the access key AKIA…: AccessDenied: No.; set AWS_ACCESS_KEY_ID"),
        (FileNotFoundError(f"Object at location m not found: {SAID}404 Not Found: "), NotThere,
         "404 Not Found; look at S3_ENDPOINT"),
        (PreconditionError(f"Request precondition failure for path m: {SAID}412 Precondition Failed: "), Changed, ""),
        (generic("HTTP error: request or response body error"), Unreachable, "cannot be reached"),
        (sending('"dns error", error: "failed to lookup address information: Name or service"'), Unreachable,
         "S3 resource s3://b/m cannot be reached at http://h:1: there is no such host; look at S3_ENDPOINT"),
        (sending('kind: ConnectionRefused, message: "Connection refused"'), Unreachable, "nobody listens there"),
        (sending("InvalidMessage(\n InvalidContentType"), Untrusted, "it speaks no TLS"),
        (sending("InvalidCertificate(\n UnknownIssuer"), Untrusted, "its certificate is not trusted"),
        (sending("[SSL: WRONG_VERSION_NUMBER] wrong version number"), Untrusted, "it speaks no TLS"),
        (sending("[SSL: CERTIFICATE_VERIFY_FAILED]"), Untrusted, "AWS_CA_BUNDLE names more certificates"),
        (sending("ConnectError: [Errno -2] Name or service not known"), Unreachable, "there is no such host"),
        (sending("kind: TimedOut"), Unreachable, "it did not answer in time"),
        (sending("hyper::Error(IncompleteMessage)"), Unreachable, "it closed the connection"),
        (sending("kind: Unheard"), Unreachable, "at http://h:1: HTTP error: error sending request; look at"),
        (generic(f"{SAID}403 Forbidden: <Code>No</Code><Message>Not\nRequestId:1\r\nTime: 2\x1b[2J</Message>"), Denied,
         "No: Not RequestId:1 Time: 2"),
        (generic("Error performing HEAD http://h/b in 1ms - Received redirect without LOCATION, this normally"),
         StorageError, "is in another region; set AWS_DEFAULT_REGION to its own, or to nothing"),
        (generic("Content-Length Header missing from response"), Unranged, "is not given in parts"),
        (generic("Received non-partial response when range requested"), Unranged, "is not given in parts"),
        (NotSupportedError("Operation not supported: Range request not supported by "), Unranged, ""),
        (InvalidPathError('Encountered object with invalid path: Path "m//a" contained empty path segment'), Unsafe,
         'Path "m//a" contained empty path segment'),
        (GenericError(f"{LACKED}Denied: run aws sso login\nof the-secret"), Denied,
         "is refused to the access key AKIA…: run aws sso login of …; set AWS_ACCESS_KEY_ID"),
        (GenericError(f"{LACKED}Unreachable: 503"), Unreachable, "cannot be asked by the access key AKIA…: 503"),
        (generic(f"{SAID}409 Conflict: "), StorageError, "S3 resource s3://b/m: 409 Conflict"),
    ],
)  # fmt: skip
def test_each_becomes_its_own(error, kind, says):
    told = translated(error, WHO)
    assert type(told) is kind
    assert says in str(told)
    assert "s3://b/m" in str(told)
    assert str(told).isprintable()


def test_nothing_of_a_secret_comes_through():
    told = translated(generic(f"{SAID}403 Forbidden: the key the-secret is wrong"), WHO)
    assert "the-secret" not in f"{told} {WHO!r}"
    assert "X-Amz" not in str(told)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Denied),
        (401, Denied),
        (404, NotThere),
        (410, NotThere),
        (412, Changed),
        (502, Unreachable),
        (418, StorageError),
    ],
)
def test_a_status_alone_says_enough(status, kind):
    told = by_status(status, "it", "said\x1b[2J", WHO)
    assert type(told) is kind
    assert str(told).isprintable()
