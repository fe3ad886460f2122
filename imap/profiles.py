"""What we know of particular servers, in one table; nothing else asks who a server is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

ServerIdKind = Literal["EMAILID", "X-GM-MSGID", "X-GUID", "UIDL", ""]


@dataclass(frozen=True, slots=True)
class Profile:
    """How to treat one kind of server.

    `server_id_kind` is the FETCH item that names a message's content for good. `commands_at_once` is how many FETCH
    commands may be under way. `esearch` says whether its extended SEARCH can be believed. `flags_after_append` lists
    flags that it forgets when APPEND brings them, so that STORE must follow. `computed_metadata` is a pattern of the
    annotations (`entry=value`) that it makes itself, or that say only what is so anyway.
    """

    name: str = "generic"
    server_id_kind: ServerIdKind = ""
    commands_at_once: int = 3
    esearch: bool = True
    flags_after_append: tuple[str, ...] = ()
    computed_metadata: str = ""


_CYRUS_COMPUTES = (
    r"/(?:shared|private)/vendor/cmu/cyrus-imapd/(?:"
    r"(?:annotsize|createdmodseq|foldermodseq|freespace|hasalarms|lastpop|lastupdate|partition|server|shutdown|size"
    r"|synccrcs|uniqueid|usercounters|usermodseq|userrawquota)(?:/.*)?=.*"
    r"|(?:sharedseen|duplicatedeliver)=false|pop3newuidl=true)"
)
_KNOWN: tuple[tuple[str, Profile], ...] = (
    # what the greeting or ID says (lower case) → how to treat it
    ("dovecot", Profile("dovecot", server_id_kind="X-GUID")),
    ("microsoft exchange", Profile("exchange", commands_at_once=1, flags_after_append=("\\Flagged",))),
    ("icloud", Profile("icloud", esearch=False)),
    ("courier", Profile("courier", commands_at_once=1)),
    ("cyrus", Profile("cyrus", computed_metadata=_CYRUS_COMPUTES)),
    ("gimap", Profile("gmail")),
    ("yahoo", Profile("yahoo", commands_at_once=1)),
)
_BY_CAPABILITY: tuple[tuple[str, ServerIdKind], ...] = (("OBJECTID", "EMAILID"), ("X-GM-EXT-1", "X-GM-MSGID"))
_LIKE_DOVECOT = {"SNIPPET=FUZZY", "CONTEXT=SEARCH", "I18NLEVEL=1"}


def choose(words: bytes, capabilities: frozenset[str]) -> Profile:
    """Return the profile for a server by its greeting and ID (`words`) and its capabilities."""
    text = words.decode("latin-1").lower()
    profile = next((known for sign, known in _KNOWN if sign in text), None)
    if profile is None:
        # A Dovecot whose administrator changed the greeting and the ID; it never advertises X-GUID.
        profile = Profile(server_id_kind="X-GUID" if capabilities >= _LIKE_DOVECOT else "")
    for capability, kind in _BY_CAPABILITY:
        if capability in capabilities:
            return replace(profile, server_id_kind=kind)
    return profile
