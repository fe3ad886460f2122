"""Where mailboxes go, decided without any server."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore import Beside, Filters, Mapping, describe_plan
from restore.model import RestorePlan, Survey, TargetMailbox
from restore.plan import other_names, plan_restore, source_levels, target_name
from vault.ids import AccountId, BlobId, SnapshotId
from vault.model import Mailbox, Snapshot, Tree

SNAPSHOT = Snapshot(
    id=SnapshotId("s1"), account="anna", account_id=AccountId("0" * 32), time="2026-01-01T00:00:00Z", status="complete",
    tree=BlobId(b"\0" * 16), mailboxes=0, messages=0, octets=0, sequence=1, previous="",
)  # fmt: skip


def box(name: str, use: str | None = None, **more: object) -> Mailbox:
    return Mailbox(name=name, raw=name.encode(), delimiter="/", special_use=use, **{"messages": 1, **more})  # type: ignore[arg-type]


def survey(**uses: str | None) -> Survey:
    return Survey(tuple(TargetMailbox(tuple(name.split("/")), use) for name, use in uses.items()))


def plan(
    *boxes: Mailbox,
    at: Survey | None = None,
    filters: Filters | None = None,
    mapping: Mapping | None = None,
    prefix: str = "",
) -> RestorePlan:
    tree = Tree(boxes, prefix)
    return plan_restore(SNAPSHOT, tree, "eml:/x", at or Survey(), filters or Filters(), mapping or Mapping())


def places(found: RestorePlan) -> dict[str, str]:
    return {planned.source.name: planned.name for planned in found.mailboxes}


def test_inbox_comes_first_junk_and_trash_last() -> None:
    found = plan(box("Trash", "\\Trash"), box("Archive"), box("Empty", messages=0), box("INBOX"), box("Spam", "\\Junk"))
    assert [planned.name for planned in found.mailboxes] == ["INBOX", "Archive", "Empty", "Spam", "Trash"]


def test_a_role_leads_to_the_targets_mailbox_for_it() -> None:
    found = plan(box("Sent", "\\Sent"), at=survey(Gesendet="\\Sent", Sent=None))
    assert places(found) == {"Sent": "Gesendet"}
    assert not found.mailboxes[0].create


def test_two_mailboxes_of_one_role_that_the_target_has_too_stay_two() -> None:
    both = (box("Sent", "\\Sent"), box("Sent Messages", "\\Sent"))
    assert places(plan(*both, at=survey(**{"Sent": "\\Sent", "Sent Messages": "\\Sent"}))) == {
        "Sent": "Sent", "Sent Messages": "Sent Messages",
    }  # fmt: skip
    assert places(plan(*both, at=survey(Sent="\\Sent"))) == {"Sent": "Sent", "Sent Messages": "Sent Messages"}


def test_only_one_mailbox_takes_a_role_that_the_target_names_otherwise() -> None:
    found = plan(box("Sent", "\\Sent"), box("Sent Messages", "\\Sent"), at=survey(Gesendet="\\Sent"))
    assert places(found) == {"Sent": "Gesendet", "Sent Messages": "Sent Messages"}


def test_a_filter_does_not_change_where_a_mailbox_goes() -> None:
    both = (box("Sent", "\\Sent"), box("Sent Messages", "\\Sent"))
    alone = plan(*both, at=survey(Gesendet="\\Sent"), filters=Filters(mailboxes=("sent messages",)))
    assert places(alone) == {"Sent Messages": "Sent Messages"}


def test_mailboxes_that_meet_are_named() -> None:
    found = plan(box("Sent", "\\Sent"), box("Gesendet"), box("Plans"), box("plans"), at=survey(Gesendet="\\Sent"))
    reasons = {planned.source.name: planned.reason for planned in found.mailboxes}
    assert "together with Gesendet" in reasons["Sent"] or "together with Sent" in reasons["Gesendet"]
    assert "differs only in letter case from Plans" in reasons["plans"]


def test_mapping_into_the_inbox_means_the_inbox() -> None:
    assert plan(box("Old"), mapping=Mapping((("Old", "inbox"),))).mailboxes[0].levels == ("INBOX",)
    assert places(plan(box("A/b"), mapping=Mapping(into="inbox/old"))) == {"A/b": "INBOX/old/A/b"}


@pytest.mark.parametrize(
    "old, new, place",
    [
        ("Old/*", "New/*", "New/Plans/2024"),
        ("old/plans/2024", "P", "P"),
        ("*/2024", "2024/*", "2024/Old/Plans"),
        ("Old/*/*", "*-*", "Plans-2024"),
        ("Old/*", "/", "Old/Plans/2024"),
        ("Other/*", "New/*", "Old/Plans/2024"),
    ],
)
def test_a_renaming_puts_what_each_star_matched(old: str, new: str, place: str) -> None:
    assert places(plan(box("Old/Plans/2024"), mapping=Mapping(((old, new),)))) == {"Old/Plans/2024": place}


def test_the_first_renaming_that_fits_wins() -> None:
    both = Mapping((("Old/*", "First/*"), ("Old/Plans", "Second")))
    assert places(plan(box("Old/Plans"), mapping=both)) == {"Old/Plans": "First/Plans"}


def test_a_glob_may_be_a_name_with_brackets() -> None:
    found = plan(
        box("(brackets) [x]"), box("(brackets) x"), box("Other"), filters=Filters(mailboxes=("(brackets) [x]",))
    )
    assert set(places(found)) == {"(brackets) [x]", "(brackets) x"}


def test_what_holds_no_messages_of_its_own_is_not_planned() -> None:
    found = plan(box("A", attributes=("\\Noselect",)), box("A/b"), filters=Filters(subject="x"))
    assert set(places(found)) == {"A/b"}


def test_a_personal_prefix_is_taken_off_and_put_on() -> None:
    sent = Mailbox(name="INBOX.Sent", raw=b"INBOX.Sent", delimiter=".")
    assert source_levels(sent, "INBOX.") == ("Sent",)
    assert target_name(("Sent",), "INBOX.", ".") == ("INBOX.Sent", False)
    assert target_name(("INBOX",), "INBOX.", ".") == ("INBOX", False)
    assert target_name(("INBOX", "Sent"), "INBOX.", ".") == ("INBOX.Sent", False)


def test_only_a_name_that_holds_the_delimiter_is_escaped() -> None:
    assert target_name(("v1.2 plan",), "", ".") == ("v1%2E2 plan", True)
    assert target_name(("50%2E off", "v1"), "", "/") == ("50%2E off/v1", False)
    assert target_name(("v1%2E.2",), "", ".") == ("v1%252E%2E2", True)


def test_a_dry_run_says_each_mailbox_in_a_line() -> None:
    found = plan(box("Sent", "\\Sent", subscribed=True), box("Old", messages=7), at=survey(Gesendet="\\Sent"))
    assert list(describe_plan(found)) == [
        "Sent → Gesendet: up to 1 messages (exists, subscribe, the target's mailbox for \\Sent)",
        "Old → Old: 7 messages (create)",
    ]


LEVEL = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
NAMES = st.lists(st.sampled_from(["INBOX", "Sent", "Sent Messages", "Gesendet", "sent", "A/b", "Trash"]), unique=True)
USES = st.sampled_from([None, "\\Sent", "\\Trash"])


@given(st.lists(LEVEL, min_size=1, max_size=4), st.sampled_from("/.^"))
def test_names_for_when_the_plain_one_is_refused_lead_back_to_its_levels(levels: list[str], delimiter: str) -> None:
    for written in other_names(levels, "", delimiter):
        assert [unquote(part.replace("=", "%")) for part in written.split(delimiter)] == levels


def test_the_first_of_them_holds_nothing_that_cyrus_courier_or_gmail_refuses() -> None:
    first = next(other_names(("100% {x}", "🎉  Ü"), "INBOX.", "."))
    assert first == "INBOX.100=25 =7Bx=7D.=F0=9F=8E=89 =20Ü"


def test_the_others_differ_from_it_without_letter_case_too_and_in_the_first_level_last() -> None:
    assert list(other_names(("Files", "2024"), "", "/")) == ["Files/2024", "Files/=32024", "=46iles/2024"]


@given(st.lists(LEVEL, min_size=1, max_size=4), st.sampled_from("/.^"))
def test_no_level_of_a_name_becomes_two(levels: list[str], delimiter: str) -> None:
    name, escaped = target_name(levels, "", delimiter)
    assert len(name.split(delimiter)) == len(levels) or tuple(levels) == ("INBOX",)
    assert escaped == any(delimiter in level for level in levels)


@given(
    NAMES.flatmap(lambda names: st.tuples(*(st.builds(box, st.just(name), USES) for name in names))), NAMES, st.data()
)
def test_a_plan_made_after_its_restore_puts_all_where_it_lies(
    boxes: tuple[Mailbox, ...], there: list[str], data: st.DataObject
) -> None:
    before = Survey(tuple(TargetMailbox(tuple(name.split("/")), data.draw(USES)) for name in there))
    first = plan(*boxes, at=before)
    made = [TargetMailbox(p.levels, p.special_use) for p in first.mailboxes if p.create]
    again = plan(*boxes, at=Survey((*before.mailboxes, *made)))
    assert places(again) == places(first)
    assert not any(planned.create for planned in again.mailboxes)


def test_a_shared_mailbox_never_comes_to_a_place_of_the_accounts_own() -> None:
    theirs = box("Public/News", namespace="shared", namespace_prefix="Public/")
    tree = Tree((box("News"), box("shared/News"), theirs))
    found = plan_restore(SNAPSHOT, tree, "eml:/x", Survey(), Filters(), Mapping(), Beside(shared=True))
    assert places(found) == {"News": "News", "shared/News": "shared/News", "Public/News": "Shared_/News"}
    left = plan_restore(SNAPSHOT, tree, "eml:/x", Survey(), Filters(), Mapping())
    assert places(left).keys() == {"News", "shared/News"}
    assert "Public/News" in left.left_out[0]


def test_a_shared_mailboxs_role_leads_nowhere() -> None:
    theirs = box("Public/Sent", "\\Sent", namespace="shared", namespace_prefix="Public/")
    at = survey(Gesendet="\\Sent")
    found = plan_restore(SNAPSHOT, Tree((theirs,)), "eml:/x", at, Filters(), Mapping(), Beside(shared=True))
    assert places(found) == {"Public/Sent": "Shared/Sent"}
