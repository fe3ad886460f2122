"""The configuration, declared once: from here come validation, JSON Schema, the sample file and its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from imap.errors import BadUrl
from imap.url import parse_url


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


def _label(text: str) -> str:
    if not text.strip() or "://" in text or any(ord(c) < 32 for c in text):
        raise fault("not a usable name", "a name is not empty, not a URL, and on one line")
    return text


VaultUrl = Annotated[str, AfterValidator(_vault_url)]
MailUrl = Annotated[str, AfterValidator(_mail_url)]
Label = Annotated[str, AfterValidator(_label)]


class Section(BaseModel):
    """A part of the configuration: unknown settings are faults, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class OAuth2(Section):
    """Where an access token comes from, for servers that refuse passwords. Give one of the three."""

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


class Account(Section):
    """One mail account to back up. Give one of the passwords, or oauth2."""

    name: Label = Field(
        description="What the account is called in the vault and on the command line.", examples=["alice@example.org"]
    )
    url: MailUrl = Field(
        description="imaps://user@host[:993], or imap://user@host[:143] with STARTTLS. Behind `?`: ca=FILE for a "
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
    exclude: list[str] = Field(
        default=[],
        description="Mailboxes to leave out, as globs; `*` spans levels.",
        examples=[["Junk", "Trash", "Trash/*"]],
        json_schema_extra=live,
    )


class Job(Section):
    """Accounts that are backed up together: one run, one report, shared packs."""

    name: Label = Field(description="What `restante backup --job` calls it.", examples=["hourly"])
    accounts: list[str] = Field(
        default=["*"],
        min_length=1,
        description="Which of the accounts above, as globs over their names.",
        examples=[["*@example.org"]],
        json_schema_extra=live,
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
    connections: int = Field(
        2, ge=1, le=16, description="Connections to the server for each account.", examples=[2], json_schema_extra=live
    )


class Config(Section):
    """Restante's configuration. `restante config check` checks yours. Secrets stand elsewhere: it only says where."""

    vault: Vault = Field(description="Where the mail is kept, and what opens it.")
    accounts: list[Account] = Field(default=[], description="The mail accounts to back up.", json_schema_extra=live)
    jobs: list[Job] = Field(
        default=[],
        description="Groups of accounts that are backed up together. Without jobs, `restante backup` takes them all.",
        json_schema_extra=live,
    )
    limits: Limits = Field(default=Limits(), description="How hard to work the mail servers.")  # type: ignore[call-arg]
