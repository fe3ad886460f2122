"""What a message says, whatever accounts are called and servers answer."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config import Email
from restante.telling.channels import mail_of
from restante.telling.plan import Key, NoticePlan, Trouble, What
from restante.telling.text import compose

BEGAN = datetime(2026, 11, 23, 14, 40, tzinfo=UTC)
EMAIL = Email(host="h", sender="Réstante <restante@example.org>", to=("admin@example.org",))
TOPICS = get_args(get_type_hints(Key)["topic"])
wild = st.text(st.characters(exclude_categories=()), max_size=30)
troubles = st.builds(
    Trouble,
    key=st.builds(Key, topic=st.sampled_from(TOPICS), subject=wild),
    what=st.sampled_from(get_args(What)),
    since=st.just(BEGAN),
    detail=wild,
    hint=wild,
)


@given(st.lists(troubles, max_size=6), st.lists(troubles, max_size=6))
def test_whatever_names_and_errors_hold_the_mail_can_be_sent_and_its_subject_is_one_line(
    begun: list[Trouble], over: list[Trouble]
) -> None:
    if not begun and not over:
        return
    message = compose(NoticePlan(tuple(begun), tuple(over), ()), "file:///vault", "host")
    assert message.subject.isprintable()
    read = message_from_bytes(mail_of(message, EMAIL).as_bytes(policy=policy.SMTP), policy=policy.default)
    assert set(read.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    }  # fmt: skip
    assert read.get_content().split() == message.body.split()


@pytest.mark.parametrize("topic", TOPICS)
def test_each_trouble_says_what_since_when_and_what_to_do(topic: str) -> None:
    trouble = Trouble(Key(topic, "anna"), "failed", BEGAN)  # type: ignore[arg-type]
    text = compose(NoticePlan((trouble,), (), ()), "file:///vault", "host").body
    headline, since, *_ = text.splitlines()
    assert headline.endswith(".")
    assert since == "  Since: 2026-11-23 14:40 UTC"
    assert "\n  What to do: " in text


def test_a_hint_of_the_error_itself_comes_before_ours() -> None:
    trouble = Trouble(Key("job", "nightly"), "failed", BEGAN, "The error: no space", "make room")
    assert "  The error: no space\n  What to do: make room\n" in compose(
        NoticePlan((trouble,), (), ()), "file:///vault", "host"
    ).body  # fmt: skip


def test_many_accounts_in_one_state_are_one_thing_and_the_first_twenty_are_named() -> None:
    late = tuple(Trouble(Key("late", f"user{number:03}"), "late", BEGAN) for number in range(200))
    message = compose(NoticePlan(late, late, ()), "file:///vault", "host")
    assert message.subject == "[restante] 200 accounts are late: no complete backup as new as promised"
    assert "  and 180 more\n" in message.body
    assert len(message.body.splitlines()) < 60
