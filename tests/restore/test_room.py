"""Whether a restore fits, decided without any server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap.model import Quota
from restore import NoRoom
from restore.model import Survey, TargetMailbox
from restore.room import fits, refuse_without_room
from tests.restore.test_plan import box, plan

SIZES = st.integers(0, 50)


@given(
    boxes=st.lists(st.tuples(SIZES, SIZES, st.booleans()), max_size=6),
    foreign=SIZES,
    limit=st.integers(0, 200),
)
def test_the_verdict_is_never_wrong_whatever_the_target_holds(
    boxes: list[tuple[int, int, bool]], foreign: int, limit: int
) -> None:
    """`held` octets of each mailbox are at the target already, as far as it has the mailbox, beside foreign mail."""
    sources = [box(f"m{n}", octets=octets, messages=1) for n, (octets, _, _) in enumerate(boxes)]
    held = [min(octets, held) if there else 0 for octets, held, there in boxes]
    there = [TargetMailbox((f"m{n}",), None, int(held[n] > 0)) for n, (_, _, there) in enumerate(boxes) if there]
    used = sum(held) + foreign
    quota = Quota("", "STORAGE", used, limit)
    (fit,) = fits(plan(*sources, at=Survey(tuple(there), (quota,))))
    lacking = sum(octets for octets, _, _ in boxes) - sum(held)
    assert fit.least <= lacking <= fit.most
    if fit.verdict == "fits":
        assert lacking <= quota.left
    if fit.verdict == "too little":
        assert lacking > quota.left


def test_counts_of_messages_and_mailboxes_are_limits_too() -> None:
    few = (Quota("", "MESSAGE", 5, 6), Quota("", "MAILBOX", 5, 6))
    found = plan(box("A"), box("B"), at=Survey((), few))
    assert [fit.verdict for fit in fits(found)] == ["too little", "too little"]
    with pytest.raises(NoRoom, match="2 messages"):
        refuse_without_room(found, fits(found))
