"""What lies in deploy/ fits the product and itself: commands, settings, ports, names, passwords, and times to stop."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from cli.main import app
from cli.settings import check
from config.settings import Node, load
from node.broker import queue_name
from node.supervisor import DRAIN_MARGIN_SECONDS

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHAIN, CLINIC, KUBERNETES, SYSTEMD = (DEPLOY / name for name in ("chain", "clinic", "kubernetes", "systemd"))
SETTINGS = sorted(DEPLOY.rglob("houndsfield.toml"))
UNITS = sorted(SYSTEMD.glob("*.service"))
PROGRAM = "/opt/houndsfield/bin/houndsfield"
PORT = Node().port
STOP_SECONDS = Node().drain_seconds + DRAIN_MARGIN_SECONDS


def of_yaml(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, name) → object, of the files that the kustomization lists."""
    (kustomization,) = of_yaml(KUBERNETES / "kustomization.yaml")
    objects = [found for name in kustomization["resources"] for found in of_yaml(KUBERNETES / name)]
    return {(found["kind"], found["metadata"]["name"]): found for found in objects}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), found in manifests().items():
        if kind in ("Deployment", "StatefulSet"):
            yield name, found["spec"]["template"]["spec"]


def services(folder: Path) -> dict[str, dict[str, Any]]:
    (compose,) = of_yaml(folder / "compose.yaml")
    return dict(compose["services"])


def command_lines() -> Iterator[list[str]]:
    """Every call of `houndsfield` in deploy/ and in the Dockerfile, without its name."""
    for folder in (CHAIN, CLINIC):
        for service in services(folder).values():
            if service["image"] == "houndsfield":
                yield from ([*line] for line in (service.get("command"), service.get("healthcheck", {}).get("test")) if line)
    for _, pod in pods():
        for container in pod["containers"]:
            if container["image"] == "houndsfield":
                yield container["command"]
                yield container["readinessProbe"]["exec"]["command"]
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        yield shlex.split(line.replace(PROGRAM, "houndsfield").replace("%i", "analysis"))
    for line in re.findall(r"houndsfield (?:[a-z-]+ ?)+", (ROOT / "Dockerfile").read_text().partition('CMD ["sh')[2]):
        yield shlex.split(line)


def test_every_command_is_one_of_the_products() -> None:
    product: Any = typer.main.get_command(app)
    lines = [line[line.index("houndsfield") + 1 :] for line in command_lines()]
    assert len(lines) >= 14
    for line in lines:
        command, words = product, line
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        command.make_context(line[0], list(words))  # raises for an option that it does not have


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.parent.name)
def test_settings_pass_the_check(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = path.read_text(encoding="utf-8")
    for folder in ("/data", "/models"):
        text = text.replace(f'"{folder}"', f'"{tmp_path}{folder}"')
        (tmp_path / folder[1:]).mkdir()
    copy = tmp_path / "houndsfield.toml"
    copy.write_text(text, encoding="utf-8")
    check(copy, json=True)
    assert json.loads(capsys.readouterr().out)["faults"] == []


def test_the_chains_parts_find_each_other_and_know_their_passwords() -> None:
    node, found = load(CHAIN / "houndsfield.toml").node, services(CHAIN)
    database, broker = urlsplit(node.database_url), urlsplit(node.broker_url)
    postgres, rabbitmq = found[str(database.hostname)]["environment"], found[str(broker.hostname)]["environment"]
    assert (database.username, database.password) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert database.path == f"/{postgres['POSTGRES_DB']}"
    assert (broker.username, broker.password) == (rabbitmq["RABBITMQ_DEFAULT_USER"], rabbitmq["RABBITMQ_DEFAULT_PASS"])

    balancer = found["balancer"]
    address = balancer["networks"]["inside"]["ipv4_address"]
    assert node.trusted_proxies == (address,)
    (network,) = of_yaml(CHAIN / "compose.yaml")[0]["networks"]["inside"]["ipam"]["config"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network(network["subnet"])
    proxy = (CHAIN / "haproxy.cfg").read_text()
    assert balancer["ports"] == [f"{PORT}:{PORT}"]
    assert f"bind :{PORT}" in proxy
    servers = re.findall(r"^ *server (\S+) (\S+):(\d+)$", proxy, re.MULTILINE)
    listeners = {name for name, service in found.items() if service.get("command") == ["houndsfield", "scp"]}
    assert {(name, host, int(port)) for name, host, port in servers} == {(name, name, PORT) for name in listeners}
    assert "send-proxy-v2" in proxy
    timeouts = [float(seconds) for seconds in re.findall(r"timeout (?:client|server) (\d+)s", proxy)]
    assert min(timeouts) > node.idle_seconds


def test_a_clinics_port_is_the_nodes() -> None:
    assert services(CLINIC)["node"]["ports"] == [f"{PORT}:{PORT}"]
    assert load(CLINIC / "houndsfield.toml").node.port == PORT


def test_kubernetes_names_fit_each_other() -> None:
    (kustomization,) = of_yaml(KUBERNETES / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(
        path.name for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml"
    )
    objects, node = manifests(), load(KUBERNETES / "houndsfield.toml").node
    secrets = {secret["name"] for secret in kustomization["secretGenerator"]}
    for name, pod in pods():
        text = json.dumps(pod)
        used = re.findall(r'"secretName": "([^"]+)"|"secretKeyRef": {"name": "([^"]+)"', text)
        assert {one or other for one, other in used} <= secrets, name
        for claim in re.findall(r'"claimName": "([^"]+)"', text):
            assert ("PersistentVolumeClaim", claim) in objects
    for url in (node.database_url, node.broker_url):
        service = objects["Service", str(urlsplit(url).hostname)]
        assert service["spec"]["ports"] == [{"port": urlsplit(url).port}]
    passwords = dict(
        line.split("=", 1)
        for secret in kustomization["secretGenerator"]
        if secret["name"] == "houndsfield-passwords"
        for line in secret["literals"]
    )
    assert passwords["broker-url"] == node.broker_url
    assert urlsplit(node.broker_url).password == passwords["rabbitmq"]
    assert urlsplit(node.database_url).password == passwords["postgres"]
    (port,) = objects["Service", "listener"]["spec"]["ports"]
    (container,) = objects["Deployment", "listener"]["spec"]["template"]["spec"]["containers"]
    assert port["targetPort"] == container["ports"][0]["containerPort"] == PORT
    trigger = objects["ScaledObject", "analysis"]["spec"]["triggers"][0]["metadata"]
    assert trigger["queueName"] == queue_name("analysis")
    assert ("Deployment", objects["ScaledObject", "analysis"]["spec"]["scaleTargetRef"]["name"]) in objects


def test_whoever_stops_a_part_waits_for_its_drain() -> None:
    for folder in (CHAIN, CLINIC):
        for service in services(folder).values():
            if service["image"] == "houndsfield":
                assert float(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
    for _, pod in pods():
        if pod["containers"][0]["image"] == "houndsfield":
            assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS
    for unit in UNITS:
        (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        assert float(seconds) > STOP_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    assert len(UNITS) == 3
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    names = [str(tmp_path / unit.name.replace("@", "@analysis")) for unit in UNITS]
    (tmp_path / "houndsfield-worker@analysis.service").symlink_to(tmp_path / "houndsfield-worker@.service")
    checked = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    said = [line for line in checked.stderr.splitlines() if "houndsfield" in line]
    assert said == []
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="haproxy is not installed")
def test_haproxy_understands_its_settings() -> None:
    program = str(shutil.which("haproxy", path="/usr/sbin:/usr/bin"))
    checked = subprocess.run([program, "-c", "-f", str(CHAIN / "haproxy.cfg")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
