"""Access tokens of Microsoft 365 and Google Workspace, kept until they expire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from imap.errors import CannotConnect, LoginRefused

_GMAIL = "https://mail.google.com/"


class Tokens(Protocol):
    """Where tokens for one account come from. Both raise LoginRefused, or CannotConnect where trying again may help."""

    def get(self) -> str:
        """Return a token that has not expired."""

    def renewed(self) -> str:
        """Return a token other than the last one, which the server refused."""


class MicrosoftTokens:
    """Tokens by client credentials (RFC 6749 §4.4): one application, all mailboxes. `secret` is read when needed."""

    def __init__(
        self, authority: str, client_id: str, scope: str, secret: Callable[[], str], ca: Path | None = None
    ) -> None:
        self._authority = authority
        self._client_id = client_id
        self._scope = scope
        self._secret = secret
        self._ca = ca

    def get(self) -> str:
        return self._ask(anew=False)

    def renewed(self) -> str:
        return self._ask(anew=True)

    def _ask(self, *, anew: bool) -> str:
        from requests import RequestException

        try:
            secret = self._secret()
            with _asking:
                application = _application(self._authority, self._client_id, secret, self._ca)
                if anew:
                    application.remove_tokens_for_client()
                answer = application.acquire_token_for_client(scopes=[self._scope])
        except RequestException as error:
            raise _unreachable("Microsoft", error) from None
        except ValueError as error:  # an authority that does not answer as one
            hint = "check tenant and authority under oauth2"
            raise LoginRefused(f"{self._authority} gives no tokens: {_first_line(str(error))}", hint=hint) from None
        if "access_token" not in answer:
            reason = _first_line(str(answer.get("error_description") or answer.get("error") or "no reason given"))
            hint = "check client_id, the client secret and whether it has expired"
            raise LoginRefused(f"Microsoft gives no token: {reason}", hint=hint)
        return str(answer["access_token"])


_asking = threading.Lock()
"""One asks, the others find the answer in the cache."""


@cache
def _application(authority: str, client_id: str, secret: str, ca: Path | None) -> Any:
    """Return what keeps an application's tokens for as long as this process lives."""
    import msal

    return msal.ConfidentialClientApplication(
        client_id, secret, authority=authority, verify=str(ca) if ca else True, instance_discovery=False, timeout=30
    )


class GoogleTokens:
    """Tokens of a service account in the name of a user (RFC 7523, domain-wide delegation)."""

    def __init__(self, key_file: Path, user: str) -> None:
        self._key_file = key_file
        self._user = user

    def get(self) -> str:
        credentials = self._credentials()
        return str(credentials.token) if credentials.valid else self.renewed()

    def renewed(self) -> str:
        from google.auth.exceptions import RefreshError, TransportError
        from google.auth.transport.requests import Request

        credentials = self._credentials()
        try:
            credentials.refresh(Request())
        except TransportError as error:
            raise _unreachable("Google", error) from None
        except RefreshError as error:
            hint = "check the delegation of https://mail.google.com/ to the service account, and that the user exists"
            reason = _first_line(str(error.args[0] if error.args else error))
            raise LoginRefused(f"Google gives no token for {self._user}: {reason}", hint=hint) from None
        return str(credentials.token)

    def _credentials(self) -> Any:
        try:
            return _delegated(self._key_file, self._user)
        except (OSError, ValueError) as error:
            hint = "key_file is the service account's JSON key, as Google's console gives it"
            raise LoginRefused(f"cannot use {self._key_file}: {type(error).__name__}", hint=hint) from None


@cache
def _delegated(key_file: Path, user: str) -> Any:
    from google.oauth2.service_account import Credentials

    make: Any = Credentials
    return make.from_service_account_file(str(key_file), scopes=[_GMAIL], subject=user)


def _unreachable(whose: str, error: Exception) -> CannotConnect:
    hint = "check the network and the proxy of this host"
    return CannotConnect(f"{whose} can't be asked for a token: {type(error).__name__}", hint=hint)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
