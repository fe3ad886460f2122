"""The configuration, declared once: from here come validation, JSON Schema, the sample file and its reference."""

# Without `from __future__ import annotations`: pydantic would have to evaluate each one, which takes a while.

import re
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from imap.errors import BadUrl
from imap.model import Endpoint
from imap.url import parse_sieve_url, parse_url
from restante.endpoints import acting_for, names_one_account
from restante.schedule import cron_trigger, parse_span
from restante.sizes import parse_octets
from restante.telling.plan import ABOUT, About

if TYPE_CHECKING:  # backup/ takes a while to import, and not every command needs it
    from backup.retention import Policy


def live(_schema: JsonDict) -> None:
    """Mark an optional setting that the sample file sets rather than shows in a comment; the schema stays as it is."""


def fault(message: str, hint: str) -> PydanticCustomError:
    """Return a validation error that carries its remedy."""
    return PydanticCustomError("restante", "{message}", {"message": message, "hint": hint})


def _vault_url(text: str) -> str:
    if "@" in text.partition("://")[2].partition("/")[0]:
        hint = "S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or an AWS profile"
        raise fault("credentials don't belong in a vault URL", hint)
    if not text.startswith(("s3://", "file:///")):
        raise fault("not a vault URL", "write s3://bucket/prefix or file:///directory")
    return text


def _mail_url(text: str) -> str:
    try:
        parse_url(text)
    except BadUrl as error:
        raise fault(error.message, error.hint) from None
    return text


def _sieve_url(text: str) -> str:
    try:
        parse_sieve_url(text, Endpoint("host", 1, "user"))
    except BadUrl as error:
        raise fault(error.message, error.hint) from None
    return text


def _drill_url(text: str) -> str:
    if not text.startswith(("imap://", "imaps://")):
        raise fault("not an IMAP server", "write imaps://user@host, or leave it out to drill into a directory")
    return _mail_url(text)


def _server_url(text: str) -> str:
    if names_one_account(text):
        raise fault("a server's URL names one account", "leave as= out: each user is acted for")
    _mail_url(acting_for(text, "user"))
    return text


def _label(text: str) -> str:
    if not text.strip() or "://" in text or any(ord(c) < 32 for c in text):
        raise fault("not a usable name", "a name is not empty, not a URL, and on one line")
    return text


def _span(value: object) -> timedelta:
    try:
        return parse_span(value if isinstance(value, str) else "")
    except ValueError:
        raise fault("not a span of time", "write a number and s, m, h, d or w, e.g. 90s, 15m, 26h") from None


def _cron(text: str) -> str:
    try:
        cron_trigger(text, "UTC")
    except ValueError as error:
        raise fault(f"not a cron expression: {error}", "e.g. `15 2 * * *` for a quarter past two each night") from None
    return text


def _octets(value: object) -> int:
    try:
        return parse_octets(str(value))
    except ValueError:
        raise fault("not a size", "write a number and a unit, e.g. 500 MB, 2.5 GB or 64 MiB") from None


def _rate(value: object) -> int:
    text = str(value).strip()
    if not text.endswith("/s"):
        raise fault("not a bandwidth", "write a size a second, e.g. 20 MB/s or 500 kB/s")
    return _octets(text.removesuffix("/s"))


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, OSError, ValueError):
        raise fault("not a time zone this machine knows", "write a name like Europe/Vienna, or UTC") from None
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise fault("not an address to listen at", "write host:port, e.g. 127.0.0.1:8321 or [::]:8321")
    return text


def _address(text: str) -> str:
    _, address = parseaddr(text)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or any(ord(c) < 32 for c in text):
        raise fault("not an e-mail address", "e.g. admin@example.org, or Restante <restante@example.org>")
    return text


def _percent(text: object) -> float:
    try:
        percent = float(str(text).removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise fault("not a share", "write a percentage above 0, e.g. 5%")
    return percent / 100


VaultUrl = Annotated[str, AfterValidator(_vault_url)]
MailUrl = Annotated[str, AfterValidator(_mail_url)]
SieveUrl = Annotated[str, AfterValidator(_sieve_url)]
ServerUrl = Annotated[str, AfterValidator(_server_url)]
Label = Annotated[str, AfterValidator(_label)]
Address = Annotated[str, AfterValidator(_address)]
Span = Annotated[
    timedelta, BeforeValidator(_span), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhdw]$"})
]
SIZE = r"[0-9]+(\.[0-9]+)? ?([kMGT]i?)?B"
Octets = Annotated[int, BeforeValidator(_octets), WithJsonSchema({"type": "string", "pattern": f"^{SIZE}$"})]
Rate = Annotated[int, BeforeValidator(_rate), WithJsonSchema({"type": "string", "pattern": f"^{SIZE}/s$"})]
Share = Annotated[float, BeforeValidator(_percent), WithJsonSchema({"type": "string", "pattern": "^[0-9.]+%?$"})]
Kind = Literal["backup", "check", "prune", "drill", "copy"]
Namespace = Literal["personal", "other", "shared"]
RPO = "How old the newest complete snapshot may get before `restante status` and the service call it late"


class Section(BaseModel):
    """A part of the configuration: unknown settings are faults, not ignored."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class Lock(Section):
    """S3 Object Lock."""

    mode: Literal["governance", "compliance"] = Field(
        description="`governance`: who has a special right can delete sooner; `compliance`: nobody can.",
        examples=["compliance"],
    )
    days: int = Field(
        ge=1,
        le=36500,
        description="For how many days everything written can't be deleted. `restante prune` extends that for what is "
        "still needed; what has expired stays, and is paid for, until its days are over.",
        examples=[30],
    )


class Vault(Section):
    """Where the mail is kept, and what opens it."""

    url: VaultUrl = Field(
        description="The vault: s3://bucket/prefix?region=…&endpoint_url=… or file:///directory. S3 credentials come "
        "from the environment or an AWS profile, never from here.",
        examples=["s3://acme-mail/prod?region=eu-central-1"],
    )
    cache: Path | None = Field(
        None,
        description="Directory for the local index. It may be deleted at any time: it is rebuilt from the vault. "
        "Default: restante in the user's cache directory.",
        examples=["/var/cache/restante"],
    )
    passphrase_env: str | None = Field(
        None, description="Name of the environment variable with the passphrase.", examples=["MAIL_VAULT_PASSPHRASE"]
    )
    passphrase_file: Path | None = Field(
        None,
        description="File with the passphrase (or the recovery key) on its first line.",
        examples=["/run/secrets/vault-passphrase"],
    )
    passphrase_command: str | None = Field(
        None, description="Command that prints the passphrase.", examples=["pass show mail-vault"]
    )
    key_file: Path | None = Field(
        None,
        description="Key file of `restante key export`. With the backup-only one this host can back up but not read.",
        examples=["/run/secrets/vault-backup.key"],
        json_schema_extra=live,
    )
    object_lock: Lock | None = Field(
        None,
        description="Keep everything in the vault from deletion, in a bucket made with Object Lock. Proven at `init`, "
        "at each backup and when the service starts, by trying to delete a probe. For this URL only.",
    )


class Replica(Section):
    """A second site: another place with a copy of the vault, opened by the same secrets."""

    name: Label = Field(description="What `restante copy --to` and messages call it.", examples=["offsite"])
    url: VaultUrl = Field(
        description="Where it lies, as for the vault; with a storage class of its own, if need be.",
        examples=["s3://acme-mail-copy/prod?region=eu-north-1&storage_class=STANDARD_IA"],
    )
    profile: str | None = Field(
        None,
        description="Profile of AWS's configuration with its S3 credentials. Default: the vault's own credentials.",
        examples=["offsite"],
        json_schema_extra=live,
    )
    access_key_env: str | None = Field(
        None,
        description="Instead: name of the environment variable with its S3 access key.",
        examples=["OFFSITE_ACCESS_KEY"],
    )
    secret_key_env: str | None = Field(
        None,
        description="Name of the environment variable with the secret key that goes with it.",
        examples=["OFFSITE_SECRET_KEY"],
    )
    object_lock: Lock | None = Field(
        None,
        description="Keep everything there from deletion, as for the vault. Proven before each copy; each copy extends "
        "the locks of what is still needed.",
    )


class Microsoft(Section):
    """An application of Microsoft 365 that may read all mailboxes by IMAP (client credentials, IMAP.AccessAsApp)."""

    tenant: str = Field(description="The organisation's id or domain.", examples=["example.onmicrosoft.com"])
    client_id: str = Field(description="The application's id.", examples=["00000000-0000-0000-0000-000000000000"])
    client_secret_env: str | None = Field(
        None, description="Name of the environment variable with the client secret.", examples=["M365_SECRET"]
    )
    client_secret_file: Path | None = Field(
        None,
        description="File with the client secret on its first line.",
        examples=["/run/secrets/m365"],
        json_schema_extra=live,
    )
    client_secret_command: str | None = Field(
        None, description="Command that prints the client secret.", examples=["pass show m365"]
    )
    authority: str = Field(
        "https://login.microsoftonline.com",
        pattern="^https://",
        description="Who gives tokens; another one for national clouds.",
        examples=["https://login.microsoftonline.us"],
    )
    scope: str = Field(
        "https://outlook.office365.com/.default",
        description="What the token is for.",
        examples=["https://outlook.office365.us/.default"],
    )
    ca: Path | None = Field(
        None, description="A private CA to trust for the authority, in PEM.", examples=["/etc/ssl/private-ca.pem"]
    )


class Google(Section):
    """A service account of Google Workspace with domain-wide delegation for https://mail.google.com/."""

    key_file: Path = Field(description="The service account's key, as JSON.", examples=["/run/secrets/google.json"])


class OAuth2(Section):
    """Where an access token comes from, for servers that refuse passwords. Give one of the five."""

    token_env: str | None = Field(
        None, description="Name of the environment variable with the access token.", examples=["ALICE_TOKEN"]
    )
    token_file: Path | None = Field(
        None, description="File with the access token, read at each login.", examples=["/run/secrets/alice-token"]
    )
    token_command: str | None = Field(
        None,
        description="Command that prints a fresh access token, run at each login.",
        examples=["get-token alice"],
        json_schema_extra=live,
    )
    microsoft: Microsoft | None = Field(None, description="Ask Microsoft for it.")
    google: Google | None = Field(None, description="Ask Google for it, in the name of the account's user.")


def _count(what: str, example: int) -> Any:
    return Field(0, ge=0, le=100_000, description=what, examples=[example], json_schema_extra=live)


class Retention(Section):
    """Which snapshots `restante prune` keeps; the rest go. Without it, or with nothing in it, all are kept."""

    last: int = _count("The last so many.", 3)
    hourly: int = _count("The newest of each of the last so many hours that have one.", 48)
    daily: int = _count("The same for days, in UTC.", 14)
    weekly: int = _count("The same for weeks.", 8)
    monthly: int = _count("The same for months.", 24)
    yearly: int = _count("The same for years.", 10)

    @property
    def policy(self) -> "Policy":
        """What it says, as the engine takes it."""
        from backup.retention import Policy

        return Policy(**self.model_dump())


PER_DAY = (
    "What may come over the wire in any 24 hours, for {who}; some providers shut out who reads more (Gmail: 2500 MB). "
    "What is left then is read by a later run"
)
RETENTION = "Which snapshots `restante prune` keeps. Without it all are kept"


def _mailboxes(what: str, example: list[str]) -> Any:
    told = f"Mailboxes to {what}: globs of their names (`*` spans levels) or roles such as `\\Junk`."
    return Field(default=[], description=told, examples=[example], json_schema_extra=live)


def _namespaces() -> Any:
    told = "Whose mailboxes to take (RFC 2342): `personal`, one's own; `other`, what other users let one see; `shared`."
    return Field(["personal"], min_length=1, description=told, examples=[["personal", "shared"]])


def _sieve() -> Any:
    told = (
        "Where to read Sieve scripts: sieve://host[:4190] (ManageSieve), with the login of the mail. TLS by STARTTLS; "
        "tls=off, ca=FILE and fingerprint=SHA256 as for mail."
    )
    return Field(None, description=told, examples=["sieve://mail.example.org"])


class Account(Section):
    """One mail account to back up. Give one of the passwords, or oauth2."""

    name: Label = Field(
        description="What the account is called in the vault and on the command line.", examples=["alice@example.org"]
    )
    url: MailUrl = Field(
        description="imaps://user@host[:993], or imap://user@host[:143] with STARTTLS; pop3s:// and pop3:// "
        "likewise, for an INBOX without flags. Behind `?`: ca=FILE for a "
        "private CA, fingerprint=SHA256 to pin a certificate, as=USER to act for USER, tls=off for plain text.",
        examples=["imaps://alice@example.org@mail.example.org"],
    )
    password_env: str | None = Field(
        None, description="Name of the environment variable with the password.", examples=["ALICE_PASSWORD"]
    )
    password_file: Path | None = Field(
        None,
        description="File with the password on its first line.",
        examples=["/run/secrets/alice-password"],
        json_schema_extra=live,
    )
    password_command: str | None = Field(
        None, description="Command that prints the password.", examples=["pass show mail/alice"]
    )
    oauth2: OAuth2 | None = Field(None, description="Log in with an access token instead of a password.")
    exclude: list[str] = _mailboxes("leave out", ["\\Junk", "\\Trash", "Old/*"])
    only: list[str] = Field(default=[], description="Take only these mailboxes, named likewise.", examples=[["INBOX"]])
    namespaces: list[Namespace] = _namespaces()
    sieve: SieveUrl | None = _sieve()
    bandwidth: Rate | None = Field(
        None, description="How fast its mail is read at most, over all connections.", examples=["2 MB/s"]
    )
    bytes_per_day: Octets | None = Field(
        None, description=f"{PER_DAY.format(who='this account')}.", examples=["2500 MB"]
    )
    rpo: Span | None = Field(None, description=f"{RPO}. Default: the shortest of its jobs.", examples=["2h"])
    retention: Retention | None = Field(None, description=f"{RETENTION}, or what any of its jobs says.")


class Server(Section):
    """A whole mail server: one credential for all of its users. Give one of the three that name the users."""

    name: Label = Field(description="What messages call the server.", examples=["mail"])
    url: ServerUrl = Field(
        description="Where and as whom to log in, as for an account. Each user is acted for: as=USER is added "
        "(Dovecot's master users, with master=* in the form user*master; Cyrus's proxy administrators), or {account} "
        "in the URL is replaced by the user.",
        examples=["imaps://backup@mail.example.org?master=*"],
    )
    password_env: str | None = Field(
        None, description="Name of the environment variable with the password.", examples=["MASTER_PASSWORD"]
    )
    password_file: Path | None = Field(
        None,
        description="File with the password on its first line.",
        examples=["/run/secrets/master-password"],
        json_schema_extra=live,
    )
    password_command: str | None = Field(
        None, description="Command that prints the password.", examples=["pass show mail/master"]
    )
    oauth2: OAuth2 | None = Field(None, description="Log in with an access token instead of a password.")
    users: list[str] = Field(default=[], description="The users.", examples=[["anna", "bert@example.org"]])
    users_file: Path | None = Field(
        None, description="File with one user a line; `#` begins a comment.", examples=["/etc/restante/users"]
    )
    users_command: str | None = Field(
        None,
        description="Command that prints one user a line, run before each backup. New users are backed up from the "
        "next run on; those that are gone keep their snapshots.",
        examples=["doveadm user '*'"],
        json_schema_extra=live,
    )
    only_users: list[str] = Field(
        default=["*"], min_length=1, description="Take only these users, as globs.", examples=[["*@example.org"]]
    )
    exclude_users: list[str] = Field(default=[], description="Leave these users out, as globs.", examples=[["test-*"]])
    account: Label = Field(
        "{user}", description="What each account is called in the vault.", examples=["{user}@example.org"]
    )
    accounts_at_once: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Accounts of this server that are backed up at the same time. Default: limits.accounts_per_server.",
        examples=[8],
    )
    connections: int | None = Field(
        None, ge=1, le=16, description="Connections for each account. Default: limits.connections.", examples=[1]
    )
    bandwidth: Rate | None = Field(
        None, description="How fast mail is read at most, all accounts together.", examples=["20 MB/s"]
    )
    bytes_per_day: Octets | None = Field(
        None, description=f"{PER_DAY.format(who='each account')}.", examples=["2500 MB"]
    )
    exclude: list[str] = _mailboxes("leave out", ["\\Junk", "\\Trash"])
    only: list[str] = Field(default=[], description="Take only these mailboxes, named likewise.", examples=[["INBOX"]])
    namespaces: list[Namespace] = _namespaces()
    sieve: SieveUrl | None = _sieve()
    rpo: Span | None = Field(None, description=f"{RPO}; where it differs from the jobs'.", examples=["1d"])
    retention: Retention | None = Field(None, description=f"{RETENTION}; where it differs from the jobs'.")


class Schedule(Section):
    """When the service runs a job. Give `every` or `cron`."""

    every: Span | None = Field(
        None,
        description="Run again so long after the last run began: a number and s, m, h, d or w.",
        examples=["1h"],
        json_schema_extra=live,
    )
    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        None,
        description="Run at the times of a crontab line's five fields: minute, hour, day, month, day of week.",
        examples=["15 2 * * *"],
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="The time zone that cron's times are meant in.", examples=["Europe/Vienna"]
    )
    jitter: Span | None = Field(
        None,
        description="Wait a random time, up to this long, before each run, so that not all hosts begin at once.",
        examples=["5m"],
    )


class Job(Section):
    """Accounts that are backed up together, or another task of the service: one run, one report."""

    name: Label = Field(description="What `restante backup --job` calls it.", examples=["hourly"])
    does: Kind = Field(
        "backup",
        description="What the job does: backup, check (prove that the vault holds what it should), prune (apply "
        "retention; best once a day), drill (restore to a throw-away place, compare, and tell how long all would "
        "take), or copy (bring to each of the replicas what it lacks).",
        examples=["check"],
    )
    accounts: list[str] = Field(
        default=["*"],
        min_length=1,
        description="Which accounts, those of servers too, as globs over their names: what is backed up, and what "
        "`rpo` and `retention` are for. check, drill and copy look at the whole vault.",
        examples=[["*@example.org"]],
        json_schema_extra=live,
    )
    schedule: Schedule | None = Field(
        None, description="When `restante run` runs it. Without, only by hand.", json_schema_extra=live
    )
    rpo: Span | None = Field(None, description=f"{RPO}.", examples=["4h"], json_schema_extra=live)
    retention: Retention | None = Field(
        None, description=f"{RETENTION}; where several jobs cover an account, the longest counts."
    )
    sample: Share | None = Field(
        None,
        description="With `does: check`: read and verify this share of the packs, drawn anew each time, not the "
        "structure alone. With `does: drill`: restore this share of the accounts.",
        examples=["5%"],
    )
    to: Annotated[str, AfterValidator(_drill_url)] | None = Field(
        None,
        description="With `does: drill`: a throw-away IMAP server to restore to, as in `restante restore --all --to`; "
        "what was restored stays there, below a mailbox of its own. Default: a directory below the cache, removed "
        "afterwards.",
        examples=["imaps://master@spare.example.org"],
    )
    ping_env: str | None = Field(
        None,
        description="Environment variable that holds a ping URL of a healthchecks-style monitor: the service asks for "
        "it with `/start` when the job begins, as it is when it ended well, and with `/fail` when it did not.",
        examples=["RESTANTE_PING"],
    )
    ping_file: Path | None = Field(None, description="File that holds the ping URL.", examples=["/run/secrets/ping"])
    ping_command: str | None = Field(
        None, description="Command that prints the ping URL.", examples=["pass show backup/ping"]
    )


class Limits(Section):
    """How hard to work the mail servers."""

    accounts_at_once: int = Field(
        4,
        ge=1,
        le=256,
        description="Accounts that are backed up or restored at the same time.",
        examples=[4],
        json_schema_extra=live,
    )
    accounts_per_server: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Accounts of one server that are backed up at the same time. Default: no bound of its own.",
        examples=[2],
    )
    connections: int = Field(
        2, ge=1, le=16, description="Connections to the server for each account.", examples=[2], json_schema_extra=live
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Processes that share the accounts of a backup or of `restore --all`. Default: one for each "
        "processor, where there is much to do. Accounts at once bound them.",
        examples=[2],
    )


class Service(Section):
    """The service, `restante run`."""

    listen: Annotated[str, AfterValidator(_listen)] | None = Field(
        "127.0.0.1:8321",
        description="Where /healthz, /livez and /metrics are served, in plain HTTP and to anyone who can reach it; "
        "null for nowhere.",
        examples=["127.0.0.1:8321"],
    )


class Email(Section):
    """Messages by e-mail, through a server that takes them (SMTP)."""

    host: str = Field(min_length=1, description="The server.", examples=["smtp.example.org"])
    port: int | None = Field(
        None, ge=1, le=65535, description="Its port. Default: 587, or 465 with tls: implicit.", examples=[587]
    )
    tls: Literal["starttls", "implicit"] = Field(
        "starttls", description="How the connection is sealed; the certificate is verified.", examples=["starttls"]
    )
    ca: Path | None = Field(
        None, description="A private CA to trust for it, in PEM.", examples=["/etc/ssl/private-ca.pem"]
    )
    insecure: bool = Field(
        False,
        description="Send in plain text (port 25): for a mail server on this machine, and nothing else.",
        examples=[True],
    )
    user: str | None = Field(
        None, description="As whom to log in. Default: not at all.", examples=["restante"], json_schema_extra=live
    )
    password_env: str | None = Field(
        None, description="Name of the environment variable with the password.", examples=["SMTP_PASSWORD"]
    )
    password_file: Path | None = Field(
        None,
        description="File with the password on its first line.",
        examples=["/run/secrets/smtp-password"],
        json_schema_extra=live,
    )
    password_command: str | None = Field(
        None, description="Command that prints the password.", examples=["pass show smtp"]
    )
    sender: Address = Field(alias="from", description="Who it comes from.", examples=["restante@example.org"])
    to: list[Address] = Field(min_length=1, description="Who is told.", examples=[["admin@example.org"]])


class Apprise(Section):
    """Messages by any of the ways that Apprise knows: chats, telephones, pagers. Give one of the three."""

    name: Label = Field(description="What logs and figures call it.", examples=["chat"])
    url_env: str | None = Field(
        None, description="Name of the environment variable with its Apprise URL, a secret.", examples=["CHAT_URL"]
    )
    url_file: Path | None = Field(
        None,
        description="File with the URL on its first line.",
        examples=["/run/secrets/chat-url"],
        json_schema_extra=live,
    )
    url_command: str | None = Field(None, description="Command that prints the URL.", examples=["pass show chat"])


class Notify(Section):
    """Who is told of troubles, once each, and once more when they are over."""

    email: Email | None = Field(None, description="By e-mail.", json_schema_extra=live)
    apprise: list[Apprise] = Field(default=[], description="By other ways.")
    about: list[About] = Field(
        default=list(ABOUT),
        min_length=1,
        description="Of what: a job that failed or was partial, an account over its RPO, damage, expiry that is "
        "suspended, a drill that failed, an account that vanished, and what is over.",
        examples=[["failed", "late", "damage", "recovered"]],
    )


class Config(Section):
    """Restante's configuration. `restante config check` checks yours. Secrets stand elsewhere: it only says where."""

    vault: Vault = Field(description="Where the mail is kept, and what opens it.")
    accounts: list[Account] = Field(default=[], description="The mail accounts to back up.", json_schema_extra=live)
    servers: list[Server] = Field(default=[], description="Whole mail servers to back up.")
    replicas: list[Replica] = Field(
        default=[],
        description="Second sites. Nothing is ever deleted or overwritten there by `restante copy`.",
    )
    jobs: list[Job] = Field(
        default=[],
        description="Groups of accounts that are backed up together. Without jobs, `restante backup` takes them all.",
        json_schema_extra=live,
    )
    limits: Limits = Field(default=Limits(), description="How hard to work the mail servers.")  # type: ignore[call-arg]
    notify: Notify | None = Field(None, description="Who is told when something is wrong.")
    service: Service = Field(default=Service(), description="The service, `restante run`.")  # type: ignore[call-arg]
