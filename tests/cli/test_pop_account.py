"""An account behind POP3, from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import Command, assert_one_error
from tests.corpus import plain_mail
from tests.secret import new_secret
from tests.servers.maildir import deliver
from tests.servers.pop import PopDovecot


def test_an_account_is_backed_up_over_pop3_and_no_restore_goes_there(command: Command, tmp_path: Path) -> None:
    pop = PopDovecot()
    try:
        user = pop.imap.new_user().name
        deliver(pop.imap, user, "INBOX", [plain_mail(1)])
        vault, url = f"file://{tmp_path}/vault", pop.url(user)
        passphrase = new_secret()
        command.well("init", "--vault", vault, RESTANTE_PASSPHRASE=passphrase)
        known = pop.imap.password(user)
        arguments = ("backup", url, "--vault", vault, "--json")
        report = command.well(*arguments, RESTANTE_PASSPHRASE=passphrase, RESTANTE_SOURCE_PASSWORD=known).document
        assert (report["status"], report["accounts"][0]["new_messages"]) == ("complete", 1)
        wrong = command(*arguments, RESTANTE_PASSPHRASE=passphrase, RESTANTE_SOURCE_PASSWORD=new_secret())
        assert (wrong.code, wrong.document["accounts"][0]["status"]) == (3, "failed")
        assert "refuses the POP3 login" in wrong.out
        refused = command("restore", user, "--to", url, "--vault", vault, RESTANTE_PASSPHRASE=passphrase)
        assert_one_error(refused, 2, "is not a target")
    finally:
        pop.imap.remove()
