"""Access lists and annotations: kept in the snapshot, given back where the target can, told where it can't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command
from tests.cli.keeping import backed_up, restoring, with_vault
from tests.corpus import plain_mail
from tests.servers import CourierServer, CyrusServer, DovecotServer, ImapServer
from tests.servers.wire import RawImap

KEEPING = """
mail_attribute_dict = file:%h/attributes
protocol imap {
  mail_plugins = $mail_plugins acl imap_acl
  imap_metadata = yes
}
plugin {
  acl = vfile
}
"""
"""What makes a Dovecot offer ACL and METADATA."""


@pytest.fixture
def ready(command: Command, tmp_path: Path) -> Command:
    return with_vault(command, tmp_path / "vault")


@pytest.fixture
def keeping(start_dovecot: Callable[..., DovecotServer]) -> DovecotServer:
    return start_dovecot(extra=KEEPING)


def fill(imap: RawImap, name: str = "Work", comment: str = "ours") -> None:
    imap.do(f"CREATE {name}")
    imap.append(name, plain_mail(1))
    imap.do(f'SETMETADATA {name} (/private/comment "mine" /shared/comment "{comment}")')


def listed(ready: Command, user: str, name: str = "Work") -> dict[str, Any]:
    return next(box for box in ready.well("ls", user, "--json").document if box["mailbox"] == name)


def metadata(imap: RawImap, name: str = "Work") -> bytes:
    return b"".join(b"".join(r) for r in imap.do(f"GETMETADATA (DEPTH infinity) {name} (/private /shared)"))


def acl(imap: RawImap, name: str = "Work") -> bytes:
    return b"".join(b"".join(r) for r in imap.do(f"GETACL {name}"))


@pytest.mark.parametrize("way", ["cyrus to cyrus", "dovecot to cyrus", "cyrus to dovecot"])
def test_annotations_come_back_and_nothing_is_set_twice(
    ready: Command, cyrus: CyrusServer, keeping: DovecotServer, way: str
) -> None:
    servers: dict[str, ImapServer] = {"cyrus": cyrus, "dovecot": keeping}
    source, target = (servers[name] for name in way.split(" to "))
    user, heir = source.new_user(), target.new_user()
    with source.open(user.name) as imap:
        fill(imap)
    backed_up(ready, source, user.name)
    assert listed(ready, user.name)["metadata"] == {"/private/comment": "mine", "/shared/comment": "ours"}
    there = ("restore", user.name, "--to", target.url(heir.name))
    planned = restoring(ready, heir).well(*there, "--dry-run").out
    assert "annotations of Work: /private/comment, /shared/comment" in planned
    report = restoring(ready, heir).well(*there, "--json").document["accounts"][0]
    assert report["altered"] == []
    with target.open(heir.name) as imap:
        kept = metadata(imap)
        assert b"mine" in kept
        assert b"ours" in kept
        imap.do('SETMETADATA Work (/shared/comment "changed since")')
    report = restoring(ready, heir).well(*there, "--json").document["accounts"][0]
    assert [one["what"] for one in report["altered"]] == ["the annotation /shared/comment is another there, and stays"]
    with target.open(heir.name) as imap:
        assert b"changed since" in metadata(imap)


def test_annotations_can_be_left_out(ready: Command, cyrus: CyrusServer) -> None:
    user, heir = cyrus.new_user(), cyrus.new_user()
    with cyrus.open(user.name) as imap:
        fill(imap)
    backed_up(ready, cyrus, user.name)
    restoring(ready, heir).well("restore", user.name, "--to", cyrus.url(heir.name), "--no-metadata")
    with cyrus.open(heir.name) as imap:
        assert b"mine" not in metadata(imap)


def test_a_target_without_annotations_is_told_of_once(
    ready: Command, cyrus: CyrusServer, dovecot: DovecotServer, tmp_path: Path
) -> None:
    user, heir = cyrus.new_user(), dovecot.new_user()
    with cyrus.open(user.name) as imap:
        fill(imap)
        fill(imap, "Play")
    backed_up(ready, cyrus, user.name)
    for url in (dovecot.url(heir.name), f"maildir:{tmp_path / 'mail'}"):
        report = restoring(ready, heir).well("restore", user.name, "--to", url, "--json").document["accounts"][0]
        told = [(one["mailbox"], one["what"]) for one in report["altered"] if "annotations" in one["what"]]
        assert told == [("", "the target keeps no annotations: 2 mailboxes had some")]


@pytest.mark.parametrize("kind", ["cyrus", "dovecot", "courier"])
def test_rights_of_others_come_back_only_on_request(
    ready: Command, request: pytest.FixtureRequest, keeping: DovecotServer, kind: str
) -> None:
    server: ImapServer = keeping if kind == "dovecot" else request.getfixturevalue(kind)
    user, heir, friend = server.new_user(), server.new_user(), server.new_user()
    name, one = ("INBOX.Work", "anyone") if kind == "courier" else ("Work", friend.name)
    with server.open(user.name) as imap:
        imap.do(f"CREATE {name}")
        imap.append(name, plain_mail(1))
        imap.do(f"SETACL {name} {one} lr")
    backed_up(ready, server, user.name)
    assert set(listed(ready, user.name, name)["acl"][one]) == set("lr")
    there = ("restore", user.name, "--to", server.url(heir.name))
    planned = restoring(ready, heir).well(*there, "--dry-run").out
    assert f"left out: rights in {name}: {one} " in planned
    assert "--with-acl" in planned
    restoring(ready, heir).well(*there)
    with server.open(heir.name) as imap:
        assert one.encode() not in acl(imap, name)
    report = restoring(ready, heir).well(*there, "--with-acl", "--json").document["accounts"][0]
    assert report["altered"] == []
    with server.open(heir.name) as imap:
        given = acl(imap, name)
    assert one.encode() in given
    assert user.name.encode() not in given


def test_rights_that_the_target_refuses_are_named(
    ready: Command, courier: CourierServer, keeping: DovecotServer
) -> None:
    user, heir = courier.new_user(), keeping.new_user()
    with courier.open(user.name) as imap:
        imap.do("SETACL INBOX anyone lr")
        imap.append("INBOX", plain_mail(1))
    backed_up(ready, courier, user.name)
    there = ("restore", user.name, "--to", keeping.url(heir.name), "--with-acl", "--json")
    report = restoring(ready, heir).well(*there).document["accounts"][0]
    assert ["rights of anyone" in one["what"] for one in report["altered"]] == [True]


def test_what_changed_beside_mail_is_seen_when_mail_comes_and_a_quiet_run_asks_nothing(
    ready: Command, cyrus: CyrusServer
) -> None:
    user, friend = cyrus.new_user(), cyrus.new_user()  # not `anyone`, which all accounts of the server would see
    with cyrus.open(user.name) as imap:
        fill(imap)
    backed_up(ready, cyrus, user.name)
    source = ready.with_(RESTANTE_SOURCE_PASSWORD=user.password)
    quiet = source.well("backup", cyrus.url(user.name), "--json").document["accounts"][0]
    assert quiet["round_trips"] <= 5
    assert len(source.well("snapshots", user.name, "--json").document) == 1
    with cyrus.open(user.name) as imap:
        imap.do('SETMETADATA Work (/private/comment NIL /shared/comment "newer")')
        imap.do(f"SETACL Work {friend.name} lr")
        imap.append("INBOX", plain_mail(2))
    source.well("backup", cyrus.url(user.name))
    box = listed(ready, user.name)
    assert box["metadata"] == {"/shared/comment": "newer"}
    shots = source.well("snapshots", user.name, "--json").document
    places = [f"{user.name}@{shot['id']}" for shot in shots]
    beside = source.well("diff", *places, "--json").document["beside"]
    told = {(one["what"], one["mailbox"], one["name"]): (one["before"], one["after"]) for one in beside}
    assert told.pop(("rights", "Work", friend.name)) in ((None, "lr"), (None, "rl"))
    assert told == {
        ("annotation", "Work", "/private/comment"): ("mine", None),
        ("annotation", "Work", "/shared/comment"): ("ours", "newer"),
    }
    assert "/shared/comment: ours → newer" in source.well("diff", *places).out
    assert set(box["acl"][friend.name]) == set("lr")
