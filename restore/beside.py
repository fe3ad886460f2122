"""Deciding what is restored beside mail: annotations, and the rights of others. Pure, over a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from restore.model import Beside, Mapping, PlannedMailbox, RestorePlan, Survey
from restore.namespaces import split_namespaces
from restore.scripts import describe_script
from vault.model import Tree

_OWNERS = {"owner", "administrators"}


def plan_beside(plan: RestorePlan, tree: Tree, survey: Survey, mapping: Mapping, beside: Beside) -> RestorePlan:
    """Add to a plan what its mailboxes get beside mail, and what they won't.

    Somebody who looks for single messages wants nothing else changed.
    """
    if plan.filters.of_messages:
        return plan
    acl = beside.acl and "acl" in survey.keeps
    metadata = beside.metadata and "metadata" in survey.keeps
    whole = not (plan.filters.mailboxes or mapping.into)
    of_server = (tree.metadata or ()) if beside.metadata and whole else ()
    to_server = of_server if "server metadata" in survey.keeps else ()
    lost = of_server != to_server
    return replace(
        plan,
        mailboxes=tuple(
            replace(
                planned,
                acl=others(planned, plan.account) if acl else (),
                metadata=planned.source.metadata if metadata else (),
            )
            for planned in plan.mailboxes
        ),
        metadata=to_server,
        lost=(*_lost(plan, survey, beside), *(["the target keeps no annotations of a server"] if lost else [])),
        left_out=(*_left_out(plan, beside), *_not_own(tree, beside), *_scripts(tree, beside)),
    )


def others(planned: PlannedMailbox, account: str) -> tuple[tuple[str, str], ...]:
    """Return the rights of everybody but the owner, who has his own wherever the mailbox is."""
    owners = _OWNERS | {account.casefold(), account.partition("@")[0].casefold()}
    return tuple((one, rights) for one, rights in planned.source.acl if one.casefold() not in owners)


def _lost(plan: RestorePlan, survey: Survey, beside: Beside) -> Iterator[str]:
    annotated = sum(bool(planned.source.metadata) for planned in plan.mailboxes)
    shared = sum(bool(others(planned, plan.account)) for planned in plan.mailboxes)
    if beside.metadata and annotated and "metadata" not in survey.keeps:
        yield f"the target keeps no annotations: {_mailboxes(annotated)} had some"
    if beside.acl and shared and "acl" not in survey.keeps:
        yield f"the target keeps no access lists: {_mailboxes(shared)} had one"


def _mailboxes(number: int) -> str:
    return f"{number} mailbox" + "es" * (number != 1)


def _left_out(plan: RestorePlan, beside: Beside) -> Iterator[str]:
    for planned in plan.mailboxes:
        rights = ", ".join(f"{one} {rights}" for one, rights in others(planned, plan.account))
        if rights and not beside.acl:
            yield f"rights in {planned.source.name}: {rights} (--with-acl gives them)"


def _not_own(tree: Tree, beside: Beside) -> Iterator[str]:
    _, others = split_namespaces(tree)
    if others and not beside.shared:
        names = ", ".join(mailbox.name for mailbox in others)
        yield f"mailboxes that are not the account's own: {names} (--with-shared restores them)"


def _scripts(tree: Tree, beside: Beside) -> Iterator[str]:
    if tree.scripts and not beside.scripts:
        names = ", ".join(script.name for script in tree.scripts)
        yield f"Sieve scripts: {names} (--sieve URL restores them, inactive)"


def describe_beside(plan: RestorePlan) -> Iterator[str]:
    """Yield what a dry run says of it."""
    for planned in plan.mailboxes:
        if planned.metadata:
            yield f"annotations of {planned.name}: {', '.join(entry for entry, _ in planned.metadata)}"
        if planned.acl:
            yield f"rights in {planned.name}: {', '.join(f'{one} {rights}' for one, rights in planned.acl)}"
    if plan.metadata:
        yield f"annotations of the server: {', '.join(entry for entry, _ in plan.metadata)}"
    yield from map(describe_script, plan.scripts)
    yield from (f"lost: {what}" for what in plan.lost)
    yield from (f"left out: {what}" for what in plan.left_out)
