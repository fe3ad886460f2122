"""What a message says: what, since when, what to do. Account and job names, never anything of the mail. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from restante.output import count, printable
from restante.telling.plan import Key, NoticePlan, Trouble
from restante.telling.troubles import SHOWN

_TELLS_AGAIN = "The vault could not be asked what was told before, so the next run may tell this again."
_URGENT = ("reach", "damage", "job", "run", "late", "expiry", "gone")


class Message(NamedTuple):
    """A message as every channel takes it."""

    subject: str
    body: str


def compose(plan: NoticePlan, vault: str, host: str, *, remembered: bool = True) -> Message:
    """Return one message that tells all of a plan, the worst first."""
    begun = sorted(plan.begun, key=lambda t: (_URGENT.index(t.key.topic), t.what, t.key))
    groups = [list(group) for _, group in groupby(begun, key=_kind)]
    over = [_over(trouble) for trouble in plan.over]
    parts = [_part(group) for group in groups]
    if over:
        more = [f"and {len(over) - SHOWN:,} more"] if len(over) > SHOWN else []
        parts.append("\n".join(["Over:", *(f"  {line}" for line in [*over[:SHOWN], *more])]))
    if not remembered:
        parts.append(_TELLS_AGAIN)
    return Message(_subject(groups, over), "\n\n".join([*parts, _footer(vault, host)]) + "\n")


def trial(vault: str, host: str) -> Message:
    """Return the message of `restante notify --test`."""
    said = "This is a test that somebody asked for: `restante notify --test`. Nothing is wrong."
    return Message("[restante] test", f"{said}\n\n{_footer(vault, host)}\n")


def _footer(vault: str, host: str) -> str:
    return (
        f"Vault: {vault}\nTold by: Restante on {host}\n"
        "Each state is told once, and once more when it is over. `restante status` tells how things stand now."
    )


def _kind(trouble: Trouble) -> tuple[str, ...]:
    """What is told together: many late accounts are one thing, each job is one of its own."""
    own = trouble.key.subject if trouble.key.topic in {"job", "run"} else ""
    return trouble.key.topic, trouble.what, own


def _subject(groups: Sequence[Sequence[Trouble]], over: Sequence[str]) -> str:
    """Return one line; names come from configuration and servers, so nothing of theirs may end it."""
    told = [_headline(group) for group in groups] or over[:1]
    more = (len(groups) or len(over)) - 1
    line = told[0] + (f" (and {count(more, 'thing')} more)" if more > 0 else "")
    return _plain(f"[restante] {line}")


def _part(group: Sequence[Trouble]) -> str:
    return "\n".join([_headline(group) + ".", *(f"  {line}" for line in _lines(group))])


def _lines(group: Sequence[Trouble]) -> Iterator[str]:
    first = group[0]
    if len(group) == 1:
        yield f"Since: {_when(first.since)}"
        if first.detail:
            yield _plain(first.detail)
    for trouble in group[:SHOWN] if len(group) > 1 else ():
        detail = f" ({_plain(trouble.detail)})" if trouble.detail else ""
        yield f"{_plain(trouble.key.subject)}: since {_when(trouble.since)}{detail}"
    if len(group) > SHOWN:
        yield f"and {len(group) - SHOWN:,} more"
    yield f"What to do: {_plain(first.hint) or _advice(group)}"


def _headline(group: Sequence[Trouble]) -> str:
    first, many = group[0], len(group) > 1
    who = f"{len(group):,} accounts" if many else _plain(first.key.subject)
    match first.key.topic:
        case "job" | "run":
            return f"{_job(first.key)} {_ended(first)}"
        case "late":
            return f"{who} {'are' if many else 'is'} late: no complete backup as new as promised"
        case "damage":
            return "Damage was found in the vault"
        case "expiry":
            return f"{who}: over half of the mail is gone at once, so old snapshots are kept"
        case "gone":
            return f"{who} {'are' if many else 'is'} no longer among the accounts; the snapshots stay"
        case _:
            return "The vault can't be reached"


def _job(key: Key) -> str:
    return f'Job "{_plain(key.subject)}"' if key.topic == "job" else f"`restante {key.subject}`"


def _ended(trouble: Trouble) -> str:
    return {"failed": "failed", "partial": "was partial", "damage": "met damage", "drill": "did not prove itself"}.get(
        trouble.what, trouble.what
    )


_ADVICE = {
    "reach": "check the store, its credentials, and this host's way to it; nothing is backed up meanwhile.",
    "damage": (
        "`restante check --read` names the objects and the mail they touch; with `--repair-from` a second site heals"
        " them. This is over once a check has read everything and found it good."
    ),
    "late": "look with `restante status`: is it one account (its password, its server), or all (store, key)?",
    "expiry": (
        "find out who deleted it. If that was right: `restante prune --acknowledge ACCOUNT`. If not: restore it."
    ),
    "gone": "nothing, if that is meant; else put the account back into the configuration, or on its server.",
    "drill": "`restante drill` by hand names what differs; then `restante check --read`.",
}
"""What to do, by topic or by state."""


def _advice(group: Sequence[Trouble]) -> str:
    key, what = group[0].key, group[0].what
    by_hand = f"`restante {key.subject}` by hand" if key.topic == "run" else "running it by hand"
    whole = what == "partial"
    own = (
        f"`restante status --json` names what can't be read, and {by_hand} shows why."
        if whole
        else (f"{by_hand} shows what is wrong; so does the log of the service, in the line `job failed`.")
    )
    return _ADVICE.get(key.topic) or _ADVICE.get(what) or own


def _over(trouble: Trouble) -> str:
    since = f"(the trouble began {_when(trouble.since)})"
    who = _plain(trouble.key.subject)
    match trouble.key.topic:
        case "job" | "run":
            return f"{_job(trouble.key)} is well again {since}"
        case "late":
            return f"{who} is no longer late {since}"
        case "damage":
            return f"The vault is whole again {since}"
        case "expiry":
            return f"{who}: snapshots expire again {since}"
        case "gone":
            return f"{who} is back among the accounts {since}"
        case _:
            return f"The vault can be reached again {since}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _plain(text: str) -> str:
    return printable(" ".join(text.split()))


def told_lines(troubles: Iterable[Trouble]) -> list[str]:
    """Return what begins, a line each, for `--dry-run`."""
    return [_headline([trouble]) for trouble in troubles]


def over_lines(troubles: Iterable[Trouble]) -> list[str]:
    """Return what is over, a line each."""
    return [_over(trouble) for trouble in troubles]
