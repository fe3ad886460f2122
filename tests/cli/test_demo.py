"""`restante demo`: the whole way on servers of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from restante.demo_compare import Contents, Message, differences, made
from restante.demo_mail import demo_mails
from tests.cli.command import Command, assert_one_error


@pytest.mark.timeout(120)
def test_the_demo_brings_everything_back_and_leaves_a_vault_to_explore(command: Command) -> None:
    shown = command("demo")
    assert shown.code == 0
    assert "all as before" in shown.out
    assert "DIFFERENT" not in shown.out

    opening = command.with_(RESTANTE_PASSPHRASE_FILE=str(command.cwd / "demo-vault.passphrase"))
    listed = opening("ls", "anna@example.org", "--vault", f"file://{command.cwd}/demo-vault", "--json")
    assert sum(mailbox["messages"] for mailbox in listed.document) == len(demo_mails())


def test_the_demo_touches_no_directory_that_it_did_not_make(command: Command) -> None:
    place = command.cwd / "demo-vault"
    place.mkdir()
    (place / "precious").touch()
    assert_one_error(command("demo"), 2)
    assert (place / "precious").exists()


def before() -> dict[str, Contents]:
    return made(demo_mails())


def test_two_equal_accounts_show_no_difference() -> None:
    assert not list(differences(before(), before()))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"octets": b"Subject: another\r\n\r\n"}, id="octets"),
        pytest.param({"flags": ("\\Deleted",)}, id="flags"),
        pytest.param({"internaldate": "01-Jan-1970 00:00:00 +0000"}, id="date"),
    ],
)
def test_a_message_that_came_back_altered_is_seen(change: dict[str, object]) -> None:
    after = before()
    [message, *_] = after["INBOX"].messages
    after["INBOX"].messages.subtract([message])
    after["INBOX"].messages.update([message._replace(**change)])  # type: ignore[arg-type]
    assert len(list(differences(before(), after))) == 2


def test_a_twin_that_is_missing_is_seen() -> None:
    after = before()
    [twin] = after["2026"].messages
    after["2026"] = replace(after["2026"], messages=Counter([twin]))
    assert len(list(differences(before(), after))) == 1


def test_a_mailbox_that_is_missing_or_lost_its_role_is_seen() -> None:
    after = before()
    del after["Empty"]
    after["Sent"] = replace(after["Sent"], role=None)
    assert len(list(differences(before(), after))) == 2


def test_a_message_shows_no_octets_when_it_is_told_of() -> None:
    after = before()
    after["INBOX"] = replace(after["INBOX"], messages=Counter[Message]())
    told = "\n".join(differences(before(), after))
    assert "Subject" not in told
    assert "octets" in told
