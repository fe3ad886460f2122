"""Where secrets come from: environment, file, command, or a prompt on a terminal. Never the command line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imap.errors import LoginRefused
from imap.model import Login
from imap.model import Secret as SecretGiver
from restante.errors import UsageTrouble
from restante.tokens import GoogleTokens, MicrosoftTokens, Tokens
from vault.slots import KeyFile, Passphrase, RecoveryKey, Secret
from vault.stores.credentials import Credentials

if TYPE_CHECKING:  # a process that helps has use for logins, and none for the configuration, which takes long to import
    from restante.config import Account, Microsoft, OAuth2, Replica, Server, Vault
    from restante.loading import Loaded

COMMAND_SECONDS = 60
MIN_PASSPHRASE = 8


class Origin(msgspec.Struct, frozen=True):
    """One place a secret may come from; what it is for is only told in messages."""

    what: str
    env: str | None = None
    file: Path | None = None
    command: str | None = None

    def given(self) -> bool:
        """Say whether this origin names a place at all."""
        return bool(self.env or self.file or self.command)

    def read(self) -> str:
        """Return the secret, without its line end. Raises UsageTrouble where the place is empty or can't be read."""
        if self.env:
            text = os.environ.get(self.env, "")
            where, hint = f"${self.env}", f"set {self.env}, or name a file instead"
        elif self.file:
            text, where, hint = _first_line(self.file, self.what), str(self.file), "the first line of the file counts"
        else:
            text = _output(self.command or "", self.what)
            where, hint = "the output of its command", "the first line the command prints counts"
        if not text:
            raise UsageTrouble(f"the {self.what} is empty: {where}", hint=hint)
        return text


def _first_line(file: Path, what: str) -> str:
    return _octets(file, what).decode(errors="surrogateescape").partition("\n")[0].rstrip("\r")


def _octets(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        hint = "check the path and the rights of the file"
        raise UsageTrouble(f"cannot read the {what} from {file}: {error.strerror}", hint=hint) from None


def _output(command: str, what: str) -> str:
    return output_of(command, what).partition("\n")[0].rstrip("\r")


def output_of(command: str, what: str) -> str:
    """Return what a command of the configuration prints, within a minute. Raises UsageTrouble."""
    hint = f"run it by hand to see why: {command}"
    try:
        words = shlex.split(command)
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, ValueError, IndexError) as error:
        raise UsageTrouble(f"the command for the {what} can't be run: {error}", hint=hint) from None
    with process:
        try:
            out, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise UsageTrouble(f"the command for the {what} took over {COMMAND_SECONDS} s", hint=hint) from None
        except BaseException:  # told to stop: leave no child behind
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        raise UsageTrouble(f"the command for the {what} failed with exit code {process.returncode}", hint=hint)
    return out.decode(errors="surrogateescape")


def from_environment(name: str, what: str) -> Origin | None:
    """Return the origin that `$NAME` or `$NAME_FILE` gives, or None where neither is set."""
    if os.environ.get(name):
        return Origin(what, env=name)
    file = os.environ.get(f"{name}_FILE")
    return Origin(what, file=Path(file)) if file else None


def ask(prompt: str) -> str | None:
    """Return what the user types without echo, or None where there is no terminal to ask on."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return getpass(prompt + ": ", stream=sys.stderr)


def as_secret(text: str) -> Passphrase | RecoveryKey:
    """Take text for a recovery key where it has the shape of one, else for a passphrase."""
    letters = re.sub(r"[\s-]", "", text).upper()
    return RecoveryKey(text) if re.fullmatch(r"[A-Z2-7]{55}", letters) else Passphrase(text)


def vault_secret(loaded: Loaded | None) -> Secret:
    """Return what opens the vault: from the environment, else the configuration, else a prompt. Raises UsageTrouble."""
    origin = from_environment("RESTANTE_PASSPHRASE", "passphrase")
    if origin is not None:
        return as_secret(origin.read())
    if os.environ.get("RESTANTE_KEY_FILE"):
        return KeyFile(_octets(Path(os.environ["RESTANTE_KEY_FILE"]), "key file"))
    if loaded is not None:
        vault = loaded.config.vault
        if vault.key_file is not None:
            return KeyFile(_configured_key(loaded.path(vault.key_file)))
        origin = _vault_origin(loaded, vault)
        if origin.given():
            return as_secret(origin.read())
    typed = ask("Passphrase (or recovery key) of the vault")
    if not typed:
        hint = "set RESTANTE_PASSPHRASE_FILE or RESTANTE_KEY_FILE, or run this on a terminal"
        raise UsageTrouble("nothing was given to open the vault with", hint=hint)
    return as_secret(typed)


def _configured_key(file: Path) -> bytes:
    if not file.exists():
        hint = f"set RESTANTE_PASSPHRASE_FILE, and make it with `restante key export --backup-only {file}`"
        raise UsageTrouble(f"there is no key file at {file}, where vault.key_file says", hint=hint)
    return _octets(file, "key file")


def replica_credentials(replica: Replica) -> Credentials:
    """Return what a second site is reached with. Raises UsageTrouble where a variable is empty."""
    named = (("S3 access key", replica.access_key_env), ("S3 secret key", replica.secret_key_env))
    access, secret = (Origin(what, env).read() if env else None for what, env in named)
    return Credentials(replica.profile, access, secret)


def _vault_origin(loaded: Loaded, vault: Vault) -> Origin:
    file = loaded.path(vault.passphrase_file) if vault.passphrase_file else None
    return Origin("passphrase", vault.passphrase_env, file, vault.passphrase_command)


def new_passphrase(loaded: Loaded | None, variable: str) -> str:
    """Return a passphrase for a new slot, typed twice on a terminal. Raises UsageTrouble, also for a short one."""
    origin = from_environment(variable, "new passphrase")
    if origin is None and loaded is not None and variable == "RESTANTE_PASSPHRASE":
        configured = _vault_origin(loaded, loaded.config.vault)
        origin = configured if configured.given() else None
    text = origin.read() if origin is not None else _typed_twice(variable)
    if len(text) < MIN_PASSPHRASE:
        hint = "six random words are easy to keep and hard to guess"
        raise UsageTrouble(f"a passphrase needs at least {MIN_PASSPHRASE} characters", hint=hint)
    return text


def _typed_twice(variable: str) -> str:
    first = ask("New passphrase")
    if first is None:
        hint = f"set {variable}_FILE, or run this on a terminal"
        raise UsageTrouble("no new passphrase was given", hint=hint)
    if ask("The same again") != first:
        raise UsageTrouble("the two passphrases differ", hint="type the same one twice")
    return first


def login_of(loaded: Loaded, holder: Account | Server, name: str, user: str) -> Login | None:
    """Return how a configured account or a server's user logs in, or None where the configuration does not say."""
    if holder.oauth2 is not None:
        return _token_login(loaded, holder.oauth2, name, user)
    file = loaded.path(holder.password_file) if holder.password_file else None
    origin = Origin(f"password of {name}", holder.password_env, file, holder.password_command)
    return Login(_at_login(origin)) if origin.given() else None


def _token_login(loaded: Loaded, oauth2: OAuth2, name: str, user: str) -> Login:
    if oauth2.google is not None:
        tokens: Tokens = GoogleTokens(loaded.path(oauth2.google.key_file), user)
    elif oauth2.microsoft is not None:
        tokens = _microsoft(loaded, oauth2.microsoft, name)
    else:
        return Login(_at_login(_token_origin(loaded, oauth2, name)), oauth=True)
    return Login(tokens.get, oauth=True, renew=tokens.renewed)


def _microsoft(loaded: Loaded, app: Microsoft, name: str) -> Tokens:
    file = loaded.path(app.client_secret_file) if app.client_secret_file else None
    origin = Origin(f"client secret of {name}", app.client_secret_env, file, app.client_secret_command)
    ca = loaded.path(app.ca) if app.ca else None
    return MicrosoftTokens(f"{app.authority.rstrip('/')}/{app.tenant}", app.client_id, app.scope, _at_login(origin), ca)


def _at_login(origin: Origin) -> SecretGiver:
    """Return what reads the secret at login: a missing file is then this account's trouble, not the job's."""

    def read() -> str:
        try:
            return origin.read()
        except UsageTrouble as error:
            raise LoginRefused(error.message, hint=error.hint) from None

    return read


def _token_origin(loaded: Loaded, oauth2: OAuth2, name: str) -> Origin:
    file = loaded.path(oauth2.token_file) if oauth2.token_file else None
    return Origin(f"access token of {name}", oauth2.token_env, file, oauth2.token_command)


@dataclass(frozen=True, slots=True)
class Given:
    """A secret at hand, which may be handed on to a process that helps."""

    text: str = field(repr=False)

    def __call__(self) -> str:
        """Return it."""
        return self.text


def url_login(role: str, who: str) -> Login:
    """Return the login of a source or target given as a URL: `$RESTANTE_<ROLE>_PASSWORD[_FILE]`, else a prompt."""
    variable = f"RESTANTE_{role}_PASSWORD"
    origin = from_environment(variable, f"password of {who}")
    if origin is not None:
        return Login(Given(origin.read()))
    typed = ask(f"Password of {who}")
    if typed is None:
        hint = f"set {variable}_FILE (or {variable}), or run this on a terminal"
        raise UsageTrouble(f"no password was given for {who}", hint=hint)
    return Login(Given(typed))
