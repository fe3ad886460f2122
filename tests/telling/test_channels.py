"""Messages arrive at a real mail server and by Apprise; what keeps one from arriving is said in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import assert_one_error
from tests.cli.serving import Serving
from tests.secret import new_secret
from tests.servers import DovecotServer
from tests.servers.process import free_ports
from tests.servers.smtp import Mailroom, mailroom
from tests.telling.told import by_mail, run


def test_what_apprise_reaches_is_told_too_and_its_url_is_a_secret(
    serving: Serving, dovecot: DovecotServer, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    (serving.command.cwd / "url").write_text(f"json://127.0.0.1:{chat[0]}/{new_secret()}\n")
    serving.config["notify"] = {"apprise": [{"name": "chat", "url_file": "url"}]}
    assert [run(serving, "notify").code for _ in range(2)] == [0, 0]
    (posted,) = chat[1]
    assert "is late" in posted["title"]
    assert "What to do: " in posted["message"]


@pytest.mark.parametrize("url", ["nonsense://x", "json://127.0.0.1:{port}/{secret}"])
def test_an_apprise_url_that_leads_nowhere_is_told_without_it(serving: Serving, url: str) -> None:
    filled = url.format(port=free_ports(1)[0], secret=new_secret())
    (serving.command.cwd / "url").write_text(filled)
    serving.config["notify"] = {"apprise": [{"name": "chat", "url_file": "url"}]}
    outcome = run(serving, "notify", "--test")
    assert outcome.code == 3
    assert "chat: NOT told" in outcome.out
    assert filled not in outcome.out
    assert outcome.err == ""


def test_one_channel_that_fails_keeps_the_others_from_hearing_nothing_and_from_hearing_it_twice(
    serving: Serving, dovecot: DovecotServer, room: Mailroom, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    by_mail(serving, room)
    (serving.command.cwd / "url").write_text(f"json://127.0.0.1:{chat[0]}/")
    serving.config["notify"]["apprise"] = [{"name": "chat", "url_file": "url"}]
    room.refuses = True
    assert [run(serving, "notify").code for _ in range(2)] == [1, 1]
    room.refuses = False
    assert [run(serving, "notify").code for _ in range(2)] == [0, 0]
    assert (len(chat[1]), len(room.mails)) == (1, 1)


def test_a_trial_tells_by_every_channel_and_says_which_took_it(
    serving: Serving, room: Mailroom, chat: tuple[int, list[dict[str, Any]]]
) -> None:
    by_mail(serving, room)
    serving.config["notify"]["apprise"] = [{"name": "chat", "url_env": "CHAT"}]
    serving.write()
    reached = serving.command.with_(CHAT=f"json://127.0.0.1:{chat[0]}/{new_secret()}")
    outcome = reached("notify", "--test", "--json")
    assert (outcome.code, outcome.document["status"]) == (0, "complete")
    assert [(one["channel"], one["arrived"]) for one in outcome.document["channels"]] == [
        ("email", True),
        ("chat", True),
    ]
    assert room.subjects == [posted["title"] for posted in chat[1]] == ["[restante] test"]
    room.refuses = True
    outcome = reached("notify", "--test")
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        "email: NOT told: the server refused the message (451)",
        "chat: taken",
    ]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"ca": None}, "certificate is not trusted"),
        ({"ca": "missing"}, "missing: No such file"),
        ({"ca": "other"}, "other: no certificates in PEM"),
        ({"password_file": "other"}, "refused user and password (535)"),
        ({"password_file": "missing"}, "cannot read the SMTP password"),
        ({"user": None, "password_file": None}, "refused the message (530)"),
        ({"user": "jürgen"}, "letters beyond ASCII"),
    ],
)
def test_what_keeps_a_mail_from_going_is_said_in_words(
    serving: Serving, room: Mailroom, settings: dict[str, Any], words: str
) -> None:
    (serving.command.cwd / "other").write_text(new_secret())
    by_mail(serving, room, **settings)
    outcome = run(serving, "notify", "--test")
    assert outcome.code == 3
    assert words in outcome.out
    assert room.mails == []


def test_a_certificate_for_another_host_is_not_trusted(serving: Serving, tmp_path: Path) -> None:
    with mailroom(tmp_path, host="127.0.0.2") as room:
        by_mail(serving, room, host="127.0.0.2")
        outcome = run(serving, "notify", "--test")
    assert outcome.code == 3
    assert "certificate is not trusted: IP address mismatch" in outcome.out


def test_mail_goes_by_tls_from_the_start(serving: Serving, tmp_path: Path) -> None:
    with mailroom(tmp_path, "implicit") as room:
        by_mail(serving, room, tls="implicit")
        assert run(serving, "notify", "--test").code == 0
        assert room.sealed == [True]


def test_nothing_is_sent_in_plain_text_unless_that_is_asked_for(serving: Serving, tmp_path: Path) -> None:
    with mailroom(tmp_path, "plain") as room:
        by_mail(serving, room, user=None, password_file=None)
        outcome = run(serving, "notify", "--test")
        assert outcome.code == 3
        assert "does not offer what is asked of it: STARTTLS" in outcome.out
        by_mail(serving, room, user=None, password_file=None, ca=None, insecure=True)
        assert run(serving, "notify", "--test").code == 0
        assert room.sealed == [False]


def test_a_recipient_who_is_refused_keeps_the_others_from_nothing_but_a_trial_says_so(
    serving: Serving, dovecot: DovecotServer, room: Mailroom
) -> None:
    serving.account(dovecot, dovecot.new_user().name, rpo="2h")
    by_mail(serving, room, to=["admin@example.org", "gone@example.org"])
    room.unknown = {"gone@example.org"}
    trial = run(serving, "notify", "--test")
    assert trial.code == 3
    assert "refused 1 of 2 recipients" in trial.out
    told = [run(serving, "notify") for _ in range(2)]
    assert [outcome.code for outcome in told] == [0, 0]
    assert "email: told (the server refused 1 of 2 recipients)" in told[0].out
    assert len(room.mails) == 2


def test_where_nobody_is_named_notify_says_so(serving: Serving, room: Mailroom) -> None:
    assert_one_error(run(serving, "notify", "--test"), 2, "names nobody to tell")
    by_mail(serving, room)
    elsewhere = f"file://{serving.vault}-copy"
    assert_one_error(run(serving, "notify", "--vault", elsewhere), 2, "names nobody to tell")


@pytest.mark.parametrize(
    "notify, words",
    [
        ({}, "does not say by which way"),
        ({"apprise": [{"name": "chat"}]}, "does not say where its URL stands"),
        ({"apprise": [{"name": "chat", "url_env": "A", "url_file": "b"}]}, "url_env and url_file are both set"),
        ({"apprise": [{"name": "email", "url_env": "A"}]}, "email is a way of its own"),
        ({"apprise": [{"name": "a", "url_env": "A"}, {"name": "a", "url_env": "B"}]}, "two apprise are called a"),
        ({"email": {"host": "h", "to": ["a@b"]}}, "notify.email.from is missing"),
        ({"email": {"host": "h", "from": "nobody", "to": ["a@b"]}}, "not an e-mail address"),
        ({"email": {"host": "h", "from": "a@b", "to": []}}, "notify.email.to"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"], "user": "u"}}, "user and password go together"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"], "insecure": True, "ca": "x"}}, "means nothing to plain"),
        ({"email": {"host": "h", "from": "a@b\r\nBcc: c@d", "to": ["a@b"]}}, "not an e-mail address"),
        ({"email": {"host": "h", "form": "a@b", "to": ["a@b"]}}, "form is not a setting"),
        ({"email": {"host": "h", "from": "a@b", "to": ["a@b"]}, "about": ["everything"]}, "notify.about.0"),
    ],
)
def test_faults_of_the_section_are_named(serving: Serving, notify: dict[str, Any], words: str) -> None:
    serving.config["notify"] = notify
    outcome = run(serving, "config", "check")
    assert outcome.code == 2
    assert words in outcome.err
