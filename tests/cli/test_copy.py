"""`restante copy`, replicas of the configuration, and `check --repair-from`, as an administrator uses them."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backup.turns import Turns
from restante.history import History
from restante.kinds import Task, run_task
from restante.wiring import Wiring
from tests.cli.command import Command, assert_one_error
from tests.corpus import plain_mail
from tests.secret import keep_secret, new_secret
from tests.servers import RcloneS3
from tests.vault.archive import SMALL, draft_of
from tests.vaults.damages import DAMAGES, Objects, flip, largest
from vault.clock import SystemClock
from vault.errors import VaultError
from vault.keyring import export_key, init_vault
from vault.slots import KeyFile, Passphrase
from vault.stores.local import LocalStore
from vault.vault import open_vault
from vault.writer import VaultWriter

CONFIG = """\
vault: {{url: "file://{here}", key_file: backup.key}}
replicas:
  - {{name: offsite, url: "{there}"{more}}}
jobs:
  - {{name: mirror, does: copy, schedule: {{every: 1h}}}}
"""


@dataclass
class Sites:
    """A vault, a place for its copy, and the command with the backup-only key."""

    command: Command
    passphrase: str

    @property
    def here(self) -> Path:
        return self.command.cwd / "here"

    @property
    def there(self) -> Path:
        return self.command.cwd / "there"

    def backup(self, *numbers: int) -> None:
        store = LocalStore(self.here)
        vault = open_vault(store, KeyFile((self.command.cwd / "backup.key").read_bytes()))
        writer = VaultWriter(vault, store, clock=SystemClock(), limits=SMALL)
        for account in ("anna", "bert"):
            draft = draft_of(vault, writer, account, {n: plain_mail(n) for n in numbers}, "complete")
            writer.flush()
            snapshot = writer.write_snapshot(draft)
            writer.write_run(SystemClock().now(), [(account, snapshot.id, "complete")])
        writer.close()
        vault.close()

    def configure(self, there: str = "", more: str = "") -> None:
        text = CONFIG.format(here=self.here, there=there or f"file://{self.there}", more=more)
        (self.command.cwd / "restante.yaml").write_text(text)

    def checked(self, url: str, **env: str) -> None:
        secret = {"RESTANTE_KEY_FILE": "", "RESTANTE_PASSPHRASE": self.passphrase}
        out = self.command.with_(**secret, **env).well("check", "--read", "--vault", url).out
        assert "No damage found." in out

    def largest_pack(self) -> Path:
        return largest([path for path in (self.here / "packs").rglob("*") if path.is_file()])

    def files(self, place: Path) -> dict[str, bytes]:
        return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}


@pytest.fixture
def sites(command: Command) -> Sites:
    made = Sites(command, new_secret())
    store = LocalStore(made.here)
    keep_secret(init_vault(store, made.passphrase))
    (command.cwd / "backup.key").write_bytes(export_key(store, Passphrase(made.passphrase), backup_only=True))
    made.configure()
    made.backup(1, 2, 3)
    made.backup(1, 2, 3, 4)
    return made


def test_a_copy_is_made_told_checked_and_restored_from(sites: Sites) -> None:
    planned = sites.command.well("copy", "--dry-run", "--json").document
    assert not sites.there.exists()
    assert planned["objects"] == len(sites.files(sites.here))
    told = sites.command.well("copy", "--json").document
    assert told == {
        "status": "complete", "to": f"file://{sites.there}", "copied": planned["objects"], "bytes": planned["bytes"],
        "skipped": 0, "damage": [], "lag_seconds": 0.0,
    }  # fmt: skip
    assert sites.files(sites.there) == sites.files(sites.here)
    assert "0 objects copied" in sites.command.well("copy", "--to", "offsite").out
    sites.checked(f"file://{sites.there}")
    secret = {"RESTANTE_KEY_FILE": "", "RESTANTE_PASSPHRASE": sites.passphrase}
    shutil.rmtree(sites.here)
    place = sites.command.cwd / "mail"
    sites.command.with_(**secret).well("restore", "anna", "--to", f"eml:{place}", "--vault", f"file://{sites.there}")
    assert sorted(p.read_bytes() for p in place.rglob("*.eml")) == sorted(plain_mail(n) for n in (1, 2, 3, 4))


def test_a_copy_to_s3_has_credentials_of_its_own(sites: Sites, s3: RcloneS3) -> None:
    (s3.data / "second").mkdir(exist_ok=True)
    url = f"s3://second/{sites.command.cwd.name}?endpoint_url={s3.endpoint}&region=us-east-1&patience=5"
    sites.configure(url, ", access_key_env: OFFSITE_ACCESS, secret_key_env: OFFSITE_SECRET")
    keys = {"OFFSITE_ACCESS": s3.access_key, "OFFSITE_SECRET": s3.secret_key, "AWS_EC2_METADATA_DISABLED": "true"}
    assert_one_error(sites.command("copy"), 2, "S3 access key", "OFFSITE_ACCESS")
    sites.command.with_(**keys).well("copy")
    sites.backup(1, 5)
    told = sites.command.with_(**keys).well("copy", "--json").document
    assert told["copied"] > 0
    assert told["skipped"] > 0
    sites.checked(url, **s3.environment)
    sites.configure(url, ", profile: offsite")
    assert_one_error(sites.command.with_(**keys)("copy"), 3, "profile", "offsite")
    (sites.command.cwd / "home" / ".aws").mkdir()
    profile = f"[offsite]\naws_access_key_id = {s3.access_key}\naws_secret_access_key = {s3.secret_key}\n"
    (sites.command.cwd / "home" / ".aws" / "credentials").write_text(profile)
    assert "0 objects copied" in sites.command.well("copy").out
    flip(sites.largest_pack(), 60)
    sites.command.well("check", "--read", "--repair-from", "offsite")
    sites.checked(f"file://{sites.here}")


def test_damage_here_is_named_and_stays_here(sites: Sites) -> None:
    victim = sites.largest_pack()
    flip(victim, 60)
    outcome = sites.command("copy", "--json")
    assert outcome.code == 4
    assert [found["object"] for found in outcome.document["damage"]] == [str(victim.relative_to(sites.here))]
    assert not (sites.there / victim.relative_to(sites.here)).exists()


def test_where_to_copy_must_be_told_and_be_another_place(sites: Sites) -> None:
    assert_one_error(sites.command("copy", "--to", "ofsite"), 2, "no replica is called ofsite")
    assert_one_error(sites.command("copy", "--to", f"file://{sites.here}/"), 2, "is the vault itself")
    bare = sites.command.with_(RESTANTE_KEY_FILE="backup.key")
    (sites.command.cwd / "restante.yaml").unlink()
    assert_one_error(bare("copy", "--vault", f"file://{sites.here}"), 2, "where to copy")
    keep_secret(init_vault(LocalStore(sites.there), new_secret()))
    before = sites.files(sites.there)
    foreign = bare("copy", "--vault", f"file://{sites.here}", "--to", f"file://{sites.there}")
    assert_one_error(foreign, 3, "another vault")
    repair = ("check", "--vault", f"file://{sites.here}", "--repair-from", f"file://{sites.there}")
    bare.well(*repair)
    flip(next(p for p in (sites.here / "runs").iterdir()), 40)
    assert_one_error(bare(*repair), 3, "another vault")
    assert sites.files(sites.there) == before


def test_a_job_copies_to_all_replicas_whatever_becomes_of_one(sites: Sites) -> None:
    config = sites.command.cwd / "restante.yaml"
    wiring = Wiring(config, None)
    assert wiring.loaded is not None
    (job,) = wiring.loaded.config.jobs
    task = Task(wiring, job, History({}, {}, {}, None), Turns(1), threading.Event(), SystemClock())
    result = run_task(task)
    assert result.status == "complete"
    assert result.figures["copied_objects"] == len(sites.files(sites.here))
    assert result.figures["lag_seconds"] == 0
    assert run_task(task).figures["copied_objects"] == 0
    wiring.close()
    shutil.rmtree(sites.there)
    taken = sites.command.cwd / "taken"
    keep_secret(init_vault(LocalStore(taken), new_secret()))
    config.write_text(
        config.read_text()
        .replace("jobs:", "")
        .replace("replicas:", f"replicas:\n  - {{name: taken, url: 'file://{taken}'}}")
        .replace("  - {name: mirror", "jobs:\n  - {name: mirror")
    )
    wiring = Wiring(config, None)
    with pytest.raises(VaultError, match="another vault"):
        run_task(replace(task, wiring=wiring))
    wiring.close()
    assert sites.files(sites.there) == sites.files(sites.here)


@pytest.mark.parametrize(
    "more, message",
    [
        (", profile: x, access_key_env: A, secret_key_env: B", "are both set"),
        (", access_key_env: A", "go together"),
    ],
)
def test_credentials_that_can_not_be_meant_are_faults(sites: Sites, more: str, message: str) -> None:
    sites.configure(more=more)
    assert_one_error(sites.command("config", "check"), 2, message)


def test_a_copy_job_without_replicas_is_a_fault(sites: Sites) -> None:
    config = sites.command.cwd / "restante.yaml"
    config.write_text("vault: {url: 'file:///x'}\njobs:\n  - {name: mirror, does: copy}\n")
    assert_one_error(sites.command("config", "check"), 2, "no replica to copy to")


@pytest.mark.parametrize("kind", sorted(set(DAMAGES) - {"other-things"}))
def test_every_kind_of_damage_is_healed_from_the_copy(sites: Sites, kind: str) -> None:
    sites.command.well("copy")
    before = sites.files(sites.here)
    _, damage = DAMAGES[kind]
    (sites.command.cwd / "vault").symlink_to(sites.here)
    damage(Objects(sites.command.cwd))
    assert sites.files(sites.here) != before
    outcome = sites.command("check", "--read", "--repair-from", "offsite", "--json")
    assert outcome.code == 0, outcome
    assert outcome.document["damage"] == []
    assert outcome.document["repairs"]
    assert all(one["repaired"] for one in outcome.document["repairs"])
    assert sites.files(sites.here) == before


def test_what_is_damaged_at_both_sites_is_said_to_be_so(sites: Sites) -> None:
    sites.command.well("copy")
    run = next((sites.here / "runs").iterdir())
    flip(run, 40)
    flip(sites.there / "runs" / run.name, 40)
    damaged = run.read_bytes()
    outcome = sites.command("check", "--repair-from", "offsite")
    assert outcome.code == 4
    assert f"not repaired: runs/{run.name}: it is damaged in the copy too" in outcome.out
    assert run.read_bytes() == damaged
