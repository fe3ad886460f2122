"""The configuration, declared once: from here come validation, JSON Schema, the sample file and its reference."""

# Without `from __future__ import annotations`: each one would have to be evaluated a second time, which takes a while.

import re
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, field
from msgspec.structs import asdict

from imap.errors import BadUrl
from imap.model import Endpoint
from imap.url import parse_sieve_url, parse_url
from restante.endpoints import acting_for, names_one_account
from restante.schedule import cron_trigger, parse_span
from restante.settings import NotAllowed, Section, read_by, setting
from restante.sizes import parse_octets
from restante.telling.plan import ABOUT, About

if TYPE_CHECKING:  # backup/ takes a while to import, and not every command needs it
    from backup.retention import Policy


def _vault_url(text: str) -> str:
    if "@" in text.partition("://")[2].partition("/")[0]:
        hint = "S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or an AWS profile"
        raise NotAllowed("credentials don't belong in a vault URL", hint)
    if not text.startswith(("s3://", "file:///")):
        raise NotAllowed("not a vault URL", "write s3://bucket/prefix or file:///directory")
    return text


def _mail_url(text: str) -> str:
    try:
        parse_url(text)
    except BadUrl as error:
        raise NotAllowed(error.message, error.hint) from None
    return text


def _sieve_url(text: str) -> str:
    try:
        parse_sieve_url(text, Endpoint("host", 1, "user"))
    except BadUrl as error:
        raise NotAllowed(error.message, error.hint) from None
    return text


def _drill_url(text: str) -> str:
    if not text.startswith(("imap://", "imaps://")):
        raise NotAllowed("not an IMAP server", "write imaps://user@host, or leave it out to drill into a directory")
    return _mail_url(text)


def _server_url(text: str) -> str:
    if names_one_account(text):
        raise NotAllowed("a server's URL names one account", "leave as= out: each user is acted for")
    _mail_url(acting_for(text, "user"))
    return text


def _https_url(text: str) -> str:
    if not text.startswith("https://"):
        raise NotAllowed("not an HTTPS address", "write https://host")
    return text


def _label(text: str) -> str:
    if not text.strip() or "://" in text or any(ord(c) < 32 for c in text):
        raise NotAllowed("not a usable name", "a name is not empty, not a URL, and on one line")
    return text


def _span(text: str) -> timedelta:
    try:
        return parse_span(text)
    except ValueError:
        raise NotAllowed("not a span of time", "write a number and s, m, h, d or w, e.g. 90s, 15m, 26h") from None


def _cron(text: str) -> str:
    try:
        cron_trigger(text, "UTC")
    except ValueError as error:
        raise NotAllowed(
            f"not a cron expression: {error}", "e.g. `15 2 * * *` for a quarter past two each night"
        ) from None
    return text


def _octets(text: str) -> int:
    try:
        return parse_octets(text)
    except ValueError:
        raise NotAllowed("not a size", "write a number and a unit, e.g. 500 MB, 2.5 GB or 64 MiB") from None


def _rate(text: str) -> int:
    text = text.strip()
    if not text.endswith("/s"):
        raise NotAllowed("not a bandwidth", "write a size a second, e.g. 20 MB/s or 500 kB/s")
    return _octets(text.removesuffix("/s"))


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, OSError, ValueError):
        raise NotAllowed("not a time zone this machine knows", "write a name like Europe/Vienna, or UTC") from None
    return text


def _listen(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise NotAllowed("not an address to listen at", "write host:port, e.g. 127.0.0.1:8321 or [::]:8321")
    return text


def _address(text: str) -> str:
    _, address = parseaddr(text)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or any(ord(c) < 32 for c in text):
        raise NotAllowed("not an e-mail address", "e.g. admin@example.org, or Restante <restante@example.org>")
    return text


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise NotAllowed("not a share", "write a percentage above 0, e.g. 5%")
    return percent / 100


VaultUrl = Annotated[str, read_by(_vault_url)]
MailUrl = Annotated[str, read_by(_mail_url)]
SieveUrl = Annotated[str, read_by(_sieve_url)]
DrillUrl = Annotated[str, read_by(_drill_url)]
ServerUrl = Annotated[str, read_by(_server_url)]
HttpsUrl = Annotated[str, read_by(_https_url, "^https://")]
Label = Annotated[str, read_by(_label)]
Address = Annotated[str, read_by(_address)]
HostPort = Annotated[str, read_by(_listen)]
Cron = Annotated[str, read_by(_cron)]
Zone = Annotated[str, read_by(_zone)]
Span = Annotated[timedelta, read_by(_span, "^[1-9][0-9]*[smhdw]$")]
SIZE = r"[0-9]+(\.[0-9]+)? ?([kMGT]i?)?B"
Octets = Annotated[int, read_by(_octets, f"^{SIZE}$")]
Rate = Annotated[int, read_by(_rate, f"^{SIZE}/s$")]
Share = Annotated[float, read_by(_percent, "^[0-9.]+%?$")]
AtOnce = Annotated[int, Meta(ge=1, le=256)]
Connections = Annotated[int, Meta(ge=1, le=16)]
Processes = Annotated[int, Meta(ge=1, le=64)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Days = Annotated[int, Meta(ge=1, le=36500)]
Count = Annotated[int, Meta(ge=0, le=100_000)]
Some = Annotated[str, Meta(min_length=1)]
Kind = Literal["backup", "check", "prune", "drill", "copy"]
Namespace = Literal["personal", "other", "shared"]
RPO = "How old the newest complete snapshot may get before `restante status` and the service call it late"


class Lock(Section, frozen=True, kw_only=True):
    """S3 Object Lock."""

    mode: Annotated[
        Literal["governance", "compliance"],
        setting("`governance`: who has a special right can delete sooner; `compliance`: nobody can.", "compliance"),
    ]
    days: Annotated[
        Days,
        setting(
            "For how many days everything written can't be deleted. `restante prune` extends that for what is "
            "still needed; what has expired stays, and is paid for, until its days are over.",
            30,
        ),
    ]


class Vault(Section, frozen=True, kw_only=True):
    """Where the mail is kept, and what opens it."""

    url: Annotated[
        VaultUrl,
        setting(
            "The vault: s3://bucket/prefix?region=…&endpoint_url=… or file:///directory. S3 credentials come "
            "from the environment or an AWS profile, never from here.",
            "s3://acme-mail/prod?region=eu-central-1",
        ),
    ]
    cache: Annotated[
        Path | None,
        setting(
            "Directory for the local index. It may be deleted at any time: it is rebuilt from the vault. "
            "Default: restante in the user's cache directory.",
            "/var/cache/restante",
        ),
    ] = None
    passphrase_env: Annotated[
        str | None, setting("Name of the environment variable with the passphrase.", "MAIL_VAULT_PASSPHRASE")
    ] = None
    passphrase_file: Annotated[
        Path | None,
        setting("File with the passphrase (or the recovery key) on its first line.", "/run/secrets/vault-passphrase"),
    ] = None
    passphrase_command: Annotated[
        str | None, setting("Command that prints the passphrase.", "pass show mail-vault")
    ] = None
    key_file: Annotated[
        Path | None,
        setting(
            "Key file of `restante key export`. With the backup-only one this host can back up but not read.",
            "/run/secrets/vault-backup.key",
            live=True,
        ),
    ] = None
    object_lock: Annotated[
        Lock | None,
        setting(
            "Keep everything in the vault from deletion, in a bucket made with Object Lock. Proven at `init`, "
            "at each backup and when the service starts, by trying to delete a probe. For this URL only."
        ),
    ] = None


class Replica(Section, frozen=True, kw_only=True):
    """A second site: another place with a copy of the vault, opened by the same secrets."""

    name: Annotated[Label, setting("What `restante copy --to` and messages call it.", "offsite")]
    url: Annotated[
        VaultUrl,
        setting(
            "Where it lies, as for the vault; with a storage class of its own, if need be.",
            "s3://acme-mail-copy/prod?region=eu-north-1&storage_class=STANDARD_IA",
        ),
    ]
    profile: Annotated[
        str | None,
        setting(
            "Profile of AWS's configuration with its S3 credentials. Default: the vault's own credentials.",
            "offsite",
            live=True,
        ),
    ] = None
    access_key_env: Annotated[
        str | None, setting("Instead: name of the environment variable with its S3 access key.", "OFFSITE_ACCESS_KEY")
    ] = None
    secret_key_env: Annotated[
        str | None,
        setting("Name of the environment variable with the secret key that goes with it.", "OFFSITE_SECRET_KEY"),
    ] = None
    object_lock: Annotated[
        Lock | None,
        setting(
            "Keep everything there from deletion, as for the vault. Proven before each copy; each copy extends "
            "the locks of what is still needed."
        ),
    ] = None


class Microsoft(Section, frozen=True, kw_only=True):
    """An application of Microsoft 365 that may read all mailboxes by IMAP (client credentials, IMAP.AccessAsApp)."""

    tenant: Annotated[str, setting("The organisation's id or domain.", "example.onmicrosoft.com")]
    client_id: Annotated[str, setting("The application's id.", "00000000-0000-0000-0000-000000000000")]
    client_secret_env: Annotated[
        str | None, setting("Name of the environment variable with the client secret.", "M365_SECRET")
    ] = None
    client_secret_file: Annotated[
        Path | None, setting("File with the client secret on its first line.", "/run/secrets/m365", live=True)
    ] = None
    client_secret_command: Annotated[
        str | None, setting("Command that prints the client secret.", "pass show m365")
    ] = None
    authority: Annotated[
        HttpsUrl, setting("Who gives tokens; another one for national clouds.", "https://login.microsoftonline.us")
    ] = "https://login.microsoftonline.com"
    scope: Annotated[str, setting("What the token is for.", "https://outlook.office365.us/.default")] = (
        "https://outlook.office365.com/.default"
    )
    ca: Annotated[
        Path | None, setting("A private CA to trust for the authority, in PEM.", "/etc/ssl/private-ca.pem")
    ] = None


class Google(Section, frozen=True, kw_only=True):
    """A service account of Google Workspace with domain-wide delegation for https://mail.google.com/."""

    key_file: Annotated[Path, setting("The service account's key, as JSON.", "/run/secrets/google.json")]


class OAuth2(Section, frozen=True, kw_only=True):
    """Where an access token comes from, for servers that refuse passwords. Give one of the five."""

    token_env: Annotated[
        str | None, setting("Name of the environment variable with the access token.", "ALICE_TOKEN")
    ] = None
    token_file: Annotated[
        Path | None, setting("File with the access token, read at each login.", "/run/secrets/alice-token")
    ] = None
    token_command: Annotated[
        str | None,
        setting("Command that prints a fresh access token, run at each login.", "get-token alice", live=True),
    ] = None
    microsoft: Annotated[Microsoft | None, setting("Ask Microsoft for it.")] = None
    google: Annotated[Google | None, setting("Ask Google for it, in the name of the account's user.")] = None


class Retention(Section, frozen=True, kw_only=True):
    """Which snapshots `restante prune` keeps; the rest go. Without it, or with nothing in it, all are kept."""

    last: Annotated[Count, setting("The last so many.", 3, live=True)] = 0
    hourly: Annotated[Count, setting("The newest of each of the last so many hours that have one.", 48, live=True)] = 0
    daily: Annotated[Count, setting("The same for days, in UTC.", 14, live=True)] = 0
    weekly: Annotated[Count, setting("The same for weeks.", 8, live=True)] = 0
    monthly: Annotated[Count, setting("The same for months.", 24, live=True)] = 0
    yearly: Annotated[Count, setting("The same for years.", 10, live=True)] = 0

    @property
    def policy(self) -> "Policy":
        """What it says, as the engine takes it."""
        from backup.retention import Policy

        return Policy(**asdict(self))


PER_DAY = (
    "What may come over the wire in any 24 hours, for {who}; some providers shut out who reads more (Gmail: 2500 MB). "
    "What is left then is read by a later run"
)
RETENTION = "Which snapshots `restante prune` keeps. Without it all are kept"


def _mailboxes(what: str, example: list[str]) -> Meta:
    told = f"Mailboxes to {what}: globs of their names (`*` spans levels) or roles such as `\\Junk`."
    return setting(told, example, live=True)


def _namespaces() -> Meta:
    told = "Whose mailboxes to take (RFC 2342): `personal`, one's own; `other`, what other users let one see; `shared`."
    return setting(told, ["personal", "shared"], min_length=1)


def _sieve() -> Meta:
    told = (
        "Where to read Sieve scripts: sieve://host[:4190] (ManageSieve), with the login of the mail. TLS by STARTTLS; "
        "tls=off, ca=FILE and fingerprint=SHA256 as for mail."
    )
    return setting(told, "sieve://mail.example.org")


class Account(Section, frozen=True, kw_only=True):
    """One mail account to back up. Give one of the passwords, or oauth2."""

    name: Annotated[
        Label, setting("What the account is called in the vault and on the command line.", "alice@example.org")
    ]
    url: Annotated[
        MailUrl,
        setting(
            "imaps://user@host[:993], or imap://user@host[:143] with STARTTLS; pop3s:// and pop3:// "
            "likewise, for an INBOX without flags. Behind `?`: ca=FILE for a "
            "private CA, fingerprint=SHA256 to pin a certificate, as=USER to act for USER, tls=off for plain text.",
            "imaps://alice@example.org@mail.example.org",
        ),
    ]
    password_env: Annotated[
        str | None, setting("Name of the environment variable with the password.", "ALICE_PASSWORD")
    ] = None
    password_file: Annotated[
        Path | None, setting("File with the password on its first line.", "/run/secrets/alice-password", live=True)
    ] = None
    password_command: Annotated[str | None, setting("Command that prints the password.", "pass show mail/alice")] = None
    oauth2: Annotated[OAuth2 | None, setting("Log in with an access token instead of a password.")] = None
    exclude: Annotated[tuple[str, ...], _mailboxes("leave out", ["\\Junk", "\\Trash", "Old/*"])] = ()
    only: Annotated[tuple[str, ...], setting("Take only these mailboxes, named likewise.", ["INBOX"])] = ()
    namespaces: Annotated[tuple[Namespace, ...], _namespaces()] = ("personal",)
    sieve: Annotated[SieveUrl | None, _sieve()] = None
    bandwidth: Annotated[Rate | None, setting("How fast its mail is read at most, over all connections.", "2 MB/s")] = (
        None
    )
    bytes_per_day: Annotated[Octets | None, setting(f"{PER_DAY.format(who='this account')}.", "2500 MB")] = None
    rpo: Annotated[Span | None, setting(f"{RPO}. Default: the shortest of its jobs.", "2h")] = None
    retention: Annotated[Retention | None, setting(f"{RETENTION}, or what any of its jobs says.")] = None


class Server(Section, frozen=True, kw_only=True):
    """A whole mail server: one credential for all of its users. Give one of the three that name the users."""

    name: Annotated[Label, setting("What messages call the server.", "mail")]
    url: Annotated[
        ServerUrl,
        setting(
            "Where and as whom to log in, as for an account. Each user is acted for: as=USER is added "
            "(Dovecot's master users, with master=* in the form user*master; Cyrus's proxy administrators), or "
            "{account} in the URL is replaced by the user.",
            "imaps://backup@mail.example.org?master=*",
        ),
    ]
    password_env: Annotated[
        str | None, setting("Name of the environment variable with the password.", "MASTER_PASSWORD")
    ] = None
    password_file: Annotated[
        Path | None, setting("File with the password on its first line.", "/run/secrets/master-password", live=True)
    ] = None
    password_command: Annotated[str | None, setting("Command that prints the password.", "pass show mail/master")] = (
        None
    )
    oauth2: Annotated[OAuth2 | None, setting("Log in with an access token instead of a password.")] = None
    users: Annotated[tuple[str, ...], setting("The users.", ["anna", "bert@example.org"])] = ()
    users_file: Annotated[
        Path | None, setting("File with one user a line; `#` begins a comment.", "/etc/restante/users")
    ] = None
    users_command: Annotated[
        str | None,
        setting(
            "Command that prints one user a line, run before each backup. New users are backed up from the "
            "next run on; those that are gone keep their snapshots.",
            "doveadm user '*'",
            live=True,
        ),
    ] = None
    only_users: Annotated[
        tuple[str, ...], setting("Take only these users, as globs.", ["*@example.org"], min_length=1)
    ] = ("*",)
    exclude_users: Annotated[tuple[str, ...], setting("Leave these users out, as globs.", ["test-*"])] = ()
    account: Annotated[Label, setting("What each account is called in the vault.", "{user}@example.org")] = "{user}"
    accounts_at_once: Annotated[
        AtOnce | None,
        setting("Accounts of this server that are backed up at the same time. Default: limits.accounts_per_server.", 8),
    ] = None
    connections: Annotated[
        Connections | None, setting("Connections for each account. Default: limits.connections.", 1)
    ] = None
    bandwidth: Annotated[Rate | None, setting("How fast mail is read at most, all accounts together.", "20 MB/s")] = (
        None
    )
    bytes_per_day: Annotated[Octets | None, setting(f"{PER_DAY.format(who='each account')}.", "2500 MB")] = None
    exclude: Annotated[tuple[str, ...], _mailboxes("leave out", ["\\Junk", "\\Trash"])] = ()
    only: Annotated[tuple[str, ...], setting("Take only these mailboxes, named likewise.", ["INBOX"])] = ()
    namespaces: Annotated[tuple[Namespace, ...], _namespaces()] = ("personal",)
    sieve: Annotated[SieveUrl | None, _sieve()] = None
    rpo: Annotated[Span | None, setting(f"{RPO}; where it differs from the jobs'.", "1d")] = None
    retention: Annotated[Retention | None, setting(f"{RETENTION}; where it differs from the jobs'.")] = None


class Schedule(Section, frozen=True, kw_only=True):
    """When the service runs a job. Give `every` or `cron`."""

    every: Annotated[
        Span | None,
        setting("Run again so long after the last run began: a number and s, m, h, d or w.", "1h", live=True),
    ] = None
    cron: Annotated[
        Cron | None,
        setting(
            "Run at the times of a crontab line's five fields: minute, hour, day, month, day of week.", "15 2 * * *"
        ),
    ] = None
    timezone: Annotated[Zone, setting("The time zone that cron's times are meant in.", "Europe/Vienna")] = "UTC"
    jitter: Annotated[
        Span | None,
        setting("Wait a random time, up to this long, before each run, so that not all hosts begin at once.", "5m"),
    ] = None


class Job(Section, frozen=True, kw_only=True):
    """Accounts that are backed up together, or another task of the service: one run, one report."""

    name: Annotated[Label, setting("What `restante backup --job` calls it.", "hourly")]
    does: Annotated[
        Kind,
        setting(
            "What the job does: backup, check (prove that the vault holds what it should), prune (apply "
            "retention; best once a day), drill (restore to a throw-away place, compare, and tell how long all would "
            "take), or copy (bring to each of the replicas what it lacks).",
            "check",
        ),
    ] = "backup"
    accounts: Annotated[
        tuple[str, ...],
        setting(
            "Which accounts, those of servers too, as globs over their names: what is backed up, and what "
            "`rpo` and `retention` are for. check, drill and copy look at the whole vault.",
            ["*@example.org"],
            live=True,
            min_length=1,
        ),
    ] = ("*",)
    schedule: Annotated[Schedule | None, setting("When `restante run` runs it. Without, only by hand.", live=True)] = (
        None
    )
    rpo: Annotated[Span | None, setting(f"{RPO}.", "4h", live=True)] = None
    retention: Annotated[
        Retention | None, setting(f"{RETENTION}; where several jobs cover an account, the longest counts.")
    ] = None
    sample: Annotated[
        Share | None,
        setting(
            "With `does: check`: read and verify this share of the packs, drawn anew each time, not the "
            "structure alone. With `does: drill`: restore this share of the accounts.",
            "5%",
        ),
    ] = None
    to: Annotated[
        DrillUrl | None,
        setting(
            "With `does: drill`: a throw-away IMAP server to restore to, as in `restante restore --all --to`; "
            "what was restored stays there, below a mailbox of its own. Default: a directory below the cache, removed "
            "afterwards.",
            "imaps://master@spare.example.org",
        ),
    ] = None
    ping_env: Annotated[
        str | None,
        setting(
            "Environment variable that holds a ping URL of a healthchecks-style monitor: the service asks for "
            "it with `/start` when the job begins, as it is when it ended well, and with `/fail` when it did not.",
            "RESTANTE_PING",
        ),
    ] = None
    ping_file: Annotated[Path | None, setting("File that holds the ping URL.", "/run/secrets/ping")] = None
    ping_command: Annotated[str | None, setting("Command that prints the ping URL.", "pass show backup/ping")] = None


class Limits(Section, frozen=True, kw_only=True):
    """How hard to work the mail servers."""

    accounts_at_once: Annotated[
        AtOnce, setting("Accounts that are backed up or restored at the same time.", 4, live=True)
    ] = 4
    accounts_per_server: Annotated[
        AtOnce | None,
        setting("Accounts of one server that are backed up at the same time. Default: no bound of its own.", 2),
    ] = None
    connections: Annotated[Connections, setting("Connections to the server for each account.", 2, live=True)] = 2
    processes: Annotated[
        Processes | None,
        setting(
            "Processes that share the accounts of a backup or of `restore --all`. Default: one for each "
            "processor, where there is much to do. Accounts at once bound them.",
            2,
        ),
    ] = None


class Service(Section, frozen=True, kw_only=True):
    """The service, `restante run`."""

    listen: Annotated[
        HostPort | None,
        setting(
            "Where /healthz, /livez and /metrics are served, in plain HTTP and to anyone who can reach it; "
            "null for nowhere.",
            "127.0.0.1:8321",
        ),
    ] = "127.0.0.1:8321"


class Email(Section, frozen=True, kw_only=True):
    """Messages by e-mail, through a server that takes them (SMTP)."""

    host: Annotated[Some, setting("The server.", "smtp.example.org")]
    port: Annotated[Port | None, setting("Its port. Default: 587, or 465 with tls: implicit.", 587)] = None
    tls: Annotated[
        Literal["starttls", "implicit"],
        setting("How the connection is sealed; the certificate is verified.", "starttls"),
    ] = "starttls"
    ca: Annotated[Path | None, setting("A private CA to trust for it, in PEM.", "/etc/ssl/private-ca.pem")] = None
    insecure: Annotated[
        bool, setting("Send in plain text (port 25): for a mail server on this machine, and nothing else.", True)
    ] = False
    user: Annotated[str | None, setting("As whom to log in. Default: not at all.", "restante", live=True)] = None
    password_env: Annotated[
        str | None, setting("Name of the environment variable with the password.", "SMTP_PASSWORD")
    ] = None
    password_file: Annotated[
        Path | None, setting("File with the password on its first line.", "/run/secrets/smtp-password", live=True)
    ] = None
    password_command: Annotated[str | None, setting("Command that prints the password.", "pass show smtp")] = None
    sender: Annotated[Address, setting("Who it comes from.", "restante@example.org")] = field(name="from")
    to: Annotated[tuple[Address, ...], setting("Who is told.", ["admin@example.org"], min_length=1)]


class Apprise(Section, frozen=True, kw_only=True):
    """Messages by any of the ways that Apprise knows: chats, telephones, pagers. Give one of the three."""

    name: Annotated[Label, setting("What logs and figures call it.", "chat")]
    url_env: Annotated[
        str | None, setting("Name of the environment variable with its Apprise URL, a secret.", "CHAT_URL")
    ] = None
    url_file: Annotated[
        Path | None, setting("File with the URL on its first line.", "/run/secrets/chat-url", live=True)
    ] = None
    url_command: Annotated[str | None, setting("Command that prints the URL.", "pass show chat")] = None


class Notify(Section, frozen=True, kw_only=True):
    """Who is told of troubles, once each, and once more when they are over."""

    email: Annotated[Email | None, setting("By e-mail.", live=True)] = None
    apprise: Annotated[tuple[Apprise, ...], setting("By other ways.")] = ()
    about: Annotated[
        tuple[About, ...],
        setting(
            "Of what: a job that failed or was partial, an account over its RPO, damage, expiry that is "
            "suspended, a drill that failed, an account that vanished, and what is over.",
            ["failed", "late", "damage", "recovered"],
            min_length=1,
        ),
    ] = ABOUT


class Config(Section, frozen=True, kw_only=True):
    """Restante's configuration. `restante config check` checks yours. Secrets stand elsewhere: it only says where."""

    vault: Annotated[Vault, setting("Where the mail is kept, and what opens it.")]
    accounts: Annotated[tuple[Account, ...], setting("The mail accounts to back up.", live=True)] = ()
    servers: Annotated[tuple[Server, ...], setting("Whole mail servers to back up.")] = ()
    replicas: Annotated[
        tuple[Replica, ...], setting("Second sites. Nothing is ever deleted or overwritten there by `restante copy`.")
    ] = ()
    jobs: Annotated[
        tuple[Job, ...],
        setting(
            "Groups of accounts that are backed up together. Without jobs, `restante backup` takes them all.", live=True
        ),
    ] = ()
    limits: Annotated[Limits, setting("How hard to work the mail servers.")] = Limits()
    notify: Annotated[Notify | None, setting("Who is told when something is wrong.")] = None
    service: Annotated[Service, setting("The service, `restante run`.")] = Service()
