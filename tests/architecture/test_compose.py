"""docker-compose.yml against the compose specification and against what it starts. No container engine runs it here."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lock import REPOSITORY
from redis import Redis
from redis.exceptions import RedisError

from jobctl.adapters.processes import ProcessGroup
from jobctl.wiring.monitoring import BY_HAND
from support.github import read_yaml

MONITORING = REPOSITORY / "monitoring"
COMPOSE = MONITORING / "docker-compose.yml"
FLEET = MONITORING / "fleet.yml"
TOOLS = REPOSITORY / ".tools" / "bin"
PASSWORD = "0f1e2d3c4b5a"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_yaml(COMPOSE)["services"]
    return found


def faults(path: Path) -> str:
    """What the compose specification's schema finds in a file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("path", [COMPOSE, FLEET], ids=lambda path: path.name)
def test_no_engine_runs_it_but_the_compose_specification_accepts_it(path: Path) -> None:
    assert faults(path) == ""


def test_a_file_that_the_compose_specification_refuses_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("healthcheck:", "health_check:", 1))

    assert "health_check" in faults(wrong)


@pytest.mark.parametrize("name", services())
def test_every_service_starts_again_is_watched_may_little_and_is_open_to_this_machine_alone(name: str) -> None:
    service = services()[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "build" in service or re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service["image"])


def test_no_password_stands_in_it_and_each_secret_is_a_file_that_somebody_reads() -> None:
    document = read_yaml(COMPOSE)
    used = {name for service in services().values() for name in service.get("secrets", [])}

    assert {name: one["file"] for name, one in document["secrets"].items()} == {
        name: f"./secrets/{name}" for name in used
    }
    assert services()["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    for service in services().values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|KEY|DSN|TOKEN|SECRET|URL", key):
                assert value is None or (key.endswith("__FILE") and value.startswith("/run/secrets/")), key
        for path in re.findall(r"/run/secrets/(\w+)", str(service)):
            assert path in service["secrets"]


def test_alertmanager_gets_each_secret_that_it_may_be_told_to_read() -> None:
    read = set(re.findall(r"/run/secrets/(\w+)", (MONITORING / "alertmanager" / "alertmanager.yml").read_text()))

    assert read
    assert read <= set(services()["alertmanager"]["secrets"])


def test_whoever_is_asked_by_name_is_a_service_that_listens_there() -> None:
    prometheus = read_yaml(MONITORING / "prometheus" / "prometheus.yml")
    asked = {
        f"{name}:{source['port']}"
        for job in prometheus["scrape_configs"]
        for source in job.get("dns_sd_configs", [])
        for name in source["names"]
    }
    for static in [*prometheus["scrape_configs"], *prometheus["alerting"]["alertmanagers"]]:
        asked |= {target for source in static.get("static_configs", []) for target in source["targets"]}
    for source in read_yaml(next(MONITORING.glob("grafana/provisioning/datasources/*.yml")))["datasources"]:
        asked.add(source["url"].removeprefix("http://"))

    assert asked == {"worker:9100", "exporter:9200", "alertmanager:9093", "prometheus:9090"}
    for name, port in (one.split(":") for one in asked):
        assert re.search(rf"127\.0\.0\.1(:|\", ){port}\b", str(services()[name]["healthcheck"]["test"][-1]))


def test_what_is_mounted_is_there() -> None:
    volumes = read_yaml(COMPOSE)["volumes"]
    for service in services().values():
        for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
            assert source in volumes or (MONITORING / source).is_dir(), source
    for name in ("prometheus", "alertmanager"):
        (file,) = (word.partition("=")[2] for word in services()[name]["command"] if word.startswith("--config.file="))
        assert (MONITORING / file.removeprefix("/etc/")).is_file()


def test_what_it_extends_is_made_of_slo_toml() -> None:
    extended = {name: service["extends"] for name, service in services().items() if "extends" in service}

    assert extended == {name: {"file": FLEET.name, "service": name} for name in read_yaml(FLEET)["services"]}


def test_what_it_is_built_of_is_there_and_the_secrets_stay_out_of_it() -> None:
    for name in ("worker", "exporter"):
        assert (MONITORING / services()[name]["build"] / "Dockerfile").is_file()
    everything, *let_in = [
        line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert everything == "*"
    assert {line for line in let_in if "monitoring" in line} == {f"!monitoring/{name}" for name in BY_HAND}


@pytest.mark.parametrize(
    ("service", "program"),
    [("redis", "redis-server"), ("prometheus", "prometheus"), ("alertmanager", "prometheus-alertmanager")],
)
def test_an_image_is_of_the_release_that_the_tests_run(service: str, program: str) -> None:
    said = subprocess.run([TOOLS / program, "--version"], capture_output=True, text=True, check=False)
    tested = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    assert tested is not None

    assert services()[service]["image"].rpartition(":")[2].removeprefix("v") == tested[0]


def test_grafana_is_of_the_minor_release_whose_dashboards_are_written() -> None:
    pinned = re.search(r"grafana-foundation-sdk==\d+!(\d+\.\d+)", (REPOSITORY / "pyproject.toml").read_text())
    assert pinned is not None

    assert services()["grafana"]["image"].startswith(f"grafana/grafana:{pinned[1]}.")


def shell(words: list[str], secrets: Path) -> list[str]:
    """A command of the file as an engine hands it to its program, with the secrets elsewhere."""
    assert all("$" not in word.replace("$$", "") for word in words)
    return [word.replace("$$", "$").replace("/run/secrets", str(secrets)) for word in words]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    (directory / "redis_password").write_text(f"{PASSWORD}\n")
    return directory


@pytest.fixture(scope="module")
def port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The Redis of the file, started by its command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    *words, script = shell(services()["redis"]["command"], secrets)
    script = script.replace(" - <<", f" --bind 127.0.0.1 --port {number} - <<")
    with ProcessGroup() as group:
        process = group.spawn(
            [*words, script],
            cwd=tmp_path_factory.mktemp("data"),
            env={"PATH": f"{TOOLS}{os.pathsep}{os.defpath}"},
        )
        deadline_s = time.monotonic() + 10
        with Redis(port=number, password=PASSWORD) as client:
            while time.monotonic() < deadline_s and process.poll() is None:
                try:
                    client.ping()
                    break
                except RedisError:
                    time.sleep(0.02)
        yield number


def test_its_redis_keeps_what_it_was_given_and_lets_nobody_in_without_the_password(port: int) -> None:
    with Redis(port=port, password=PASSWORD, decode_responses=True) as client:
        settings = client.config_get("appendonly", "maxmemory-policy", "maxmemory", "save")
        assert settings == {
            "appendonly": "yes", "maxmemory-policy": "noeviction", "maxmemory": str(512 * 2**20), "save": "",
        }  # fmt: skip
        command_line = Path(f"/proc/{client.info('server')['process_id']}/cmdline").read_bytes().decode()
        assert PASSWORD not in command_line
    unknown = subprocess.run(
        [TOOLS / "redis-cli", "-p", str(port), "ping"], capture_output=True, text=True, check=False
    )
    assert "NOAUTH" in unknown.stdout + unknown.stderr


@pytest.mark.parametrize(("written", "status"), [(PASSWORD, 0), ("wrong", 1)])
def test_the_check_of_its_redis_tells_whether_it_answers(port: int, written: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text(written)
    kind, script = shell(services()["redis"]["healthcheck"]["test"], tmp_path)
    assert kind == "CMD-SHELL"
    script = script.replace("redis-cli ", f"redis-cli -p {port} ")

    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{TOOLS}{os.pathsep}{os.defpath}"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert done.returncode == status


def test_a_worker_finds_its_redis_by_the_password_and_is_itself_process_1(port: int, secrets: Path) -> None:
    service = services()["worker"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics_port = free.getsockname()[1]
    words = [
        word.replace("@redis:6379", f"@127.0.0.1:{port}").replace("exec jobctl", f"exec {sys.executable} -m jobctl")
        for word in shell([*service["entrypoint"], *service["command"]], secrets)
    ]
    environment = {name: value for name, value in service["environment"].items() if value is not None}
    environment |= read_yaml(FLEET)["services"]["worker"]["environment"]
    environment |= {"PATH": os.defpath, "JOB_METRICS_PORT": str(metrics_port), "JOB_METRICS_HOST": "127.0.0.1"}
    kind, _, *check = shell(service["healthcheck"]["test"], secrets)
    assert kind == "CMD"
    check = [sys.executable, *(word.replace("9100", str(metrics_port)) for word in check)]

    with ProcessGroup() as group:
        worker = group.spawn(words, env=environment)
        deadline_s = time.monotonic() + 20
        answer = 1
        while answer and worker.poll() is None and time.monotonic() < deadline_s:
            answer = subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode
        assert answer == 0
        assert b"jobctl" in Path(f"/proc/{worker.pid}/cmdline").read_bytes()
        worker.terminate()
        assert worker.wait(timeout=10) == 0
    assert subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode != 0
