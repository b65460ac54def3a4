"""The signature, by AWS's own suite (``post-x-www-form-urlencoded``); moto checks it in ``schemes/test_s3.py``."""

from __future__ import annotations

from datetime import UTC, datetime

from storage.credentials.sigv4 import signed

KEYS = {
    "access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "expires_at": None,
}  # fmt: skip
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


def test_a_form_is_signed_as_aws_says():
    headers = signed("https://example.amazonaws.com/", "Param1=value1", ("us-east-1", "service"), KEYS, NOW)
    assert headers == {
        "content-type": "application/x-www-form-urlencoded",
        "host": "example.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    }


def test_a_sessions_token_is_signed_too():
    headers = signed("https://h", "", ("r", "sts"), {**KEYS, "token": "of-the-session"}, NOW)
    assert headers["x-amz-security-token"] == "of-the-session"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers["authorization"]
