"""What we know of particular servers, in one table; nothing else asks who a server is."""

from __future__ import annotations

from typing import Literal

import msgspec

ServerIdKind = Literal["EMAILID", "X-GM-MSGID", "X-GUID", "UIDL", ""]


class Profile(msgspec.Struct, frozen=True):
    """How to treat one kind of server.

    `server_id_kind` is the FETCH item that names a message's content for good. `commands_at_once` is how many FETCH
    commands may be under way. `esearch` says whether its extended SEARCH is there and can be believed.
    `flags_after_append` lists flags that it forgets when APPEND brings them, so that STORE must follow.
    `computed_metadata` is a pattern of the annotations (`entry=value`) that it makes itself, or that say only what is
    so anyway. `most_shown` is how many messages of a mailbox it shows at most, the newest, as if there were no more; 0
    where it shows all. `uid_only` says that messages have no numbers beside UIDs (RFC 9586), `most_at_once` of how many
    it tells in one command (RFC 9738), 0 for any, and `pages` that SEARCH gives them by pages (RFC 9394).
    """

    name: str = "generic"
    server_id_kind: ServerIdKind = ""
    commands_at_once: int = 3
    esearch: bool = True
    flags_after_append: tuple[str, ...] = ()
    computed_metadata: str = ""
    most_shown: int = 0
    uid_only: bool = False
    most_at_once: int = 0
    pages: bool = False

    @property
    def reads_ahead(self) -> bool:
        """Whether a command may follow an opening before its answer, and be answered with all that there is."""
        limited = self.most_shown or self.uid_only or self.most_at_once or self.pages
        return self.commands_at_once > 1 and not limited


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
    ("iscream", Profile("icloud", esearch=False)),
    ("courier", Profile("courier", commands_at_once=1)),
    ("cyrus", Profile("cyrus", computed_metadata=_CYRUS_COMPUTES)),
    ("gimap", Profile("gmail")),
    ("yahoo", Profile("yahoo", commands_at_once=1, most_shown=10_000)),
)
_BY_CAPABILITY: tuple[tuple[str, ServerIdKind], ...] = (("OBJECTID", "EMAILID"), ("X-GM-EXT-1", "X-GM-MSGID"))
_LIKE_DOVECOT = {"SNIPPET=FUZZY", "CONTEXT=SEARCH", "I18NLEVEL=1"}


def to_enable(capabilities: frozenset[str]) -> tuple[str, ...]:
    """Return what to enable before a mailbox is opened: mod-sequences; UIDs alone where numbers would limit the view.

    Yahoo shows all of a mailbox only so. It says by XYMHIGHESTMODSEQ who it is, its documents by MESSAGELIMIT.
    """
    if "ENABLE" not in capabilities:
        return ()
    wanted: list[str] = [c for c in ("QRESYNC", "CONDSTORE") if c in capabilities]
    limits = "XYMHIGHESTMODSEQ" in capabilities or _most_at_once(capabilities)
    if limits and capabilities >= {"UIDONLY", "PARTIAL"}:
        wanted.append("UIDONLY")
    return tuple(wanted)


def choose(words: bytes, capabilities: frozenset[str], enabled: frozenset[str] = frozenset()) -> Profile:
    """Return the profile for a server by its greeting and ID (`words`), its capabilities, and what it has enabled."""
    text = words.decode("latin-1").lower()
    profile = next((known for sign, known in _KNOWN if sign in text), None)
    if profile is None:
        # A Dovecot whose administrator changed the greeting and the ID; it never advertises X-GUID.
        profile = Profile(server_id_kind="X-GUID" if capabilities >= _LIKE_DOVECOT else "")
    kinds = [kind for capability, kind in _BY_CAPABILITY if capability in capabilities]
    uid_only = "UIDONLY" in enabled
    most_at_once = _most_at_once(capabilities)
    return msgspec.structs.replace(
        profile,
        server_id_kind=kinds[0] if kinds else profile.server_id_kind,
        esearch=profile.esearch and "ESEARCH" in capabilities,
        most_shown=0 if uid_only else profile.most_shown,
        uid_only=uid_only,
        most_at_once=most_at_once,
        pages=bool(uid_only or most_at_once) and "PARTIAL" in capabilities,
    )


def _most_at_once(capabilities: frozenset[str]) -> int:
    """Read `MESSAGELIMIT=1000` (RFC 9738 §3)."""
    limits = [c[13:] for c in capabilities if c.startswith("MESSAGELIMIT=")]
    return int(limits[0]) if limits and limits[0].isascii() and limits[0].isdigit() and len(limits[0]) < 10 else 0
