"""Writes `docs/matrix.md` from what is declared: `python -m tests.matrix.page`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cli.command import ROOT
from tests.matrix.expectations import EXPECTED, Expectation, Kind

PAGE = ROOT / "docs" / "matrix.md"

HEAD = """\
# Server to server

What comes back when an account of one server is restored to another, as measured: each row stands for a test against
real servers that fills the source with hard mails, flags, keywords, dates and mailbox names, backs it up, restores it,
reads the target back, backs the target up too and compares both snapshots with `restante diff`. Whatever is not named
here comes back as it was: octets, flags, keywords, dates, names, subscriptions. A second restore adds nothing, except
where this page says so.

What is refused stands in the report of the restore with the target's words; what is altered can be found with
`restante restore --verify`. None of it is lost: the vault keeps every message as the source gave it, and
`restante cat` or a restore to `eml:DIR` gives the exact octets.

The SpamAssassin public corpus (6,046 real mails) makes the way from Dovecot to Cyrus and back with
nothing but this: Cyrus writes X for 8-bit octets in the headers of 47.

Mail that an MTA delivers makes the whole way too: Postfix to Dovecot and to Cyrus (LMTP), Exim to Courier (Maildir),
Sendmail to Dovecot (mbox). It is backed up, the account wiped, the mail restored there and to every other kind of
server, and new mail arrives as before.

Beside the mail:

| | Dovecot 2.3 | Cyrus IMAP 3.6 | Courier IMAP 5.0 | GNU imap4d 3.15 |
|---|---|---|---|---|
| room is looked for before a restore (QUOTA) | with `imap_quota` | yes | where it tells a limit | – |
| rights of others (ACL), on request | with `imap_acl` | yes | yes | – |
| annotations (METADATA) | with `imap_metadata` | yes | – | – |
| other users' and shared mailboxes, on request | yes | yes | yes, not tested | – |
| Sieve scripts (ManageSieve) | with Pigeonhole | yes; what is not ASCII in a name comes encoded | – | – |

The table below counts the kinds of hard mail that don't come as they were; what they are stands after it.
This page is written from `tests/matrix/expectations.py`; don't change it by hand.
"""


def page() -> str:
    """Return the whole page."""
    sections = (line for target in EXPECTED.values() for line in _section(target))
    return "\n".join([HEAD, *_overview(), *sections]).rstrip() + "\n"


def _overview() -> Iterator[str]:
    yield from ("| from \\ to | " + " | ".join(target.title for target in EXPECTED.values()) + " |", "|---" * 5 + "|")
    for kind, source in EXPECTED.items():
        cells = (_cell([rule.kind for rule in target.rules if kind in rule.sources]) for target in EXPECTED.values())
        yield f"| {source.title} | {' | '.join(cells)} |"
    yield ""


def _cell(kinds: list[Kind]) -> str:
    """Say how many kinds of hard mail do not come as they were."""
    said = (f"{kinds.count(kind)} {kind}" for kind in ("altered", "refused") if kind in kinds)
    return ", ".join(said) or "all kept"


def _section(target: Expectation) -> Iterator[str]:
    yield from (f"## To {target.title}", "", "| from | kept | altered | refused |", "|---|---|---|---|")
    for kind, source in EXPECTED.items():
        met = [rule for rule in target.rules if kind in rule.sources]
        altered = "; ".join(rule.what + " (*)" * rule.again for rule in met if rule.kind == "altered")
        refused = "; ".join(rule.what for rule in met if rule.kind == "refused")
        kept = "all else" if met else "all"
        yield f"| {source.title} | {kept} | {altered or '–'} | {refused or '–'} |"
    yield ""
    if any(rule.again for rule in target.rules):
        yield from ("(*) Such a message can't be recognised afterwards: a second restore brings it once more.", "")
    if target.names:
        names = ", ".join(f"`{old}` → `{new}`" for old, new in target.names.items())
        yield from (f"Names that it won't have are made legal, reversibly: {names}.", "")
    if target.levels_are_mailboxes:
        yield from ("A level that only holds other mailboxes becomes a mailbox of its own.", "")
    if target.no_parents:
        yield f"An empty mailbox that holds others stays a mere level, and the report says so: “{target.no_parents}”."


if __name__ == "__main__":
    PAGE.write_text(page())
