"""AWS's credentials, in the order of its SDKs: keys, web identity, a profile, the container's role, the machine's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage.connection import Connection
from storage.credentials.account import Account, plain
from storage.credentials.aws_keys import of_container, of_machine, of_role, of_sign_in, of_web_identity
from storage.errors import Denied, StorageError
from storage.options import Settings

_MACHINE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
SET = ("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, "
       "or awsAnonymousCredential=true for a public bucket")  # fmt: skip
_SIGN_IN = frozenset({"sso_account_id", "sso_role_name", "sso_region", "sso_start_url"})
# What a profile with a role may call the credential that takes it on.
_SOURCES = ("Environment", "EcsContainer", "Ec2InstanceMetadata")


@dataclass(frozen=True, slots=True)
class _Aws:
    """Where credentials are looked for, and by which connections they are asked for."""

    settings: Settings
    region: str
    how: Connection

    @property
    def sts(self) -> str:
        return self.settings.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self.region}.{domain(self.region)}"


def account(settings: Settings, own: Mapping[str, str], region: str, how: Connection) -> Account:
    """``own`` is the profile. Raises StorageError for half a pair of keys, and for a profile beyond us."""
    if settings.says("awsAnonymousCredential", default=False):
        return Account("nobody in particular (awsAnonymousCredential)")
    aws = _Aws(settings, region, how)
    file, role = settings.get("AWS_WEB_IDENTITY_TOKEN_FILE"), settings.get("AWS_ROLE_ARN")
    if found := _of_environment(settings):
        return found
    if file and role:
        given = partial(of_web_identity, aws.sts, Path(file), role, settings.get("AWS_ROLE_SESSION_NAME"), how)
        return Account(f"the role {role} (AWS_WEB_IDENTITY_TOKEN_FILE)", given)
    found = _of_profile(settings.get("AWS_PROFILE") or "default", own, aws) or _of_container(aws)
    if found is None and settings.says("AWS_EC2_METADATA_DISABLED", default=False):
        raise Denied(f"there are no credentials for S3, and the machine's are not asked for; {SET}")
    return found or _of_machine(aws)


def domain(region: str) -> str:
    """Where AWS's endpoints of a region are."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _of_environment(settings: Settings) -> Account | None:
    key, secret = settings.get("AWS_ACCESS_KEY_ID"), settings.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return _keys(key, secret, settings.get("AWS_SESSION_TOKEN"), f"the access key {key[:4]}… (AWS_ACCESS_KEY_ID)")
    if key or secret:
        raise StorageError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one of them is not set")
    return None


def _keys(key: str, secret: str, token: str | None, tried: str) -> Account:
    plain(tried, key, secret, token)
    given = {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    return Account(tried, lambda: given, secrets=(secret, *([token] if token else [])))


def _of_container(aws: _Aws) -> Account | None:
    place, relative = (aws.settings.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("FULL", "RELATIVE"))
    if not (place or relative):
        return None
    token = aws.settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    held = aws.settings.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    url = f"{_CONTAINER}{relative}" if relative else str(place)
    given = partial(of_container, url, token, Path(held) if held else None, aws.how)
    return Account("the container's role", given, secrets=(token,) if token else ())


def _of_machine(aws: _Aws) -> Account:
    machine = aws.settings.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _MACHINE
    return Account("the machine's role", partial(of_machine, machine.rstrip("/"), aws.how))


def _of_profile(name: str, own: Mapping[str, str], aws: _Aws, before: tuple[str, ...] = ()) -> Account | None:
    """The account of a profile; None for one that only has settings. ``before``: whose roles it is to take on."""
    tried = f"the profile {name}"
    if "role_arn" in own and name not in before:
        return _of_role(name, own, aws, before)
    if own.get("aws_access_key_id") and own.get("aws_secret_access_key"):
        return _keys(own["aws_access_key_id"], own["aws_secret_access_key"], own.get("aws_session_token"), tried)
    if own.keys() >= _SIGN_IN:
        home = Path(aws.settings.get("HOME") or "/nonexistent")
        portal = aws.settings.get("AWS_ENDPOINT_URL_SSO") or f"https://portal.sso.{own['sso_region']}.amazonaws.com"
        return Account(f"{tried} (signed in by aws sso login)", partial(of_sign_in, portal, name, own, home, aws.how))
    beyond = sorted(word for word in own if word == "credential_process" or word.startswith("sso_"))
    if beyond:
        raise _beyond(name, beyond[0])
    return None


def _of_role(name: str, own: Mapping[str, str], aws: _Aws, before: tuple[str, ...]) -> Account:
    """A profile that takes on a role: by a pod's token, or by what another profile, or the surroundings, give."""
    tried, session = f"the profile {name}", own.get("role_session_name")
    if file := own.get("web_identity_token_file"):
        return Account(tried, partial(of_web_identity, aws.sts, Path(file), own["role_arn"], session, aws.how))
    if "mfa_serial" in own:
        raise _beyond(name, "mfa_serial")
    base: Account | None = None
    match own.get("source_profile"), own.get("credential_source"):
        case str(source), _:
            base = _of_profile(source, profile(aws.settings, source), aws, (*before, name))
        case _, "Environment":
            base = _of_environment(aws.settings)
        case _, "EcsContainer":
            base = _of_container(aws)
        case _, "Ec2InstanceMetadata":
            base = _of_machine(aws)
    if base is None or base.credential is None:
        raise StorageError(f"the AWS profile {name} takes on a role, and has neither a source_profile with credentials "
                           f"nor a credential_source ({', '.join(_SOURCES)}) that gives some")  # fmt: skip
    given = partial(of_role, aws.sts, aws.region, own, base.credential, aws.how)
    return Account(f"{tried} in the role {own['role_arn']}", given, secrets=base.secrets)


def _beyond(name: str, word: str) -> StorageError:
    return StorageError(f"the AWS profile {name} has {word}, which is not followed here; run aws configure "
                        f"export-credentials --profile {name} --format env, and set what it prints")  # fmt: skip


def profile(settings: Settings, other: str | None = None) -> dict[str, str]:
    """What the shared files say of ``AWS_PROFILE``, or of ``default``, with its sign-in; empty where they do not.

    ``other``: of that one instead. Raises StorageError where one is named that they have not.
    """
    import configparser  # noqa: PLC0415  # of no use where keys are set

    home = Path(settings.get("HOME") or "/nonexistent")
    name = other or settings.get("AWS_PROFILE")
    found: dict[str, str] = {}
    settled = "default" if name in (None, "default") else f"profile {name}"
    for file, section in (
        (settings.get("AWS_CONFIG_FILE") or home / ".aws/config", settled),
        (settings.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials", name or "default"),
    ):
        read = configparser.RawConfigParser()
        try:
            read.read(file)
        except configparser.Error:
            raise StorageError(f"{file} is no file of AWS profiles") from None
        if read.has_section(section):
            found |= dict(read.items(section))
        session = f"sso-session {found.get('sso_session')}"
        if read.has_section(session):
            found |= dict(read.items(session))
    if name and not found:
        raise StorageError(f"there is no AWS profile {name} ({'source_profile' if other else 'AWS_PROFILE'})")
    return found
