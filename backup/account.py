"""One account's backup: look, plan, read each mailbox, say what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import msgspec

from backup.budget import Allowance, Budget
from backup.draft import MailboxDraft, bare_mailbox, moved_mailbox, with_belongings
from backup.links import Links, numbering
from backup.model import AccountReport, BackupOptions, Outcome, SourceAccount
from backup.patience import Interrupted, PatientSession
from backup.plan import MailboxPlan, SyncPlan, count_alarm, plan_connections, plan_sync, untold
from backup.scripts import ScriptReader
from backup.sync import Reading, Tally, WindowReader, open_mailbox
from backup.windows import Work, isolate, read_mailboxes
from imap.belongings import SERVER, Belongings
from imap.errors import ImapError
from imap.model import ListedMailbox
from imap.pop import Numbering, open_pop
from imap.session import open_session
from imap.source import SourceSession
from vault.clock import Progress
from vault.columns import ColumnError
from vault.errors import Damage
from vault.filler import Filler
from vault.ids import ObjectName, SnapshotId
from vault.model import Failure, Mailbox, SieveScript, Snapshot, Tree
from vault.vault import Standing, Vault
from vault.writer import SnapshotDraft


class AccountRun:
    """One account under way. `run` reads it in one thread; `capture` may be called from another at any time."""

    def __init__(
        self,
        source: SourceAccount,
        vault: Vault,
        writer: Filler,
        options: BackupOptions,
        progress: Progress,
        stop: threading.Event,
        *,
        budget: Budget | None = None,
        wary: bool = False,
    ) -> None:
        self.source = source
        self._vault = vault
        self._writer = writer
        self._options = options
        self._progress = progress
        self._stop = stop
        self._wary = wary
        self._allowance = Allowance(budget, self._octets_in)
        self._tally = Tally()
        self._lock = threading.Lock()
        self._plan = SyncPlan((), ())
        self._drafts: dict[bytes, MailboxDraft] = {}
        self._failures: list[Failure] = []
        self._sessions: list[PatientSession] = []
        self._previous: Snapshot | None = None
        self._held_before = 0
        self._untold: tuple[str, ...] = ()
        self._tree: Tree | None = None
        self._distrusted: set[str] = set()
        self._hollow = False
        self._notes: tuple[str, ...] = ()
        self._prefix = ""
        self._belongings: dict[bytes, Belongings] = {}
        self._looked = False
        self._hint = ""
        self._scripts = ScriptReader(source, timeout=options.timeout_seconds)
        self._ended: Outcome | None = None
        self._captured: SnapshotDraft | None = None

    def run(self, checkpoint: Callable[[], None]) -> None:
        """Read the account to its end, or as far as possible; `checkpoint` is called now and then in between."""
        main = self._new_session()
        try:
            self._read_trusting(main, checkpoint)
            self._read_scripts()
        except Interrupted:
            self._ended = "interrupted"
        except ImapError as error:
            self._fail(error)
        finally:
            for session in self._sessions:
                session.close()
        self._ended = self._ended or self._outcome()

    def _read_scripts(self) -> None:
        """Read the account's Sieve scripts; where that fails, those of the last snapshot stay, and the rest is kept."""
        if self.source.sieve is not None and self._stop.is_set():
            raise Interrupted
        try:
            self._scripts.read()
        except ImapError as error:
            if self._stop.is_set():
                raise Interrupted from None
            self._fail(error)

    def abort(self) -> None:
        """Stop waiting for the server; called from another thread once `stop` is set."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.abort()
        self._scripts.abort()

    def _read_trusting(self, main: PatientSession, checkpoint: Callable[[], None]) -> None:
        """Read on from the last snapshot; where its tables are damaged, read everything again and write them anew."""
        try:
            self._load_previous()
            self._look(main)
            self._read_all(main, checkpoint)
        except (Damage, ColumnError) as error:
            self._distrust(error)
            with self._lock:
                self._drafts.clear()
                self._failures.clear()
            self._read_trusting(main, checkpoint)

    def _distrust(self, error: Damage | ColumnError) -> None:
        """Note what is not to be believed; raise the error where reading all anew would not help."""
        name = error.object_name if isinstance(error, Damage) else "a table"
        tree = self._previous.id if self._previous else ""
        if name in self._distrusted or not (isinstance(error, ColumnError) or name.startswith("meta/") or name == tree):
            raise error
        self._distrusted.add(name)
        if name.startswith("meta/"):
            self._vault.index.distrust(ObjectName(name))

    def _outcome(self) -> Outcome:
        if not self._looked:
            return "failed"
        return "partial" if self._all_failures() else "complete"

    def _load_previous(self) -> None:
        found = self._vault.newest(self._vault.ring.account_id(self.source.account))
        if found:
            self._previous = found.snapshot
            self._recall(found.snapshot)
            self._tree = None if self._distrusted else self._whole_tree(found)

    def _recall(self, newest: Snapshot) -> None:
        """Take up what runs noticed that did not come to their end, and compare with what stood before them."""
        self._held_before = newest.messages
        if newest.alarms or newest.status != "complete":
            shots = self._vault.snapshots(self.source.account)
            late = untold(shots, self._vault.last_named(newest.account_id))
            told = shots[: len(shots) - len(late)]
            self._untold = tuple(alarm for shot in late for alarm in shot.alarms)
            self._held_before = told[-1].messages if told else 0

    def _whole_tree(self, found: Standing) -> Tree | None:
        """Return a snapshot's tree; None where its mail is not all there, so that all is read and written anew."""
        wary = self._wary or found.late
        try:
            tree = self._vault.tree(found.snapshot)
            if not (wary or self._writer.vanished) or not self._is_hollow(tree):
                return tree
        except Damage as damage:
            if not wary or damage.object_name.startswith("meta/"):
                raise
        self._hollow = True
        return None

    def _is_hollow(self, tree: Tree) -> bool:
        """Whether the store lost mail of this account."""
        for mailbox in tree.mailboxes:
            if any(not self._writer.holds(row.blob) for row in self._vault.rows(mailbox)):
                return True
            for _ in self._vault.flags(mailbox):
                pass
        return False

    def _new_session(self) -> PatientSession:
        def connect() -> SourceSession:
            source, timeout = self.source, self._options.timeout_seconds
            if source.endpoint.protocol == "pop3":
                return open_pop(source.endpoint, source.login, self._numbering, timeout=timeout, pace=source.pace)
            return open_session(source.endpoint, source.login, timeout=timeout, pace=source.pace)

        session = PatientSession(connect, patience=self._options.patience_seconds, stop=self._stop)
        with self._lock:
            self._sessions.append(session)
        return session

    @cached_property
    def _numbering(self) -> Numbering:
        """The UIDs of a POP3 server's messages; one for all connections of the run."""
        return numbering(self._vault, self._vault.ring.account_id(self.source.account), self._tree)

    def _octets_in(self) -> int:
        with self._lock:
            return sum(session.octets_in for session in self._sessions)

    def _look(self, session: PatientSession) -> None:
        listing = session.run(lambda opened: opened.look(self.source.namespaces))
        self._notes = session.run(lambda opened: opened.notes)
        if not listing:
            hint = "nothing was changed in the vault; look at the server"
            raise ImapError("the server lists no mailbox at all, not even INBOX", hint=hint)
        self._prefix = self._find_prefix(session, listing)
        with self._lock:
            self._plan = plan_sync(self._tree, listing, self.source.exclude, self.source.only, self.source.namespaces)
            self._looked = True
            self._failures += [
                Failure(plan.listed.name, None, plan.reason)
                for plan in self._plan.mailboxes
                if plan.action == "unreadable"
            ]

    def _find_prefix(self, session: PatientSession, listing: Sequence[ListedMailbox]) -> str:
        """Return what stands before the user's own mailboxes; the server is asked only where the names suggest one."""
        below = [m for m in listing if m.delimiter and m.name.upper() != "INBOX" and not m.namespace]
        if not below or not all(m.name.upper().startswith(f"INBOX{m.delimiter}") for m in below):
            return ""
        if self._tree is not None and self._tree.prefix:
            return self._tree.prefix
        return session.run(lambda opened: opened.namespaces()).personal[0].prefix.decode("latin-1")

    def _read_all(self, main: PatientSession, checkpoint: Callable[[], None]) -> None:
        """Read each changed mailbox, over several connections where there is much to do."""
        changed = [plan for plan in self._plan.mailboxes if plan.action in ("read all", "catch up")]
        if not changed:
            return
        account = self._vault.ring.account_id(self.source.account)
        self._ask_belongings(main)
        kind = main.run(lambda session: session.server_id_kind)
        links = Links(self._vault, self._writer, account, kind, self._tree)
        reading = Reading(
            self.source.account,
            self._writer,
            links,
            self._progress,
            self._tally,
            self._allowance,
            stopped=self._stop.is_set,
        )
        helpers = [self._new_session() for _ in range(plan_connections(changed, self._connections) - 1)]
        read_mailboxes(main, helpers, Work(changed), partial(self._open, reading), checkpoint)
        links.settle([page for draft in self._drafts.values() for page in draft.pages])

    @property
    def _connections(self) -> int:
        if self.source.endpoint.protocol == "pop3":
            return 1  # a POP3 session has the mailbox to itself (RFC 1939 §4)
        return self.source.connections or self._options.connections

    def _ask_belongings(self, main: PatientSession) -> None:
        """Ask for access lists and annotations, of quiet mailboxes too: nothing else tells that they changed."""
        raws = [plan.listed.raw for plan in self._plan.mailboxes if plan.listed.status is not None]
        found = main.run(lambda session: session.belongings([SERVER, *raws]))
        with self._lock:
            self._belongings = found

    def _open(self, reading: Reading, session: PatientSession, plan: MailboxPlan) -> Sequence[WindowReader]:
        """Open a mailbox; return what is to be read of it."""
        draft = MailboxDraft(plan, self._writer)
        with self._lock:
            self._drafts[plan.listed.raw] = draft
        try:
            found = session.run(lambda opened: open_mailbox(opened, draft))
        except ImapError as error:
            isolate(draft, error)
            return ()
        return [WindowReader(draft, window, reading) for window in found]

    def _fail(self, error: ImapError) -> None:
        with self._lock:
            self._failures.append(Failure("", None, error.message))
            self._hint = error.hint

    def _all_failures(self) -> tuple[Failure, ...]:
        with self._lock:
            drafts, failures = list(self._drafts.values()), list(self._failures)
            waiting = [
                Failure(plan.listed.name, None, "the run ended before this mailbox was read")
                for plan in self._plan.mailboxes
                if plan.action in ("read all", "catch up") and plan.listed.raw not in self._drafts
            ]
        return (*failures, *(f for draft in drafts for f in draft.failures()), *waiting)

    def capture(self) -> SnapshotDraft | None:
        """Return the account's snapshot as it would be now; None where nothing changed since the last one."""
        if not self._looked:
            return None
        mailboxes = self._mailboxes()
        failures = self._all_failures()
        tree = Tree(
            tuple(sorted(mailboxes, key=lambda m: m.raw)), self._prefix, self._server_metadata(), self._known_scripts()
        )
        messages = sum(m.messages for m in mailboxes)
        draft = self._captured = SnapshotDraft(
            account=self.source.account,
            status="partial" if failures or self._ended not in ("complete", "partial") else "complete",
            tree=self._writer.add_meta(msgspec.json.encode(tree)),
            mailboxes=len(mailboxes),
            messages=messages,
            octets=sum(m.octets for m in mailboxes),
            failures=failures,
            alarms=self._alarms(messages),
        )
        return None if self._stands(draft) else draft

    def _alarms(self, messages: int) -> tuple[str, ...]:
        shrunk = count_alarm(self._held_before, messages + self._unread()) if self._ended else None
        damaged = (f"{name} is damaged; the account was read again from the start" for name in self._distrusted)
        hollow = ("the store lost mail of this account; all of it was read again",) if self._hollow else ()
        found = (*self._untold, *damaged, *hollow, *self._notes, *self._plan.alarms, *([shrunk] if shrunk else ()))
        return tuple(dict.fromkeys(found))

    def _unread(self) -> int:
        """Count what may still come of mailboxes that are being read again."""
        with self._lock:
            drafts = list(self._drafts.values())
        return sum(draft.unread for draft in drafts)

    def _stands(self, draft: SnapshotDraft) -> bool:
        before = self._previous
        return before is not None and (before.tree, before.status, before.failures) == (
            draft.tree,
            draft.status,
            draft.failures,
        )

    def _server_metadata(self) -> tuple[tuple[str, bytes], ...] | msgspec.UnsetType:
        known = self._tree.metadata if self._tree else msgspec.UNSET
        told = self._belongings.get(SERVER, Belongings()).metadata
        return known if told is None else told or msgspec.UNSET

    def _known_scripts(self) -> tuple[SieveScript, ...] | msgspec.UnsetType:
        known = self._tree.scripts if self._tree else msgspec.UNSET
        found = self._scripts.found
        return known if found is None else found or msgspec.UNSET

    def _mailboxes(self) -> list[Mailbox]:
        with self._lock:
            plans, drafts = self._plan.mailboxes, dict(self._drafts)
            told = dict(self._belongings)
        found = ((plan, self._mailbox(plan, drafts.get(plan.listed.raw))) for plan in plans)
        return [
            with_belongings(mailbox, plan.before, told.get(plan.listed.raw, Belongings()))
            for plan, mailbox in found
            if mailbox is not None
        ]

    def _mailbox(self, plan: MailboxPlan, draft: MailboxDraft | None) -> Mailbox | None:
        if draft is not None:
            return draft.mailbox()
        if plan.action == "name only":
            return bare_mailbox(plan.listed)
        # Not reached yet, unreadable or unchanged: what the last snapshot knew still stands.
        return moved_mailbox(plan.before, plan.listed) if plan.before else None

    def report(self, snapshot: SnapshotId | None) -> AccountReport:
        """Say what became of the account, as it was captured last; `snapshot` is the one that stands for it now."""
        captured = self._captured
        return AccountReport(
            account=self.source.account,
            status=self._ended or "interrupted",
            snapshot=snapshot or (self._previous.id if self._previous else None),
            mailboxes=captured.mailboxes if captured else 0,
            messages=captured.messages if captured else 0,
            octets=captured.octets if captured else 0,
            new_messages=self._tally.new,
            linked_messages=self._tally.linked,
            known_messages=self._tally.known,
            downloaded_octets=self._octets_in(),
            stored_octets=self._tally.share.octets,
            round_trips=sum(s.round_trips for s in self._sessions) + self._scripts.round_trips,
            failures=self._all_failures(),
            alarms=captured.alarms if captured else (),
            hint=self._hint,
            left_out=self._plan.left_out,
        )
