"""What a server may say before anybody has logged in: a session, or one clear error."""

from __future__ import annotations

from contextlib import suppress

import pytest

from imap.errors import ImapError
from imap.model import Login
from imap.session import open_session
from tests.fuzz.grammar import SPOILERS
from tests.imap.scripted import HANG_UP, PASSWORD, Reply, Script, scripted

GREETINGS = [
    b"* OK {99999999999999}\r\n",
    b"* OK {99999999999999999999999}\r\n",
    b"* OK {" + b"9" * 5000 + b"}\r\n",
    b"* OK {4000000000}\r\nabc",
    b"* OK " + b"x" * 2_000_000 + b"\r\n",
    b"* OK [CAPABILITY IMAP4rev1 \xb2 APPENDLIMIT=\xb2 AUTH=] hi\r\n",
    b"* OK [CAPABILITY " + b"X " * 400_000 + b"] hi\r\n",
    b"* OK\r\n* BYE\r\n",
    b"* OK \0\xff\r\n* 9 EXISTS\r\nR1 OK early\r\n",
    b"R1 OK\r\n",
    b"+ OK\r\n",
    b"\r\n",
    b"* 9 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n",
    b"* PREAUTH in already\r\n",
]


@pytest.mark.parametrize("greeting", [*GREETINGS, *SPOILERS], ids=range(len(GREETINGS) + len(SPOILERS)))
@pytest.mark.parametrize("end", [b"", HANG_UP])
def test_no_greeting_breaks_us(greeting: bytes, end: bytes) -> None:
    rules: dict[str, list[Reply]] = {"CAPABILITY": [b"* CAPABILITY IMAP4rev1\r\nTAG OK\r\n"]}
    with scripted(Script(rules, greeting + end)) as server, suppress(ImapError):
        open_session(server.endpoint(), Login(lambda: PASSWORD), timeout=0.3).close()


@pytest.mark.parametrize("answer", SPOILERS, ids=range(len(SPOILERS)))
@pytest.mark.parametrize("where", ["^CAPABILITY", "^LOGIN", "^ENABLE", "^ID"])
def test_no_answer_before_the_first_mailbox_breaks_us(where: str, answer: bytes) -> None:
    rules: dict[str, list[Reply]] = {where: [answer + b"TAG OK\r\n" + HANG_UP]}
    capabilities = b"IMAP4rev1 ENABLE CONDSTORE ID"
    greeting = b"* OK hi\r\n" if "CAPA" in where else b"* OK [CAPABILITY " + capabilities + b"] hi\r\n"
    with scripted(Script(rules, greeting, capabilities)) as server, suppress(ImapError):
        open_session(server.endpoint(), Login(lambda: PASSWORD), timeout=0.3).close()
