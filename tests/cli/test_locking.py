"""`vault.object_lock` from `init` to `prune`, in a bucket that has Object Lock and in places that don't."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command, assert_one_error
from tests.corpus import plain_mail
from tests.secret import keep_secret, new_secret
from tests.servers import DovecotServer, MiniStack, deliver


@dataclass
class Site:
    """A mail server's account, a bucket, a configuration, and the command."""

    command: Command
    server: MiniStack
    bucket: str
    url: str

    def configure(self, lock: str, url: str | None = None) -> None:
        text = f"vault:\n  url: {url or self.url}\n{lock}"
        text += f"accounts:\n  - {{name: anna, url: '{self.source}', password_env: ANNA}}\n"
        text += "jobs:\n  - {name: hourly, retention: {last: 1}}\n"
        (self.command.cwd / "restante.yaml").write_text(text)

    source: str = ""

    def keys(self, prefix: str) -> list[str]:
        found = self.server.client().list_object_versions(Bucket=self.bucket, Prefix=f"mail/{prefix}")
        return [version["Key"] for version in found.get("Versions", [])]

    def locks(self, prefix: str = "") -> list[Any]:
        client = self.server.client()
        return [
            client.head_object(Bucket=self.bucket, Key=key).get("ObjectLockRetainUntilDate")
            for key in self.keys(prefix)
        ]


LOCK = "  object_lock: {mode: compliance, days: 30}\n"


@pytest.fixture
def site(tmp_path: Path, locking: MiniStack, dovecot: DovecotServer) -> Site:
    user = dovecot.new_user()
    deliver(dovecot, user.name, "INBOX", [plain_mail(1), plain_mail(2)])
    bucket = f"b{secrets.token_hex(6)}"
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]),
        "RESTANTE_PASSPHRASE": new_secret(), "ANNA": user.password, **locking.environment,
    }  # fmt: skip
    made = Site(Command(tmp_path, env), locking, bucket, locking.new_bucket(bucket), dovecot.url(user.name))
    made.configure(LOCK)
    return made


def test_init_proves_the_lock_and_says_what_it_gives(site: Site) -> None:
    out = site.command.well("init").out
    assert "Object Lock is on: what is written stays for 30 days; nobody can delete it sooner" in out
    assert all(site.locks())
    assert site.keys("probes/")


def test_init_as_json_says_the_same(site: Site) -> None:
    document = site.command.well("init", "--json").document
    keep_secret(document["recovery_key"])
    assert document["proven"]
    assert "nobody can delete it sooner" in document["protection"][0]


def test_init_says_plainly_what_other_places_do_not_give(site: Site, tmp_path: Path) -> None:
    site.configure("", url=f"file://{tmp_path}/vault")
    assert "A directory keeps nothing from deletion" in site.command.well("init").out
    site.configure("")
    assert "has Object Lock, but the configuration does not use it" in site.command.well("init").out
    plain = site.server.new_bucket(f"b{secrets.token_hex(6)}", lock=False)
    site.configure("", url=plain)
    assert "This bucket keeps nothing from deletion" in site.command.well("init").out


def test_init_makes_no_vault_where_no_lock_holds(site: Site, tmp_path: Path) -> None:
    name = f"b{secrets.token_hex(6)}"
    site.configure(LOCK, url=site.server.new_bucket(name, lock=False))
    assert_one_error(site.command("init"), 3, "no object can be locked")
    assert not site.server.client().list_object_versions(Bucket=name).get("Versions")
    site.configure(LOCK, url=f"file://{tmp_path}/vault")
    assert_one_error(site.command("init"), 2, "can't keep objects from deletion")
    assert not (tmp_path / "vault").exists()


def test_a_backup_locks_all_it_writes_and_survives_an_attacker_with_every_right_but_one(site: Site) -> None:
    site.command.well("init")
    assert site.command.well("backup", "--json").document["status"] == "complete"
    assert all(site.locks("snapshots/"))
    assert all(site.locks("packs/"))
    client = site.server.client()
    for key in site.keys(""):
        client.put_object(Bucket=site.bucket, Key=key, Body=b"pay")
        client.delete_object(Bucket=site.bucket, Key=key)
    assert "No damage found." in site.command.well("check", "--read").out
    assert len(site.command.well("snapshots", "anna", "--json").document) == 1
    assert site.command.well("backup", "--json").document["status"] == "complete"


def test_a_restorer_without_the_configuration_reads_through_markers_by_the_url(site: Site, tmp_path: Path) -> None:
    site.command.well("init")
    site.command.well("backup")
    client = site.server.client()
    for key in site.keys(""):
        client.delete_object(Bucket=site.bucket, Key=key)
    (tmp_path / "restante.yaml").unlink()
    assert site.command("check", "--vault", site.url).code == 3
    assert "No damage found." in site.command.well("check", "--read", "--vault", f"{site.url}&lock=compliance").out


def test_a_backup_stops_where_the_bucket_takes_no_locks_any_more(site: Site) -> None:
    site.command.well("init")
    site.configure(LOCK, url=site.server.new_bucket(f"b{secrets.token_hex(6)}", lock=False))
    assert_one_error(site.command("backup"), 3, "no object can be locked")


def test_a_prune_waits_for_locks_and_tells_what_it_extended(site: Site) -> None:
    site.command.well("init")
    site.command.well("backup")
    document = site.command.well("prune", "--json").document
    assert (document["status"], document["locks_extended"], document["locks_refused"]) == ("complete", 0, 0)
    assert "0 locks extended." in site.command.well("prune").out
    assert "locks_extended" not in site.command.well("prune", "--dry-run", "--json").document


def replicated(site: Site, name: str, *, lock: bool) -> None:
    """Add a second site with Object Lock wanted to the configuration, in a new bucket."""
    url = site.server.new_bucket(name, lock=lock)
    path = site.command.cwd / "restante.yaml"
    replica = f"{{name: offsite, url: '{url}', object_lock: {{mode: compliance, days: 9}}}}"
    path.write_text(f"{path.read_text()}replicas:\n  - {replica}\n")


def test_a_second_site_locks_what_is_copied_there(site: Site) -> None:
    name = f"b{secrets.token_hex(6)}"
    replicated(site, name, lock=True)
    site.command.well("init")
    site.command.well("backup")
    for _ in range(2):
        site.command.well("copy", "--to", "offsite")
    client = site.server.client()
    keys = [v["Key"] for v in client.list_object_versions(Bucket=name)["Versions"] if "/probes/" not in v["Key"]]
    heads = [client.head_object(Bucket=name, Key=key) for key in keys]
    assert len(keys) > 5
    assert all(head.get("ObjectLockMode") == "COMPLIANCE" for head in heads)


def test_nothing_is_copied_to_a_second_site_that_does_not_lock(site: Site) -> None:
    name = f"b{secrets.token_hex(6)}"
    replicated(site, name, lock=False)
    site.command.well("init")
    site.command.well("backup")
    assert_one_error(site.command("copy", "--to", "offsite"), 3, "no object can be locked")
    assert not site.server.client().list_object_versions(Bucket=name).get("Versions")


def test_a_lock_without_days_or_of_another_mode_is_a_fault(site: Site) -> None:
    for lock in ("{mode: compliance}", "{mode: sometimes, days: 3}", "{mode: governance, days: 0}"):
        site.configure(f"  object_lock: {lock}\n")
        assert site.command("config", "check").code == 2
