"""What other programs say of the manifests: schemas, linters, checkov."""

import json
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from rendered import ROOT

VERSIONS = ("1.29", "1.33", "1.37")
TOOLS = Path(sys.executable).parent

# Kinds of other projects, whose schemas come with them into a cluster.
OTHERS = {
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("postgresql.cnpg.io/v1", "Cluster"),
}


def every_object_is_what_three_versions_of_kubernetes_take(rendered):
    examples = list(yaml.safe_load_all((ROOT / "manifests/secrets.example.yaml").read_text()))
    seen = set()
    for where, objects in [(overlay.name, overlay.all) for overlay in rendered] + [("secrets.example", examples)]:
        for found in objects:
            text = json.dumps(found, sort_keys=True)
            if text in seen or (found["apiVersion"], found["kind"]) in OTHERS:
                continue
            seen.add(text)
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(found, version, strict=True)
                except Exception as why:
                    yield f"{where}, {version}: {found['kind']} {found['metadata']['name']}: {why}"


def yamllint_has_nothing_to_say(_):
    files = ["manifests", "docker-compose.yml", "litestream/litestream.yml", "tests/deploy/alerts", "tests/deploy/yamllint.yaml"]
    said = subprocess.run(
        [TOOLS / "yamllint", "--strict", "--config-file", "tests/deploy/yamllint.yaml", *files],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    yield from (said.stdout + said.stderr).splitlines()


def hadolint_has_nothing_to_say_of_the_dockerfile(_):
    said = subprocess.run([TOOLS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    yield from (said.stdout + said.stderr).splitlines()


def checkov_passes_but_for_what_is_explained(rendered):
    files = [argument for overlay in rendered for argument in ("--file", overlay.file)]
    said = subprocess.run(
        [TOOLS / "checkov", *files, "--framework", "kubernetes", "--skip-download", "--output", "json", "--quiet"],
        capture_output=True, text=True,
    )  # fmt: skip
    report = json.loads(said.stdout)
    if report["summary"]["passed"] < 100 or report["summary"]["parsing_errors"]:
        yield f"it did not look: {report['summary']}"
    for found in report["results"]["failed_checks"]:
        yield f"{found['check_id']} {found['check_name']}: {found['resource']} in {found['file_path']}"


PROMISES = [
    every_object_is_what_three_versions_of_kubernetes_take,
    yamllint_has_nothing_to_say,
    hadolint_has_nothing_to_say_of_the_dockerfile,
    checkov_passes_but_for_what_is_explained,
]
