"""What an overlay says, rendered by kustomize, and the questions that are asked of it."""

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BERTH = str(TARGET / "debug/berth")
ROLES = ("config-service", "gateway", "http-service")
WORKLOADS = ("Deployment", "StatefulSet")


class Rendered:
    """An overlay."""

    def __init__(self, name, folder=None):
        self.name = name
        folder = folder or ROOT / "manifests/overlays" / name
        tool = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
        self.text = subprocess.run(
            [*tool, str(folder)], check=True, capture_output=True, text=True
        ).stdout
        self.file = Path(tempfile.mkdtemp(prefix="berth-manifests-")) / f"{name}.yaml"
        self.file.write_text(self.text)
        self.all = list(yaml.safe_load_all(self.text))

    def of(self, *kinds):
        """Returns the objects of these kinds."""
        return [found for found in self.all if found["kind"] in kinds]

    def one(self, kind, name):
        """Returns one object; none when there is none."""
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    def role(self, role):
        """Returns the workload of a role."""
        return next(found for found in self.of(*WORKLOADS) if found["metadata"]["name"] == role)

    def environment(self, container):
        """Returns what a container finds in its environment, by name: a value, or the reference that fills it."""
        found = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                known = self.one("ConfigMap", source["configMapRef"]["name"])
                found |= {name: value for name, value in (known or {"data": {}})["data"].items()}
        for variable in container.get("env", []):
            found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
        return found


def pod_of(workload):
    """Returns a workload's pod template."""
    return workload["spec"]["template"]


def containers_of(workload):
    """Returns all containers of a workload, those that come first too."""
    pod = pod_of(workload)["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def main_of(workload):
    """Returns the container that serves."""
    return pod_of(workload)["spec"]["containers"][0]


def matches(selector, labels):
    """Says whether a selector by labels takes these."""
    return all(labels.get(key) == value for key, value in (selector or {}).get("matchLabels", {}).items())


@cache
def settings(role):
    """Returns what the binary knows of a role's settings: the environment's name and the default."""
    lines = subprocess.run(
        [BERTH, role, "config"], check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    ).stdout.splitlines()[1:]
    return {line.split()[1]: line.split()[2] for line in lines}


def seconds(text):
    """Reads a time as settings have it."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+)(ms|s|m|h)", text)
    assert "".join(number + unit for number, unit in parts) == text, text
    return sum(int(number) * units[unit] for number, unit in parts)


def size(text):
    """Reads a quantity of bytes."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(text[:-2]) * units[text[-2:]] if text[-2:] in units else int(text)


def compose():
    """Returns docker-compose.yml."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def example_secrets():
    """Returns the keys of each Secret that whoever deploys makes."""
    known = yaml.safe_load_all((ROOT / "manifests/secrets.example.yaml").read_text())
    return {secret["metadata"]["name"]: set(secret["stringData"]) for secret in known}
