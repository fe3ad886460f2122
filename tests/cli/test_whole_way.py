"""The whole way with the real command: a mailbox into a vault on S3, and back onto another server."""

from __future__ import annotations

import imaplib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.cli.command import Command, assert_one_error
from tests.secret import PRIVATE_SUBJECT, keep_secret, new_secret
from tests.servers import DovecotServer, RcloneS3, User


def mail(number: int) -> bytes:
    return (
        f"From: Ann <ann{number}@correspondent.invalid>\r\nTo: me\r\nSubject: {PRIVATE_SUBJECT} {number}\r\n"
        f"Date: Mon, 23 Nov 2026 10:00:{number:02} +0100\r\nMessage-ID: <{number}@correspondent.invalid>\r\n\r\n"
        f"Number {number}\r\n"
    ).encode()


@contextmanager
def logged_in(server: DovecotServer, user: User) -> Iterator[imaplib.IMAP4]:
    client = imaplib.IMAP4("127.0.0.1", server.port)
    try:
        client.login(f'"{user.name}"', user.password)
        yield client
    finally:
        client.logout()


def fill(server: DovecotServer, user: User, numbers: range, mailbox: str = "INBOX", flags: str = "") -> None:
    with logged_in(server, user) as client:
        client.create(mailbox)
        for number in numbers:
            client.append(mailbox, flags, '"17-Jul-1996 02:44:25 -0700"', mail(number))


def lose(server: DovecotServer, user: User, mailbox: str, messages: str) -> None:
    with logged_in(server, user) as client:
        client.select(mailbox)
        client.store(messages, "+FLAGS", "(\\Deleted)")
        client.expunge()


def contents(server: DovecotServer, user: User, mailbox: str) -> list[bytes]:
    with logged_in(server, user) as client:
        client.select(mailbox, readonly=True)
        _, found = client.fetch("1:*", "(BODY.PEEK[])")
    return sorted(part[1] for part in found if isinstance(part, tuple))


@pytest.fixture
def source(dovecot: DovecotServer) -> User:
    user = dovecot.new_user(f"jane-{token_hex(4)}@example.test")
    fill(dovecot, user, range(1, 6))
    fill(dovecot, user, range(6, 9), "Archive", "(\\Seen \\Flagged)")
    return user


@pytest.fixture
def ready(command: Command, dovecot: DovecotServer, source: User, s3: RcloneS3, tmp_path: Path) -> Command:
    """The command with a vault on S3, a passphrase, and the source's password."""
    env = {
        **s3.environment,
        "RESTANTE_VAULT": s3.vault_url(f"cli-{tmp_path.name.lower().replace('_', '-')}/prod"),
        "RESTANTE_PASSPHRASE": new_secret(),
        "RESTANTE_SOURCE_PASSWORD": source.password,
    }
    ready = command.with_(**env)
    # Its recovery key is the one secret that a result shows, once: we may only listen for it from here on.
    document = json.loads(ready.process("init", "--json").communicate()[0])
    assert set(document) == {"vault", "recovery_key", "protection", "proven"}
    (ready.cwd / "recovery").write_text(keep_secret(document["recovery_key"]) + "\n")
    return ready


def test_a_mailbox_comes_back_on_another_server(
    ready: Command, dovecot: DovecotServer, source: User, second_dovecot: DovecotServer
) -> None:
    report = ready.well("backup", dovecot.imaps_url(source.name), "--json").document
    assert report["status"] == "complete"
    assert report["accounts"][0]["new_messages"] == 8

    boxes = {box["mailbox"]: box["messages"] for box in ready.well("ls", source.name, "--json").document}
    assert boxes["INBOX"] == 5
    assert boxes["Archive"] == 3

    listed = ready.well("ls", source.name, "Archive", "--json").document
    assert [row["subject"] for row in listed] == [f"{PRIVATE_SUBJECT} {n}" for n in (6, 7, 8)]
    assert listed[0]["internaldate"] == "1996-07-17T09:44:25Z"
    assert set(listed[0]["flags"]) == {"\\Seen", "\\Flagged"}
    assert ready.raw("cat", source.name, listed[0]["id"]) == (0, mail(6), b"")
    assert ready.raw("cat", source.name, listed[0]["id"][:12])[1] == mail(6)

    target = second_dovecot.new_user()
    there = ("restore", source.name, "--to", second_dovecot.imaps_url(target.name), "--json")
    restorer = ready.with_(RESTANTE_TARGET_PASSWORD=target.password)
    first = restorer.well(*there, "--verify").document["accounts"][0]
    assert (first["restored"], first["failures"]) == (8, [])
    for mailbox in ("INBOX", "Archive"):
        assert contents(second_dovecot, target, mailbox) == contents(dovecot, source, mailbox)

    second = restorer.well(*there).document["accounts"][0]
    assert second["restored"] == 0
    assert second["skipped"] == 8


def test_a_second_backup_finds_nothing_new_and_a_third_what_came(
    ready: Command, dovecot: DovecotServer, source: User
) -> None:
    url = dovecot.url(source.name)
    first = ready.well("backup", url, "--json").document
    second = ready.well("backup", url, "--json").document
    assert second["store_puts"] == 1
    assert second["accounts"][0]["new_messages"] == 0
    assert second["accounts"][0]["snapshot"] == first["accounts"][0]["snapshot"]
    fill(dovecot, source, range(20, 22))
    third = ready.well("backup", url, "--json").document
    assert third["accounts"][0]["new_messages"] == 2

    shots = ready.well("snapshots", source.name, "--json").document
    assert [shot["messages"] for shot in shots] == [8, 10]
    before, after = (f"{source.name}@{shot['id']}" for shot in shots)
    found = ready.well("diff", before, after, "--json").document
    assert [one["mailbox"] for one in found["came"]] == ["INBOX", "INBOX"]
    assert found["went"] == found["moved"] == found["flags"] == []
    assert len(ready.well("diff", before, after).out.splitlines()) == 3
    assert "Nothing differs." in ready.well("diff", after, after).out


def test_mail_as_it_was_comes_back_by_the_snapshots_id_and_as_it_is_by_latest(
    ready: Command, dovecot: DovecotServer, source: User
) -> None:
    def served() -> dict[str, list[bytes]]:
        return {mailbox: contents(dovecot, source, mailbox) for mailbox in ("INBOX", "Archive")}

    def backed_up() -> str:
        report = ready.well("backup", dovecot.url(source.name), "--json").document
        return str(report["accounts"][0]["snapshot"])

    def restored(when: str) -> dict[str, list[bytes]]:
        place = ready.cwd / "out" / when
        ready.well("restore", f"{source.name}@{when}", "--to", f"eml:{place}")
        assert {file.parent.name for file in place.rglob("*.eml")} == {"INBOX", "Archive"}
        return {name: sorted(file.read_bytes() for file in (place / name).glob("*.eml")) for name in before}

    before, first = served(), backed_up()
    lose(dovecot, source, "INBOX", "2:3")
    lose(dovecot, source, "Archive", "1")
    fill(dovecot, source, range(20, 21))
    after = served()
    backed_up()
    assert [len(state["INBOX"] + state["Archive"]) for state in (before, after)] == [8, 6]
    assert restored(first) == before
    assert restored("latest") == after


def test_json_has_the_keys_of_the_page(ready: Command, dovecot: DovecotServer, source: User) -> None:
    backup = ready.well("backup", dovecot.url(source.name), "--json").document
    assert set(backup) == {"status", "started", "seconds", "accounts", "store_puts", "store_bytes", "vanished"}
    assert set(backup["accounts"][0]) == {
        "account", "status", "snapshot", "mailboxes", "messages", "bytes", "new_messages", "linked_messages",
        "downloaded_bytes", "stored_bytes", "round_trips", "failures", "alarms", "left_out",
    }  # fmt: skip
    (shot,) = ready.well("snapshots", "--json").document
    assert set(shot) == {"id", "account", "time", "status", "mailboxes", "messages", "bytes", "held"}
    for box in ready.well("ls", source.name, "--json").document:
        assert set(box) == {
            "mailbox", "messages", "bytes", "special_use", "subscribed", "namespace", "acl", "rights", "metadata",
        }  # fmt: skip
    for row in ready.well("ls", source.name, "INBOX", "--json").document:
        assert set(row) == {"uid", "id", "date", "internaldate", "from", "subject", "size", "flags"}
    restored = ready.well("restore", source.name, "--to", f"maildir:{ready.cwd}/out", "--json").document
    assert set(restored) == {"status", "seconds", "accounts"}
    assert set(restored["accounts"][0]) == {
        "account", "snapshot", "target", "restored", "skipped", "altered", "failures",
    }  # fmt: skip
    checked = ready.well("check", "--read", "--json").document
    assert set(checked) == {"status", "packs", "blobs", "bytes_read", "damage"}
    assert (checked["status"], checked["damage"]) == ("complete", [])


def test_tables_for_people_say_the_same(ready: Command, dovecot: DovecotServer, source: User) -> None:
    assert "complete" in ready.well("backup", dovecot.url(source.name)).out
    assert source.name in ready.well("snapshots").out
    assert "Archive" in ready.well("ls", source.name).out
    assert f"{PRIVATE_SUBJECT} 7" in ready.well("ls", source.name, "Archive").out
    assert "No damage found." in ready.well("check").out
    assert "No damage found." in ready.well("check", "--read", "--sample", "50%").out
    plan = ready.well("restore", source.name, "--to", f"maildir:{ready.cwd}/plan", "--dry-run").out
    assert "Archive" in plan
    assert not (ready.cwd / "plan").exists()
    assert "passphrase" in ready.well("key", "list").out


def test_the_configuration_names_accounts_and_jobs(
    ready: Command, dovecot: DovecotServer, source: User, tmp_path: Path
) -> None:
    other = dovecot.new_user()
    (tmp_path / "other-password").write_text(other.password + "\n")
    (tmp_path / "restante.yaml").write_text(
        json.dumps({
            "vault": {"url": ready.env["RESTANTE_VAULT"], "cache": "cache"},
            "accounts": [
                {"name": "jane", "url": dovecot.url(source.name), "password_env": "JANE", "exclude": ["Arch*"]},
                {"name": "other", "url": dovecot.url(other.name), "password_file": "other-password"},
            ],
            "jobs": [{"name": "some", "accounts": ["o*"]}],
        })
    )  # fmt: skip
    configured = Command(ready.cwd, {k: v for k, v in ready.env.items() if k != "RESTANTE_VAULT"}).with_(
        JANE=source.password
    )
    assert [a["account"] for a in configured.well("backup", "--job", "some", "--json").document["accounts"]] == [
        "other"
    ]
    both = configured.well("backup", "--json").document["accounts"]
    assert [(a["account"], a["messages"]) for a in both] == [("jane", 5), ("other", 0)]
    assert_one_error(configured("backup", "jan"), 2, "no account is called jan")
    assert_one_error(configured("backup", "--job", "none"), 2, "no job is called none")
    assert list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("given", ["recovery", "passphrase"])
def test_the_recovery_key_or_the_passphrase_alone_brings_mail_back_on_an_empty_machine(
    ready: Command, dovecot: DovecotServer, source: User, tmp_path: Path, given: str
) -> None:
    ready.well("backup", dovecot.url(source.name))
    (ready.cwd / "passphrase").write_text(ready.env["RESTANTE_PASSPHRASE"] + "\n")
    (tmp_path / "elsewhere").mkdir()
    bare = {name: value for name, value in ready.env.items() if name.startswith(("AWS", "PATH", "PYTHON", "LANG"))}
    elsewhere = Command(tmp_path / "elsewhere", {**bare, "HOME": str(tmp_path / "elsewhere")})
    elsewhere = elsewhere.with_(RESTANTE_PASSPHRASE_FILE=str(ready.cwd / given))
    vault = ("--vault", ready.env["RESTANTE_VAULT"])
    elsewhere.well("restore", "--all", "--to", "eml:out", *vault)
    assert len(list((tmp_path / "elsewhere" / "out").rglob("*.eml"))) == 8


@pytest.mark.parametrize("form", ["", "&master=*"])
def test_a_master_user_brings_all_accounts_back_with_one_password(
    ready: Command, dovecot: DovecotServer, source: User, second_dovecot: DovecotServer, form: str
) -> None:
    other = dovecot.new_user()
    fill(dovecot, other, range(40, 42))
    ready.well("backup", dovecot.url(source.name))
    ready.well("backup", dovecot.url(other.name), RESTANTE_SOURCE_PASSWORD=other.password)
    to = second_dovecot.imaps_url(second_dovecot.master.name) + form
    restorer = ready.with_(RESTANTE_TARGET_PASSWORD=second_dovecot.master.password)
    targets = [second_dovecot.new_user(source.name)]
    assert_one_error(restorer("restore", "--all", "--to", to), 1, other.name)
    targets.append(second_dovecot.new_user(other.name))
    report = restorer.well("restore", "--all", "--to", to, "--json").document
    assert sorted((account["restored"], account["skipped"]) for account in report["accounts"]) == [(0, 8), (2, 0)]
    for user, target in zip((source, other), targets, strict=True):
        assert contents(second_dovecot, target, "INBOX") == contents(dovecot, user, "INBOX")
    assert_one_error(restorer("restore", "--all", "--to", f"{to}&as=someone"), 2, "as=")


def test_mailboxes_are_chosen_and_renamed_on_the_way(ready: Command, dovecot: DovecotServer, source: User) -> None:
    ready.well("backup", dovecot.url(source.name))
    choice = ("--mailbox", "Arch*", "--map", "Archive=Old/2026", "--into", "Restored")
    (plan,) = ready.well("restore", source.name, "--to", "eml:out", *choice, "--dry-run", "--json").document
    assert [(box["mailbox"], box["to"]) for box in plan["mailboxes"]] == [("Archive", "Restored/Old/2026")]
    ready.well("restore", source.name, "--to", "eml:out", *choice)
    assert len(list((ready.cwd / "out" / "Restored" / "Old" / "2026").glob("*.eml"))) == 3
    some = ("--subject", f"{PRIVATE_SUBJECT} 7", "--since", "1996-07-01", "--before", "1996-08-01")
    chosen = ready.well("restore", source.name, "--to", "eml:one", *some, "--json").document
    assert chosen["accounts"][0]["restored"] == 1


def test_the_backup_only_key_backs_up_and_checks_but_reads_no_mail(
    ready: Command, dovecot: DovecotServer, source: User, tmp_path: Path
) -> None:
    key = tmp_path / "backup.key"
    ready.well("key", "export", str(key), "--backup-only")
    assert key.stat().st_mode & 0o777 == 0o600
    assert_one_error(ready("key", "export", str(key)), 2, "exists already")
    without = {name: value for name, value in ready.env.items() if name != "RESTANTE_PASSPHRASE"}
    host = Command(tmp_path, {**without, "RESTANTE_KEY_FILE": str(key)})
    host.well("backup", dovecot.url(source.name))
    host.well("check")
    assert "not decrypted" in host.well("check", "--read").err
    (first, *_) = host.well("ls", source.name, "INBOX", "--json").document
    assert first["subject"] is None
    assert_one_error(host("cat", source.name, first["id"]), 3, "can't read mail")
    assert_one_error(host("restore", source.name, "--to", f"eml:{tmp_path}/out"), 3, "can't read mail")
    ready.well("cat", source.name, first["id"])


def test_keys_are_added_used_and_removed(ready: Command) -> None:
    second = new_secret()
    ready.well("key", "add", "office", RESTANTE_NEW_PASSPHRASE=second)
    slots = {slot["slot"]: slot["kind"] for slot in ready.well("key", "list", "--json").document}
    assert slots == {"passphrase": "passphrase", "recovery": "recovery", "office": "passphrase"}
    ready.well("key", "remove", "passphrase")
    assert_one_error(ready("snapshots"), 3, "does not open vault")
    ready.well("snapshots", RESTANTE_PASSPHRASE=second)
    assert_one_error(ready("key", "add", "x", RESTANTE_PASSPHRASE=second, RESTANTE_NEW_PASSPHRASE="short"), 2, "8")


def test_mail_from_before_and_after_a_rotation_is_read_with_the_new_passphrase(
    ready: Command, dovecot: DovecotServer, source: User
) -> None:
    ready.well("backup", dovecot.url(source.name))
    second = new_secret()
    printed = ready.process("key", "rotate", RESTANTE_NEW_PASSPHRASE=second).communicate()[0].decode()
    keep_secret(printed.split("\n\n")[1].strip())
    fill(dovecot, source, range(30, 31))
    rotated = ready.with_(RESTANTE_PASSPHRASE=second)
    assert rotated.well("backup", dovecot.url(source.name), "--json").document["accounts"][0]["new_messages"] == 1
    rotated.well("restore", source.name, "--to", f"eml:{ready.cwd}/out")
    assert len(list((ready.cwd / "out").rglob("*.eml"))) == 9


def test_a_lost_index_is_rebuilt(ready: Command, dovecot: DovecotServer, source: User, s3: RcloneS3) -> None:
    ready.well("backup", dovecot.url(source.name))
    place = s3.data / ready.env["RESTANTE_VAULT"].removeprefix("s3://").partition("?")[0]
    for file in (place / "index").iterdir():
        file.unlink()
    for file in (ready.cwd / "home").rglob("*.sqlite"):
        file.unlink()
    assert ready("check").code == 4
    ready.well("index", "rebuild")
    ready.well("check", "--read")
    ready.well("restore", source.name, "--to", f"eml:{ready.cwd}/out")


def test_damage_ends_a_check_with_exit_code_4_and_names_the_object(
    ready: Command, dovecot: DovecotServer, source: User, s3: RcloneS3
) -> None:
    ready.well("backup", dovecot.url(source.name))
    place = s3.data / ready.env["RESTANTE_VAULT"].removeprefix("s3://").partition("?")[0]
    pack = next(file for file in (place / "packs").rglob("*") if file.is_file())
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.write_bytes(data)
    outcome = ready("check", "--read", "--json")
    assert outcome.code == 4
    assert any(pack.name in found["object"] for found in outcome.document["damage"])
    assert "damage: " in ready("check", "--read").out
