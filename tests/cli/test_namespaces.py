"""Mailboxes of other users and shared ones: left out unless wanted, kept apart, put back where they belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import Command, assert_one_error
from tests.cli.keeping import restoring, with_vault
from tests.corpus import plain_mail
from tests.restore.replay import held
from tests.servers import CyrusServer, DovecotServer, ImapServer, User

PUBLIC = """
namespace public {
  type = public
  separator = /
  prefix = Public/
  location = maildir:%h/../public:INDEX=~/public
  subscriptions = no
}
"""


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    return with_vault(command, tmp_path / "vault")


@pytest.fixture
def start_public(start_dovecot: Callable[..., DovecotServer]) -> Callable[[], DovecotServer]:
    def start() -> DovecotServer:
        server = start_dovecot(extra=PUBLIC)
        server.own((server.directory / "home").parent / "home")
        place = server.directory / "home" / "public"
        place.mkdir()
        server.own(server.directory / "home")
        return server

    return start


def configured(ready: Command, server: ImapServer, user: User, *namespaces: str) -> Command:
    """Return the command with a configuration of one account."""
    account: dict[str, Any] = {"name": user.name, "url": server.url(user.name), "password_env": "THE_PASSWORD"}
    if namespaces:
        account["namespaces"] = list(namespaces)
    config = {"vault": {"url": ready.env["RESTANTE_VAULT"]}, "accounts": [account]}
    (ready.cwd / "restante.yaml").write_text(yaml.safe_dump(config))
    return ready.with_(THE_PASSWORD=user.password)


def names(ready: Command, user: User) -> dict[str, str]:
    return {box["mailbox"]: box["namespace"] for box in ready.well("ls", user.name, "--json").document}


def shared_with(cyrus: CyrusServer) -> tuple[User, User]:
    """Return a user who sees the mailbox Team of another, and that other."""
    user, friend = cyrus.new_user(), cyrus.new_user()
    with cyrus.open(friend.name) as imap:
        imap.do("CREATE Team")
        imap.append("Team", plain_mail(1))
        imap.do(f"SETACL Team {user.name} lrswipkxte")
    with cyrus.open(user.name) as imap:
        imap.append("INBOX", plain_mail(2))
    return user, friend


def test_mailboxes_of_others_are_taken_only_on_request_and_it_is_said_that_they_are_not(
    ready: Command, cyrus: CyrusServer
) -> None:
    user, friend = shared_with(cyrus)
    theirs = f"Other Users/{friend.name}/Team"
    outcome = configured(ready, cyrus, user).well("backup", "--json")
    assert outcome.document["accounts"][0]["left_out"] == [theirs]
    assert "1 mailbox of other users or shared" in outcome.err
    assert names(ready, user) == {"INBOX": ""}
    second = configured(ready, cyrus, user, "personal", "other", "shared").well("backup", "--json")
    assert second.document["accounts"][0]["left_out"] == []
    assert names(ready, user) == {"INBOX": "", theirs: "other"}
    third = configured(ready, cyrus, user, "personal", "other", "shared").well("backup", "--json")
    assert third.document["accounts"][0]["new_messages"] == 0
    assert third.document["accounts"][0]["round_trips"] <= 7  # one more for each namespace that is asked for
    assert third.document["accounts"][0]["snapshot"] == second.document["accounts"][0]["snapshot"]
    configured(ready, cyrus, user, "other").well("backup")
    assert names(ready, user) == {theirs: "other"}


def test_a_restore_leaves_them_out_unless_asked_and_then_puts_them_back_in_their_place(
    ready: Command, cyrus: CyrusServer, tmp_path: Path
) -> None:
    user, friend = shared_with(cyrus)
    configured(ready, cyrus, user, "personal", "other").well("backup")
    with cyrus.open(friend.name) as imap:
        imap.do("SELECT Team")
        imap.do("STORE 1 +FLAGS (\\Deleted)")
        imap.do("EXPUNGE")
    there = ("restore", user.name, "--to", cyrus.url(user.name))
    planned = restoring(ready, user).well(*there, "--dry-run").out
    assert f"Other Users/{friend.name}/Team (--with-shared restores them)" in planned
    restoring(ready, user).well(*there)
    assert held(cyrus, friend.name)["Team"].total() == 0
    restoring(ready, user).well(*there, "--with-shared")
    assert {mail for mail, _, _ in held(cyrus, friend.name)["Team"]} == {plain_mail(1)}
    assert held(cyrus, user.name).keys() == {"INBOX", f"Other Users/{friend.name}/Team"}
    again = restoring(ready, user).well(*there, "--with-shared", "--json").document["accounts"][0]
    assert (again["restored"], again["skipped"]) == (0, 2)


def test_a_target_without_such_a_namespace_gets_them_apart_from_the_own_mailboxes(
    ready: Command, cyrus: CyrusServer, dovecot: DovecotServer, tmp_path: Path
) -> None:
    user, friend = shared_with(cyrus)
    with cyrus.open(user.name) as imap:
        imap.do("CREATE Team")
        imap.append("Team", plain_mail(3))
    configured(ready, cyrus, user, "personal", "other").well("backup")
    heir = dovecot.new_user()
    restoring(ready, heir).well("restore", user.name, "--to", dovecot.url(heir.name), "--with-shared")
    there = held(dovecot, heir.name)
    assert {mail for mail, _, _ in there["Team"]} == {plain_mail(3)}
    assert {mail for mail, _, _ in there[f"Other Users/{friend.name}/Team"]} == {plain_mail(1)}
    ready.well("restore", user.name, "--to", f"eml:{tmp_path / 'mail'}", "--with-shared")
    assert (tmp_path / "mail" / "Other Users").is_dir()


def test_shared_mailboxes_go_from_one_servers_namespace_into_the_others(
    ready: Command, start_public: Callable[[], DovecotServer]
) -> None:
    source, target = start_public(), start_public()
    user, heir = source.new_user(), target.new_user()
    with source.open(user.name) as imap:
        for name, number in (("Public/News", 1), ("INBOX", 2), ("Shared", 3)):
            imap.command(f"CREATE {name}")
            imap.append(name, plain_mail(number))
    configured(ready, source, user, "personal", "shared").well("backup")
    assert names(ready, user) == {"INBOX": "", "Shared": "", "Public/News": "shared", "Public": "shared"}
    restoring(ready, heir).well("restore", user.name, "--to", target.url(heir.name), "--with-shared")
    there = held(target, heir.name)
    assert {mail for mail, _, _ in there["Public/News"]} == {plain_mail(1)}
    assert {mail for mail, _, _ in there["Shared"]} == {plain_mail(3)}


def test_shared_mailboxes_of_all_accounts_at_once_are_refused(ready: Command, tmp_path: Path) -> None:
    outcome = ready("restore", "--all", "--to", f"eml:{tmp_path / 'mail'}", "--with-shared")
    assert_one_error(outcome, 2, "--with-shared")
