"""The files that run Restante elsewhere stay true: image, compose, Kubernetes, alert rules, dashboard."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from restante.cli import application
from restante.loading import load_config
from restante.metrics import METRICS
from tests.cli.command import Command, bare_command
from tests.secret import new_secret
from tests.servers.process import Server, find_program, free_ports

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((ROOT / "docs" / "kubernetes.yaml").read_text()))
ALERTS = yaml.safe_load((ROOT / "docs" / "monitoring" / "alerts.yaml").read_text())
DASHBOARD = json.loads((ROOT / "docs" / "monitoring" / "grafana.json").read_text())
COMMANDS = typer.main.get_command(application()).commands  # type: ignore[attr-defined]
PLACE = "/etc/restante/config.yaml"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command on an empty machine."""
    return bare_command(tmp_path)


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction of that name."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def takes(arguments: list[str]) -> bool:
    """Say whether `restante` has that command with those options."""
    command = COMMANDS[arguments[0]]
    options = {option for parameter in command.params for option in parameter.opts}
    return {word for word in arguments[1:] if word.startswith("--")} <= options


def test_the_image_copies_what_exists_and_all_that_the_package_holds() -> None:
    copied = [shlex.split(line)[:-1] for line in instructions("COPY") if not line.startswith("--from=")]
    sources = [source for line in copied for source in line]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)
    assert set(sources) <= let_in
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(sources)


def test_the_image_runs_the_service_as_nobody_in_particular_and_asks_it_whether_it_lives() -> None:
    user, group = instructions("USER")[-1].split(":")
    assert int(user) > 999
    assert int(group) > 999
    assert f"useradd --uid {user}" in DOCKERFILE
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["restante"]
    assert takes(json.loads(instructions("CMD")[-1]))
    health = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert health is not None
    name, *probe = json.loads(health[1])
    assert name == "restante"
    assert takes(probe)


def test_nothing_that_builds_is_left_in_the_image() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert "pip uninstall --yes --root-user-action=ignore pip" in last
    assert "pip uninstall --yes pip" in DOCKERFILE
    assert re.findall(r"^COPY (.+)$", last, re.MULTILINE) == ["--from=build /opt/restante /opt/restante"]


def test_compose_runs_the_image_read_only_with_a_sound_configuration(tmp_path: Path) -> None:
    service = COMPOSE["services"]["restante"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert instructions("VOLUME") == [volume.split(":")[1] for volume in service["volumes"]]
    assert service["configs"] == [{"source": "restante", "target": PLACE}]
    text = COMPOSE["configs"]["restante"]["content"]
    text = text.replace("${MAIL_ACCOUNT:?set it in .env}", "alice").replace(
        "${MAIL_URL:?set it in .env}", "imaps://a@b"
    )
    assert "$" not in text
    config = check(text, tmp_path)
    assert config.service.listen is not None
    port = config.service.listen.rpartition(":")[2]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert port in instructions("EXPOSE")
    given = [config.vault.passphrase_file, *(account.password_file for account in config.accounts)]
    assert given == [Path("/run/secrets") / name for name in service["secrets"]]
    assert set(service["secrets"]) == set(COMPOSE["secrets"])
    bucket = config.vault.url.split("/")[2]
    assert COMPOSE["services"]["store"]["volumes"] == [f"store:/data/{bucket}"]
    assert "http://store:9000" in config.vault.url


def test_the_store_of_compose_takes_a_vault_with_the_keys_that_compose_gives(command: Command) -> None:
    store, data, secret = COMPOSE["services"]["store"], command.cwd / "data", new_secret()
    place = store["volumes"][0].split(":")[1]
    (data / Path(place).relative_to("/data")).mkdir(parents=True)
    program = find_program(str(Path(sys.executable).parent / "rclone"), "rclone")
    assert program is not None
    (port,) = free_ports(1)
    told = {"/data": str(data), ":9000": f"127.0.0.1:{port}"}
    env = {key: filled(text, secret) for key, text in store["environment"].items()}
    words = [program, *(told.get(word, word) for word in store["command"])]
    server = Server(words, [port], command.cwd / "store.log", {"HOME": str(command.cwd), **env})
    server.start()
    try:
        given = COMPOSE["services"]["restante"]["environment"]
        ready = command.with_(**{key: filled(text, secret) for key, text in given.items()})
        url = yaml.safe_load(COMPOSE["configs"]["restante"]["content"])["vault"]["url"]
        url = url.replace("http://store:9000", f"http://127.0.0.1:{port}")
        ready.well("init", "--vault", url, RESTANTE_PASSPHRASE=new_secret())
    finally:
        server.kill()


def filled(text: str, secret: str) -> str:
    return text.replace("${S3_SECRET:?set it in .env}", secret)


def check(text: str, folder: Path) -> Any:
    """Return a configuration that stands inside another file."""
    (folder / "config.yaml").write_text(text)
    return load_config(folder / "config.yaml").config


def pods() -> list[dict[str, Any]]:
    deployment, job = (next(one for one in KUBERNETES if one["kind"] == kind) for kind in ("Deployment", "CronJob"))
    return [deployment["spec"]["template"]["spec"], job["spec"]["jobTemplate"]["spec"]["template"]["spec"]]


@pytest.mark.parametrize("number", [0, 1])
def test_kubernetes_runs_commands_that_exist_in_a_read_only_container_of_the_images_user(number: int) -> None:
    pod = pods()[number]
    (container,) = pod["containers"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == instructions("USER")[-1]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert takes(container["args"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["config"] == str(Path(PLACE).parent)
    assert [mounts["cache"]] == instructions("VOLUME")
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}


def test_the_configuration_for_kubernetes_is_sound_and_its_files_are_where_they_are_mounted(tmp_path: Path) -> None:
    config = check(KUBERNETES[0]["data"]["config.yaml"], tmp_path)
    for file in (config.vault.key_file, *(account.password_file for account in config.accounts)):
        assert str(file).startswith("/run/secrets/restante/")
    deployment, job = pods()
    probe = deployment["containers"][0]["livenessProbe"]["httpGet"]
    assert probe["path"] == "/livez"
    port = deployment["containers"][0]["ports"][0]
    assert probe["port"] == port["name"]
    assert config.service.listen == f"0.0.0.0:{port['containerPort']}"
    assert job["containers"][0]["args"][-1] in {each.name for each in config.jobs}


def test_alert_rules_and_dashboard_name_only_metrics_that_there_are() -> None:
    rules = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = [each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    known = {f"restante_{metric.name}" for metric in METRICS}
    for expression in (*rules, *panels, *variables):
        named = set(re.findall(r"restante_[a-z_]+", expression))
        assert named, expression
        assert named <= known, expression


def test_the_guide_says_what_to_do_about_every_alert_and_names_no_other() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"Restante[A-Z][A-Za-z]+", guide))
    assert named == {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}


def test_the_configuration_in_the_guide_is_sound(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert blocks
    for block in blocks:
        assert check(block, tmp_path).jobs


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
