"""Who mail is delivered to: an account's name, sent just as it was checked (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

from __future__ import annotations

import re
from typing import NewType

from restore.errors import RestoreTrouble

Recipient = NewType("Recipient", str)
"""One mailbox's address, fit to stand between `<` and `>`; without a domain it is one of the server's own."""

_ATOM = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f])+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LABEL = r"(?:[A-Za-z0-9_-]|[^\x00-\x7f])+"
_LITERAL = r"\[[A-Za-z0-9:.-]+\]"
_ADDRESS = re.compile(rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})(?:@(?:{_LABEL}(?:\.{_LABEL})*|{_LITERAL}))?")


def recipient_of(account: str) -> Recipient:
    """Return the account's name as the address to deliver to. Raises RestoreTrouble where it is no address.

    Nothing is parsed out of it: `x <y@z>` is nobody, never `y@z`.
    """
    if not account.isprintable() or not _ADDRESS.fullmatch(account):
        hint = "name the recipient in the URL, as in lmtp://anna@host, or restore it over IMAP or into files"
        raise RestoreTrouble(f"{account!r} names nobody that mail can be delivered to", hint=hint)
    return Recipient(account)
