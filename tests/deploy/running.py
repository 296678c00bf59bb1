"""Runs what the manifests say: the same commands, settings and order, with this machine's addresses, folders and stores."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rendered import BERTH, TARGET, containers_of, main_of, pod_of

PATIENCE = 180
LITESTREAM = TARGET / "litestream-0.5.17/bin/litestream"
# What a pod is told of itself.
FIELDS = {
    "metadata.name": "gateway-0",
    "metadata.uid": "8f14e45f-ceea-4e7a-9c5b-0d2f1b1c7a10",
    "metadata.labels['topology.kubernetes.io/zone']": "",
    "status.podIP": "127.0.0.1",
}
# A key that is one: the public half of 32 zero bytes.
PLATFORMS = {"BERTH_DISCORD_PUBLIC_KEY": "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"}


class Broken(Exception):
    """A pod that does not run as it is written."""


class Machine:
    """One machine that stands in for a cluster: a folder, and ports in the place of addresses."""

    def __init__(self, overlay, folder):
        self.overlay, self.folder, self.logs = overlay, Path(folder), {}
        names = ("config-service:3001", "gateway:3002", "http-service:3000", "litestream:9090")
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        tokens = self.folder / "etc/berth/tokens"
        tokens.mkdir(parents=True)
        (tokens / "service-tokens").write_text("one-of-the-services\n")
        (tokens / "admin-tokens").write_text("one-of-the-operators\n")
        (self.folder / "var/lib/berth").mkdir(parents=True)
        (self.folder / "run/berth").mkdir(parents=True)

    def environment(self, role, container):
        """Returns a container's environment: the manifest's names, this machine's values."""
        found = dict(PLATFORMS) if role == "http-service" else {}
        for name, value in self.overlay.environment(container).items():
            if isinstance(value, dict) and "fieldRef" in value:
                value = FIELDS[value["fieldRef"]["fieldPath"]]
            elif isinstance(value, dict):
                if value["secretKeyRef"].get("optional"):
                    continue
                value = "secret"
            value = re.sub(r"\$\((\w+)\)", lambda variable: found[variable[1]], value)
            value = re.sub(r"^/(var/lib|run|etc)/berth", rf"{self.folder}/\1/berth", value)
            for told, real in self.at.items():
                host, port = told.split(":")
                value = value.replace(f"127.0.0.1:{port}", real).replace(told, real)
            found[name] = value
        if "BERTH_CONFIG_STORE" in found:
            found["BERTH_CONFIG_STORE"] = f"sqlite:{self.folder}/config.db"
        if "BERTH_REPLICA" in found:
            found["BERTH_REPLICA"] = f"file://{self.folder}/replicas"
            found.pop("BERTH_REPLICA_ENDPOINT", None)
        # Stories ask a double of the Kubernetes API; here there is none.
        found.pop("BERTH_STATEFULSET", None)
        if "BERTH_LITESTREAM" in found:
            found["BERTH_LITESTREAM"] = str(LITESTREAM)
            found["BERTH_LITESTREAM_METRICS"] = self.at["litestream:9090"]
        listen = {"config-service": "CONFIG", "gateway": "GATEWAY", "http-service": "HTTP"}[role]
        found[f"BERTH_{listen}_LISTEN"] = next(real for told, real in self.at.items() if told.startswith(role))
        return found | {"PATH": os.environ["PATH"]}

    @contextmanager
    def running(self, role, container):
        """Runs a container for as long as it is needed, and then stops it in order."""
        log = self.folder / f"{container['name']}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [BERTH, *container["args"]], env=self.environment(role, container), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        process.said = lambda: log.read_text()[-2000:]
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                status = process.wait(PATIENCE)
                if status != 0:
                    raise Broken(f"{container['name']} ends with {status}: {process.said()}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def ends(self, role, container):
        """Runs an init container to its end."""
        with self.running(role, container) as process:
            if process.wait(PATIENCE) != 0:
                raise Broken(f"{container['name']} ends with {process.returncode}: {process.said()}")

    def answers(self, process, told, path, *, status=200, method="GET"):
        """Waits until a path is served as it should be."""
        until, last = time.monotonic() + PATIENCE, None
        while time.monotonic() < until:
            if process.poll() is not None:
                raise Broken(f"{told} has ended with {process.returncode}: {process.said()}")
            last = ask(f"http://{self.at[told]}{path}", method)
            if last == status:
                return
            time.sleep(0.2)
        raise Broken(f"{method} {path} of {told} answers {last}, not {status}: {process.said()}")


def ask(url, method):
    """Asks once; none when nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return None


def free_port():
    """Returns a port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def probes(container):
    """Returns the paths that a container's probes ask."""
    return {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}


def runs(overlay):
    """Runs one pod of each role."""
    with tempfile.TemporaryDirectory(prefix="berth-") as folder, ExitStack() as stack:
        machine = Machine(overlay, folder)

        def start(role):
            container = main_of(overlay.role(role))
            process = stack.enter_context(machine.running(role, container))
            told = next(told for told in machine.at if told.startswith(role))
            for path in sorted(probes(container)) + ["/metrics"]:
                machine.answers(process, told, path)
            return process

        start("config-service")
        gateway = overlay.role("gateway")
        for container in containers_of(gateway)[: -len(pod_of(gateway)["spec"]["containers"])]:
            if container.get("restartPolicy") != "Always":
                machine.ends("gateway", container)
                continue
            process = stack.enter_context(machine.running("gateway", container))
            machine.answers(process, "litestream:9090", "/metrics")
            said = (machine.folder / "var/lib/berth/gateway/litestream.yml").read_text()
            said = "\n".join(line for line in said.splitlines() if not line.lstrip().startswith("#"))
            if "${" in said or not re.search(r"path: \S+/1/gateway-0/[0-9a-f-]{36}", said):
                raise Broken(f"litestream.yml has something unset:\n{said}")
        start("gateway")
        router = start("http-service")
        # Nobody has signed it; with a path that is not served it would be 404.
        machine.answers(router, "http-service:3000", "/webhooks/discord", status=401, method="POST")


def the_pods_run_as_they_are_written(rendered):
    if not shutil.which(BERTH):
        yield f"{BERTH} is not built: cargo build -p berth"
        return
    for overlay in rendered[:3]:
        try:
            runs(overlay)
        except (Broken, subprocess.TimeoutExpired) as why:
            yield f"{overlay.name}: {why}"


PROMISES = [the_pods_run_as_they_are_written]
