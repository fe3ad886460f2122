"""Deciding where mailboxes go and in which order: pure functions over a tree and a target's survey."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from restore.beside import describe_beside, plan_beside
from restore.model import Beside, Filters, Levels, Mapping, PlannedMailbox, RestorePlan, Survey
from restore.namespaces import KINDS, LABELS, apart, split_namespaces
from restore.room import describe_fit, fits
from vault.model import Mailbox, Snapshot, Tree

INBOX: Levels = ("INBOX",)
ONLY_METADATA = Beside()


def plan_restore(
    snapshot: Snapshot,
    tree: Tree,
    target: str,
    survey: Survey,
    filters: Filters,
    mapping: Mapping,
    beside: Beside = ONLY_METADATA,
) -> RestorePlan:
    """Plan the restore of one account: every mailbox that the filters name, INBOX first, each with its place."""
    there: dict[tuple[str, Levels], int | None] = {("", INBOX): None}
    there.update(((mailbox.namespace, mailbox.levels), mailbox.messages) for mailbox in survey.mailboxes)
    own, others = split_namespaces(tree)
    roles = _roles(own, tree.prefix, survey)
    planned = [
        _plan_mailbox(mailbox, levels, there, roles, mapping)
        for mailbox in own
        if _wanted(mailbox, levels := source_levels(mailbox, tree.prefix), filters)
    ]
    firsts = {source_levels(mailbox, tree.prefix)[0] for mailbox in own}
    planned += [
        _plan_of_others(mailbox, apart(mailbox, firsts), there, survey, mapping)
        for mailbox in others
        if beside.shared and _wanted(mailbox, apart(mailbox, firsts), filters)
    ]
    told = _tell_meetings(sorted(planned, key=_urgency))
    plan = RestorePlan(snapshot.account, snapshot.id, target, tuple(told), filters, survey.quotas)
    return plan_beside(plan, tree, survey, mapping, beside)


def _roles(own: Sequence[Mailbox], prefix: str, survey: Survey) -> dict[Levels, Levels]:
    """Say which mailboxes go to another of the same special use (RFC 6154) at the target, each to one of its own.

    One that finds its own name there with its use stays what it is: many servers give `Sent` and `Sent Messages` the
    same use. The choice looks at the whole tree, so that filters and an earlier restore don't change it.
    """
    sources = {source_levels(mailbox, prefix): _use(mailbox.special_use) for mailbox in own}
    free = {m.levels: _use(m.special_use) for m in survey.mailboxes if m.special_use and not m.namespace}
    settled = {levels for levels, use in sources.items() if use and free.get(levels) == use}
    free = {levels: use for levels, use in free.items() if levels not in settled}
    found: dict[Levels, Levels] = {}
    for levels, use in sources.items():
        place = next((there for there, its in free.items() if its == use), None)
        if use and place and levels not in settled:
            found[levels] = place
            del free[place]
    return found


def _use(special_use: str | None) -> str:
    return (special_use or "").lower()


def _tell_meetings(planned: Sequence[PlannedMailbox]) -> Iterator[PlannedMailbox]:
    """Add to the reasons where two mailboxes come to one place, or to two that only letter case tells apart."""
    met: dict[Levels, PlannedMailbox] = {}
    for one in planned:
        other = met.setdefault(tuple(level.casefold() for level in one.levels), one)
        if other is one:
            yield one
            continue
        how = "together with" if other.levels == one.levels else "differs only in letter case from"
        reason = f"{how} {other.source.name}"
        yield replace(one, reason=f"{one.reason}, {reason}" if one.reason else reason)


def source_levels(mailbox: Mailbox, prefix: str) -> Levels:
    """Return a mailbox's place without the separator and personal prefix of the server it came from.

    One that is not the account's own lies below `Other Users` or `Shared`, whatever the server's prefix was.
    """
    if mailbox.namespace:
        return apart(mailbox, ())
    name, delimiter = mailbox.name, mailbox.delimiter
    if prefix and name.startswith(prefix) and len(name) > len(prefix):
        name = name[len(prefix) :]
    levels = tuple(level for level in name.split(delimiter) if level) if delimiter else (name,)
    return _inbox(levels) or (name,)


def _wanted(mailbox: Mailbox, levels: Levels, filters: Filters) -> bool:
    # A level that holds no messages is made by what lies below it.
    if not mailbox.selectable or (filters.of_messages and not mailbox.messages):
        return False
    names = {"/".join(levels).casefold(), mailbox.name.casefold()}
    globs = [glob.casefold() for glob in filters.mailboxes]
    return not globs or any(name == glob or fnmatchcase(name, glob) for name in names for glob in globs)


def _plan_mailbox(
    mailbox: Mailbox,
    levels: Levels,
    there: dict[tuple[str, Levels], int | None],
    roles: dict[Levels, Levels],
    mapping: Mapping,
) -> PlannedMailbox:
    place, reason = _place(mailbox, levels, roles, mapping)
    return PlannedMailbox(
        source=mailbox,
        levels=place,
        create=("", place) not in there,
        subscribe=mailbox.subscribed,
        special_use=mailbox.special_use if not mapping.into else None,
        reason=reason,
        vacant=there.get(("", place), 0) == 0,
    )


def _plan_of_others(
    mailbox: Mailbox, levels: Levels, there: dict[tuple[str, Levels], int | None], survey: Survey, mapping: Mapping
) -> PlannedMailbox:
    """Put another user's or a shared mailbox back where the target has such ones, else below a mailbox for them."""
    place, reason = _place(mailbox, levels, {}, mapping)
    namespace = mailbox.namespace if mailbox.namespace in survey.namespaces and not reason else ""
    # Where the target has them, its label is ours whatever the source's own mailboxes are called.
    at = (namespace, (LABELS[namespace], *place[1:]) if namespace else place)
    why = f"in the target's namespace of {KINDS[namespace]}" if namespace else "apart from the account's own"
    return PlannedMailbox(
        source=mailbox,
        levels=place,
        create=at not in there,
        subscribe=mailbox.subscribed,
        special_use=None,
        reason=reason or why,
        vacant=there.get(at, 0) == 0,
        namespace=namespace,
    )


def _place(mailbox: Mailbox, levels: Levels, roles: dict[Levels, Levels], mapping: Mapping) -> tuple[Levels, str]:
    name = "/".join(levels)
    for old, new in mapping.renames:
        renamed = _levels(_rename(name, old, new))
        if renamed:
            return _inbox((*_levels(mapping.into), *renamed)), f"mapped from {name}"
    if mapping.into:
        return _inbox((*_levels(mapping.into), *levels)), f"put below {mapping.into}"
    if levels in roles:
        return roles[levels], f"the target's mailbox for {mailbox.special_use}"
    return levels, ""


def _inbox(levels: Levels) -> Levels:
    """The INBOX is the INBOX in any letter case (RFC 9051 §5.1)."""
    return ("INBOX", *levels[1:]) if levels and levels[0].upper() == "INBOX" else levels


def _rename(name: str, old: str, new: str) -> str | None:
    """Return the new name where the old pattern fits; each `*` of the new one takes what the old one's matched."""
    pattern = "(.*)".join(re.escape(piece) for piece in old.split("*"))
    match = re.fullmatch(pattern, name, re.IGNORECASE)
    if match is None:
        return None
    found = iter(match.groups())
    return re.sub(r"\*", lambda _: next(found, ""), new)


def _levels(name: str | None) -> Levels:
    return tuple(level for level in (name or "").split("/") if level)


def _urgency(planned: PlannedMailbox) -> tuple[bool, bool, bool, Levels]:
    """INBOX first, so that people can work; Junk and Trash last."""
    role = (planned.source.special_use or "").lower()
    return (planned.levels != INBOX, role in {"\\junk", "\\trash"}, not planned.source.messages, planned.levels)


def describe_plan(plan: RestorePlan) -> Iterator[str]:
    """Yield what a dry run prints, a line a mailbox."""
    for planned in plan.mailboxes:
        deeds = ["create"] if planned.create else ["exists"]
        deeds += ["subscribe"] if planned.subscribe else []
        deeds += [planned.reason] if planned.reason else []
        # What the target holds already is seen only when its mailbox is read.
        some = plan.filters.of_messages or not planned.create
        count = f"up to {planned.source.messages}" if some and planned.source.messages else planned.source.messages
        yield f"{planned.source.name} → {planned.name}: {count} messages ({', '.join(deeds)})"
    yield from describe_beside(plan)
    yield from map(describe_fit, fits(plan))


_ESCAPE = re.compile(r"%(?=[0-9A-F]{2})")
# Cyrus refuses most of these, `%` among them; Courier characters beyond U+FFFF; Gmail several blanks in a row.
_RISKY = re.compile(r"""^[ ~#]|[ ]$|(?<=[ ])[ ]|^\.+|["\\%*&./<>:;|?!`=^{}\[\]\x00-\x1f\x7f\U00010000-\U0010ffff]""")


def target_name(levels: Sequence[str], prefix: str, delimiter: str | None) -> tuple[str, bool]:
    """Return a mailbox's name on a target, and whether a character had to be escaped (`%2E`), which is reversible."""
    if tuple(levels) == INBOX:
        return "INBOX", False
    parts = [_escape(level, delimiter) for level in levels]
    if delimiter is None:
        return prefix + "%2F".join(parts), len(parts) > 1 or parts != list(levels)
    return _below(prefix, delimiter.join(parts), delimiter), parts != list(levels)


def other_names(levels: Sequence[str], prefix: str, delimiter: str | None) -> Iterator[str]:
    """Yield names for when the plain one is refused: first with each character that some server refuses escaped.

    Then with the last level's first character escaped too, then the first level's: the server may reserve the name, or
    not tell it from another's in other letter case. An escape is `=` and the octets in hexadecimal, as in
    quoted-printable, so it can be read back.
    """
    parts = [_RISKY.sub(lambda m: _escaped(m[0]), level) for level in levels]
    last = [*parts[:-1], _escaped_first(parts[-1])]
    first = [_escaped_first(parts[0]), *parts[1:]]
    for found in dict.fromkeys(map(tuple, (parts, last, first))):
        yield _below(prefix, (delimiter or "=2F").join(found), delimiter)


def _escaped(text: str) -> str:
    return "".join(f"={octet:02X}" for octet in text.encode())


def _escaped_first(level: str) -> str:
    return level if level.startswith("=") else _escaped(level[:1]) + level[1:]


def _below(prefix: str, name: str, delimiter: str | None) -> str:
    # What lies below INBOX keeps that level where the target's namespace puts everything there.
    if prefix and delimiter and (name + delimiter).startswith(prefix):
        return name
    return prefix + name


def _escape(level: str, delimiter: str | None) -> str:
    # A name that needs no escape stays what it is, even if it looks like one.
    if delimiter is None or delimiter not in level:
        return level
    return _ESCAPE.sub("%25", level).replace(delimiter, f"%{ord(delimiter):02X}")
