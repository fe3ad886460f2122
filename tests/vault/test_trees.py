"""What came into trees after version 1 was frozen: not written where there is none, skipped by who doesn't know it."""

from __future__ import annotations

import msgspec

from vault.model import Mailbox, SieveScript, Tree


class OldMailbox(msgspec.Struct, kw_only=True):
    """A mailbox as the first release read it, as far as this test goes."""

    name: str
    raw: bytes
    messages: int = 0


class OldTree(msgspec.Struct):
    """A tree as the first release read it."""

    mailboxes: tuple[OldMailbox, ...]
    prefix: str = ""


FULL = Tree(
    (
        Mailbox(
            name="Team",
            raw=b"Team",
            messages=3,
            acl=(("anyone", "lr"),),
            rights="lrs",
            metadata=(("/shared/comment", b"\xff"),),
            namespace="shared",
            namespace_prefix="Public/",
        ),
    ),
    "INBOX.",
    (("/shared/comment", b"all"),),
    (SieveScript("sort", b"keep;", active=True),),
)


def test_a_tree_without_anything_new_is_octet_for_octet_what_it_was() -> None:
    tree = Tree((Mailbox(name="INBOX", raw=b"INBOX", messages=1),))
    assert msgspec.json.encode(tree) == (b'{"mailboxes":[{"name":"INBOX","raw":"SU5CT1g=","messages":1}],"prefix":""}')


def test_an_older_reader_skips_what_it_does_not_know() -> None:
    old = msgspec.json.decode(msgspec.json.encode(FULL), type=OldTree)
    assert (old.mailboxes[0].name, old.mailboxes[0].messages, old.prefix) == ("Team", 3, "INBOX.")


def test_all_of_it_comes_back_as_the_page_says() -> None:
    octets = msgspec.json.encode(FULL)
    assert msgspec.json.decode(octets, type=Tree) == FULL
    document = msgspec.json.decode(octets)
    assert document["scripts"] == [{"name": "sort", "text": "a2VlcDs=", "active": True}]
    assert document["metadata"] == [["/shared/comment", "YWxs"]]
    (box,) = document["mailboxes"]
    assert {key: box[key] for key in ("acl", "rights", "metadata", "namespace", "namespace_prefix")} == {
        "acl": [["anyone", "lr"]],
        "rights": "lrs",
        "metadata": [["/shared/comment", "/w=="]],
        "namespace": "shared",
        "namespace_prefix": "Public/",
    }
