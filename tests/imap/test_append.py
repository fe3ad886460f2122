"""Storing messages: exact octets, one result for each, and one bad message never costs another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imap.append import AppendInterrupted
from imap.errors import Refused, Throttled
from imap.model import Appended, Outgoing
from imap.names import encode_name
from tests.corpus import DOTTED_NAMES, MAILBOX_NAMES, MESSAGES, SERVABLE, TWINS, octets, plain_mail
from tests.imap.conftest import Open
from tests.imap.scripted import HANG_UP, Reply, scripted_session
from tests.servers import CyrusServer, DovecotServer

DATE = "17-Jul-1996 02:44:25 -0700"
UTC = "17-Jul-1996 09:44:25 +0000"
NUL = plain_mail(500, body=b"nul \0 nul\r\n")
SLOW = {"MULTIAPPEND", "LITERAL+"}


def outgoing(count: int) -> list[Outgoing]:
    return [Outgoing(plain_mail(number), ("\\Seen",) if number % 2 else (), DATE) for number in range(count)]


@pytest.mark.parametrize(
    "without",
    [(), {"LITERAL+"}, {"MULTIAPPEND"}, SLOW, {*SLOW, "UIDPLUS"}],
    ids=lambda w: "without " + " ".join(sorted(w)),
)
def test_messages_arrive_octet_for_octet_with_flags_and_date(
    start_dovecot: Callable[..., DovecotServer], open_account: Open, without: set[str]
) -> None:
    server = start_dovecot(without=without)
    user = server.new_user()
    flags = ("$Label1", "\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")
    # Dovecot makes CR CR LF a CR LF when it saves; what we send is looked at below.
    mails = [*(mail for mail in SERVABLE.values() if b"\r\r\n" not in mail), *TWINS]
    session = open_account(server, user.name)
    results = session.append(b"INBOX", [Outgoing(mail, (*flags, "\\Recent"), DATE) for mail in mails])
    assert all(result.error is None and result.altered == () for result in results)
    with server.open(user.name) as raw:
        seen = raw.messages("INBOX")
        uidvalidity = raw.status("INBOX")["UIDVALIDITY"]
    assert [(s.octets, s.flags, s.internaldate) for s in seen] == [(mail, flags, UTC) for mail in mails]
    if "UIDPLUS" not in without:
        assert [(r.uidvalidity, r.uid) for r in results] == [(uidvalidity, s.uid) for s in seen]
    else:
        # Dovecot tells all the same; whoever does not is tested below.
        assert [r.uid for r in results] == [s.uid for s in seen]


def test_a_hundred_mails_take_one_round_trip(dovecot: DovecotServer, open_account: Open) -> None:
    session = open_account(dovecot, dovecot.new_user().name)
    before = session.round_trips
    assert [result.uid for result in session.append(b"INBOX", outgoing(200))] == [*range(1, 201)]
    assert session.round_trips - before == 2


def test_line_ends_and_nul_leave_us_as_they_are() -> None:
    wild = [b"a\nb\rc\r\n\r\nd", b"nul\0\xff\xfe", *MESSAGES.values()]
    with scripted_session({}) as (session, server):
        session.append(b"INBOX", [Outgoing(message) for message in wild])
        assert server.literals == wild


@pytest.mark.parametrize("location", ["maildir:~/Maildir", "mbox:~/mail:INBOX=~/inbox"])
def test_only_the_culprits_of_a_batch_stay_out(
    start_dovecot: Callable[..., DovecotServer], open_account: Open, location: str
) -> None:
    server = start_dovecot(location=location)
    user = server.new_user()
    batch = [*outgoing(3), Outgoing(b""), *outgoing(2)]
    results = open_account(server, user.name).append(b"INBOX", batch)
    assert [result.error is None for result in results] == [True, True, True, False, True, True]
    assert "zero byte" in (results[3].error or "")
    with server.open(user.name) as raw:
        assert len(raw.messages("INBOX")) == 5


def test_cyrus_refuses_one_message_and_takes_the_rest(cyrus: CyrusServer, open_account: Open) -> None:
    user = cyrus.new_user()
    session = open_account(cyrus, user.name)
    results = session.append(b"INBOX", [*outgoing(2), Outgoing(NUL, ("$Label1",), DATE), *outgoing(2)])
    assert [result.uid for result in results] == [1, 2, None, 3, 4]
    assert "NUL" in (results[2].error or "")
    with cyrus.open(user.name) as raw:
        assert [seen.octets for seen in raw.messages("INBOX")] == [plain_mail(n) for n in (0, 1, 0, 1)]


def test_a_date_the_server_hates_is_left_out_and_told(cyrus: CyrusServer, open_account: Open) -> None:
    session = open_account(cyrus, cyrus.new_user().name)
    odd = Outgoing(plain_mail(2), ("\\Seen", "$Label1"), "17-Jul-1965 02:44:25 -0700")
    no_date = Outgoing(plain_mail(3), (), "yesterday")
    results = session.append(b"INBOX", [*outgoing(1), odd, no_date])
    assert [(result.uid, result.altered) for result in results] == [
        (1, ()),
        (2, ("internaldate",)),
        (3, ("internaldate",)),
    ]


def test_flags_that_can_not_be_written_are_left_out_and_told(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    odd = Outgoing(plain_mail(1), ("\\Seen", "two words", "br(acket", "größe", ""), DATE)
    [result] = open_account(dovecot, user.name).append(b"INBOX", [odd])
    assert (result.error, result.altered) == (None, ("keywords",))
    with dovecot.open(user.name) as raw:
        assert raw.messages("INBOX")[0].flags == ("\\Seen",)


def test_keywords_the_server_hates_are_left_out_and_told() -> None:
    rules: dict[str, list[Reply]] = {r"^APPEND .*\$odd": [b"TAG BAD Invalid flag\r\n"], "^APPEND": [b"TAG OK\r\n"]}
    with scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+") as (session, _):
        [result] = session.append(b"INBOX", [Outgoing(plain_mail(1), ("$odd", "\\Seen"))])
    assert result == Appended(None, altered=("keywords",))


def test_a_full_account_says_so_for_each_message_that_does_not_fit(
    start_dovecot: Callable[..., DovecotServer], open_account: Open
) -> None:
    server = start_dovecot(quota_mb=1)
    session = open_account(server, server.new_user().name)
    big = Outgoing(plain_mail(1, body=octets(600_000).hex().encode()))
    results = session.append(b"INBOX", [*outgoing(1), big, *outgoing(1)])
    assert [result.code for result in results] == ["", "OVERQUOTA", ""]


def test_a_missing_mailbox_is_told_before_hundreds_of_mails_are_sent(
    dovecot: DovecotServer, cyrus: CyrusServer, open_account: Open
) -> None:
    for server in (dovecot, cyrus):
        session = open_account(server, server.new_user().name)
        with pytest.raises(Refused, match="Not there") as caught:
            session.append(b"Not there", outgoing(300))
        assert caught.value.code == "TRYCREATE"
        assert session.create(b"Not there")
        assert all(result.error is None for result in session.append(b"Not there", outgoing(3)))


def test_a_server_that_cries_trycreate_of_a_message_is_seen_through() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"TAG OK\r\n", b"TAG NO [TRYCREATE] failed\r\n", b"TAG OK\r\n"]}
    with scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+") as (session, _):
        results = session.append(b"INBOX", outgoing(3))
    assert [result.error is None for result in results] == [True, False, True]


def test_small_literals_go_unasked_and_large_ones_wait_with_literal_minus() -> None:
    small, large = plain_mail(1), plain_mail(2, body=b"x" * 5000)
    with scripted_session({}, capabilities=b"IMAP4rev1 LITERAL- MULTIAPPEND") as (session, server):
        session.append(b"INBOX", [Outgoing(small), Outgoing(large)])
        [command] = server.commands("APPEND")
        assert f"{{{len(small)}+}}" in command
        assert f"{{{len(large)}}}" in command
        assert server.literals == [small, large]


def test_a_literal_that_is_refused_is_not_sent() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"TAG NO [TOOBIG] too big\r\n"]}
    with scripted_session(rules, capabilities=b"IMAP4rev1", wants_literals=False) as (session, server):
        [first, second] = session.append(b"INBOX", outgoing(2))
        assert (first.code, second.code) == ("TOOBIG", "TOOBIG")
        assert server.literals == []
        assert session.look() == []


def test_uids_of_a_batch_may_come_as_ranges() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"* 9 EXISTS\r\nTAG OK [APPENDUID 38505 3955,3960:3962] done\r\n"]}
    with scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS") as (session, _):
        assert [r.uid for r in session.append(b"INBOX", outgoing(4))] == [3955, 3960, 3961, 3962]
        assert [r.uid for r in session.append(b"INBOX", outgoing(3))] == [None, None, None]


def test_a_connection_that_dies_tells_what_is_stored() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"TAG OK [APPENDUID 7 1]\r\n", b"TAG NO no\r\n", HANG_UP]}
    plain = scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+")
    with plain as (session, _), pytest.raises(AppendInterrupted) as caught:
        session.append(b"INBOX", outgoing(5))
    assert caught.value.retryable
    assert [result.uid for result in caught.value.done] == [1, None]


def test_a_server_that_hangs_up_while_we_still_send_is_heard() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"* BYE enough of this\r\n" + HANG_UP]}
    plain = scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+")
    with plain as (session, _), pytest.raises(AppendInterrupted, match="enough of this"):
        session.append(b"INBOX", outgoing(2))


def test_a_server_that_slows_us_down_is_not_a_refusal() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"TAG NO [LIMIT] slowly\r\n"]}
    with scripted_session(rules) as (session, _), pytest.raises(Throttled):
        session.append(b"INBOX", outgoing(2))


def test_a_server_that_slows_us_down_in_the_middle_does_not_make_us_forget_what_is_stored() -> None:
    rules: dict[str, list[Reply]] = {"^APPEND": [b"TAG OK\r\n", b"TAG NO Suggested Backoff Time: 5000 ms\r\n"]}
    plain = scripted_session(rules, capabilities=b"IMAP4rev1 LITERAL+")
    with plain as (session, _), pytest.raises(AppendInterrupted) as caught:
        session.append(b"INBOX", outgoing(3))
    assert len(caught.value.done) == 1
    assert caught.value.wait == 5.0


def test_mailboxes_of_any_name_are_made_subscribed_and_filled(
    start_dovecot: Callable[..., DovecotServer], open_account: Open
) -> None:
    server = start_dovecot(location="mdbox:~/mdbox")
    user = server.new_user()
    session = open_account(server, user.name)
    names = (*MAILBOX_NAMES, *DOTTED_NAMES)
    for name in names:
        assert session.create(encode_name(name))
        assert not session.create(encode_name(name))
        session.subscribe(encode_name(name))
        assert session.append(encode_name(name), outgoing(1))[0].error is None
    with server.open(user.name) as raw:
        assert set(raw.names("LSUB")) == set(names)
        assert all(len(raw.messages(name)) == 1 for name in names)


def test_a_role_is_given_where_the_server_can(dovecot: DovecotServer, cyrus: CyrusServer, open_account: Open) -> None:
    session = open_account(cyrus, cyrus.new_user().name)
    assert session.create(b"Weg", "\\Trash")
    assert session.create(b"Weg zwei", "\\Nonsense")
    assert {m.name: m.special_use for m in session.look()} == {"INBOX": None, "Weg": "\\Trash", "Weg zwei": None}
    session = open_account(dovecot, dovecot.new_user().name)
    assert session.create(b"Weg", "\\Trash")
    with pytest.raises(Refused):
        session.create(b"a//b")


def test_flags_are_set_and_added(dovecot: DovecotServer, open_account: Open) -> None:
    user = dovecot.new_user()
    session = open_account(dovecot, user.name)
    session.append(b"INBOX", outgoing(4))
    opened = session.select(b"INBOX")
    assert "\\*" in opened.permanent_flags
    session.store_flags([1, 2], ["\\Flagged", "$x"])
    session.store_flags([2, 3, 4], ["\\Draft"], add=True)
    assert list(session.flags()) == [
        (1, ("$x", "\\Flagged")),
        (2, ("$x", "\\Draft", "\\Flagged")),
        (3, ("\\Draft",)),
        (4, ("\\Draft", "\\Seen")),
    ]
