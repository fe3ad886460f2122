"""Messages are recognised after what servers do to them, and no two different ones are taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.fingerprint import body_fingerprint, entry_fingerprint, fingerprint, identity
from tests.corpus import MESSAGES, plain_mail
from vault.catalogue import decode_catalogue, describe, encode_catalogue
from vault.ids import BlobId
from vault.model import CatalogueEntry

VALUE = st.binary(min_size=1, max_size=40).map(lambda v: b"v" + v.replace(b"\r", b"").replace(b"\n", b"\r\n "))


def catalogued(octets: bytes) -> CatalogueEntry:
    return decode_catalogue(encode_catalogue([describe(BlobId(bytes(16)), [octets])]))[0]


@given(VALUE, VALUE, VALUE, VALUE)
def test_catalogue_and_server_know_a_message_by_the_same(
    ident: bytes, date: bytes, sender: bytes, subject: bytes
) -> None:
    fields = (b"Subject: " + subject, b"MESSAGE-ID:" + ident, b"From:  " + sender, b"date: " + date)
    octets = b"\r\n".join((b"X-Other: 1", *fields, b"", b"body\r\n"))
    header = b"\r\n".join((*fields, b"", b""))
    assert entry_fingerprint(catalogued(octets)) == fingerprint(octets) == fingerprint(header)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_hard_mail_is_known_by_its_catalogue_or_by_itself(name: str) -> None:
    mail = MESSAGES[name]
    found = entry_fingerprint(catalogued(mail))
    assert found in {None, identity(mail)}


def test_what_servers_do_to_octets_changes_no_fingerprint() -> None:
    mail = plain_mail(1, subject="Grüße").replace(b"Message-ID", b"X-No-ID")
    altered = mail.replace("ü".encode(), b"XX").replace("ß".encode(), b"XX").replace(b"\r\n", b"\n") + b"\n\n"
    status = altered.replace(b"Subject", b"Status: RO\nX-UID: 7\nX-Keywords:\n  a\nSubject")
    assert body_fingerprint(mail) == body_fingerprint(altered) == body_fingerprint(status)
    assert fingerprint(plain_mail(1, subject="Grüße")) == fingerprint(
        plain_mail(1, subject="Grüße").replace("ü".encode(), b"XX").replace("ß".encode(), b"\x80")
    )


def test_messages_of_nothing_but_blanks_stay_apart() -> None:
    assert len({identity(mail) for mail in (b" ", b"\r\n", b"\t\r\n")}) == 3
    assert identity(b" ") == identity(b" \r\n")


def test_a_body_that_looks_like_a_header_is_none() -> None:
    body = b"\r\n" + plain_mail(3)
    assert fingerprint(body) is None
    assert identity(body) != identity(b"\r\n" + plain_mail(3, body=b"other\r\n"))


def test_a_message_id_beyond_what_a_catalogue_reads_is_found() -> None:
    mail = b"X-Long: " + b"y" * 70_000 + b"\r\n" + plain_mail(4)
    header = mail[70_010:]
    assert entry_fingerprint(catalogued(mail)) is None
    assert identity(mail) == fingerprint(header)


def test_a_message_id_alone_makes_no_message_the_same() -> None:
    assert fingerprint(plain_mail(5)) != fingerprint(plain_mail(5, subject="another"))


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.translate(None, b"\r\n")), max_size=30), st.integers(1, 40)
)
def test_a_large_message_is_known_the_same_however_it_is_cut(lines: list[bytes], at_once: int) -> None:
    mail = b"Subject: s\r\n\r\nfirst\r\n" + b"\r\n".join(lines)
    whole = body_fingerprint(mail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("restore.fingerprint._AT_ONCE", at_once)
        assert body_fingerprint(mail) == whole
        assert body_fingerprint(mail.replace(b"\r\n", b"\n") + b"\n\n") == whole
        assert body_fingerprint(mail + b"more") != whole
