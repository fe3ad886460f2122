"""Restoring by delivery, from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Command, assert_one_error
from tests.corpus import plain_mail
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.maildir import deliver
from tests.servers.smtp import mailroom


def test_a_restore_is_delivered_to_the_account_of_that_name_and_never_twice(
    dovecot: DovecotServer, command: Command, tmp_path: Path
) -> None:
    user = dovecot.new_user().name
    deliver(dovecot, user, "INBOX", [plain_mail(1), plain_mail(2)])
    vault = ("--vault", f"file://{tmp_path}/vault")
    command.env.update({"RESTANTE_PASSPHRASE": new_secret(), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    command.well("init", *vault)
    command.well("backup", dovecot.url(user), *vault, RESTANTE_SOURCE_PASSWORD=dovecot.password(user))
    with mailroom(tmp_path, "plain") as room:
        to = ("--to", f"smtp://127.0.0.1:{room.port}?tls=off")
        first = command.well("restore", user, *to, *vault, "--json").document["accounts"][0]
        again = command.well("restore", "--all", *to, *vault, "--json").document["accounts"][0]
    assert (first["restored"], again["restored"], again["skipped"]) == (2, 0, 2)
    assert [one.rcpt_tos for one in room.envelopes] == [[user], [user]]
    assert_one_error(command("restore", user, *to, *vault, "--verify"), 2, "--verify")
    for name in ("x%20%3Cother@example.org%3E", "a%3E%20NOTIFY=NEVER"):
        url = f"smtp://{name}@127.0.0.1:{room.port}?tls=off"
        assert_one_error(command("restore", user, "--to", url, *vault), 3, "names nobody that mail can be delivered to")
