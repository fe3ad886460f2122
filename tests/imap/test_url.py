"""Source and target URLs as the command line documents them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap.errors import BadUrl
from imap.model import Endpoint
from imap.url import parse_url
from tests.secret import new_secret

PIN = "ab" * 32


@pytest.mark.parametrize(
    "url, endpoint",
    [
        ("imaps://anna@mail.test", Endpoint("mail.test", 993, "anna")),
        ("IMAPS://anna@Mail.Test:1993/", Endpoint("mail.test", 1993, "anna")),
        ("imap://anna@mail.test", Endpoint("mail.test", 143, "anna", tls="starttls")),
        ("imap://anna@mail.test?tls=off", Endpoint("mail.test", 143, "anna", tls="off")),
        ("imaps://alice@a.test@mail.test", Endpoint("mail.test", 993, "alice@a.test")),
        ("imaps://alice%40a.test@mail.test", Endpoint("mail.test", 993, "alice@a.test")),
        ("imaps://j%C3%B6rg%3Ax@[::1]:99", Endpoint("::1", 99, "jörg:x")),
        ("imaps://a@h?ca=/etc/my%20ca.pem", Endpoint("h", 993, "a", ca="/etc/my ca.pem")),
        (f"imaps://a@h?fingerprint=SHA256:{PIN.upper()}", Endpoint("h", 993, "a", fingerprint=PIN)),
        ("imaps://m@h?as=bo@a.test", Endpoint("h", 993, "m", acting_as="bo@a.test")),
        ("imaps://m@h?as=bo&master=*", Endpoint("h", 993, "m", acting_as="bo", master_form="*")),
    ],
)
def test_a_url_names_an_account_on_a_server(url: str, endpoint: Endpoint) -> None:
    assert parse_url(url) == endpoint


@pytest.mark.parametrize(
    "url, words",
    [
        ("", "not an IMAP URL"),
        ("nntp://a@h", "not an IMAP URL"),
        ("imaps://mail.test", "names no user"),
        ("imaps://@mail.test", "names no user"),
        ("imaps://anna@", "names no host"),
        ("imaps://anna@h:0", "port"),
        ("imaps://anna@h:65536", "port"),
        ("imaps://anna@h:x", "names no host"),
        ("imaps://anna@h/INBOX", "path"),
        ("imaps://anna@h?tls=off", "wants TLS and no TLS"),
        ("imap://anna@h?tls=maybe", "tls=maybe"),
        ("imaps://anna@h?cert=x", "'cert'"),
        ("imaps://anna@h?ca=", "without a value"),
        ("imaps://anna@h?fingerprint=abc", "not a SHA-256"),
        ("imaps://anna@h?master=*", "master="),
        ("imaps://an%ffna@h", "not UTF-8"),
        ("imaps://an%0Ana@h", "control character"),
    ],
)
def test_a_url_that_can_not_be_meant_is_refused_with_a_hint(url: str, words: str) -> None:
    with pytest.raises(BadUrl, match=words) as caught:
        parse_url(url)
    assert caught.value.hint


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    secret = new_secret()
    with pytest.raises(BadUrl, match="holds a password") as caught:
        parse_url(f"imaps://anna:{secret}@mail.test")
    assert secret not in f"{caught.value} {caught.value.hint}"
    assert "RESTANTE_SOURCE_PASSWORD_FILE" in caught.value.hint


@given(st.text())
def test_any_text_is_a_url_or_a_bad_url(text: str) -> None:
    for url in (text, f"imaps://{text}", f"imaps://a@{text}", f"imap://{text}@h"):
        try:
            parse_url(url)
        except BadUrl as error:
            assert error.hint  # noqa: PT017  # either outcome is right; this one must help
