"""What to tell and what not to tell again: decisions over plain data. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal, NamedTuple, get_args

import msgspec

What = Literal["failed", "partial", "late", "damage", "suspended", "drill", "vanished"]
About = Literal["failed", "partial", "late", "damage", "suspended", "drill", "vanished", "recovered"]
ABOUT: tuple[About, ...] = get_args(About)


class Key(NamedTuple):
    """What can be in one state at a time: a `job`, a nameless `run`, an account's lateness (`late`) and so on."""

    topic: Literal["job", "run", "late", "expiry", "gone", "damage", "reach"]
    subject: str


class Trouble(msgspec.Struct, frozen=True):
    """A state that someone should hear of. `detail` and `hint` are words for people and make no other state."""

    key: Key
    what: What
    since: datetime
    detail: str = ""
    hint: str = ""


class NoticePlan(msgspec.Struct, frozen=True):
    """What to tell one channel now: what has begun, what is over; and all that is told to it once that arrived."""

    begun: tuple[Trouble, ...]
    over: tuple[Trouble, ...]
    told: tuple[Trouble, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return self.size == 0

    @property
    def size(self) -> int:
        """How many things there are to tell."""
        return len(self.begun) + len(self.over)


def plan_notices(
    now: Mapping[Key, Trouble | None], told: Collection[Trouble], about: Collection[About] = ABOUT
) -> NoticePlan:
    """Plan one message. In `now`, None is well; of what it does not name nothing is known, and what was told stands.

    A state that is not in `about` is neither told nor taken for a recovery.
    """
    known = {key: state for key, state in now.items() if state is None or state.what in about}
    before = {trouble.key: trouble for trouble in told}
    after = {key: trouble for key, trouble in before.items() if key not in known}
    begun: list[Trouble] = []
    for key, state in known.items():
        earlier = before.get(key)
        if state is None:
            continue
        if earlier is not None and earlier.what == state.what:
            after[key] = earlier
        else:
            after[key] = state
            begun.append(state)
    over = [trouble for key, trouble in before.items() if key in known and known[key] is None]
    return NoticePlan(tuple(begun), tuple(over) if "recovered" in about else (), tuple(after.values()))
