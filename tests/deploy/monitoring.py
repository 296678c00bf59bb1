"""What there is to be told of: the alerts, what fires them, and what to do then."""

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import yaml
from rendered import ROOT

RULES = ROOT / "manifests/components/monitoring/alerts.yaml"
TESTS = sorted((ROOT / "tests/deploy/alerts").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/runbooks.md"
# Where roles register what they count.
SERVICES = ("shared", "config-service", "gateway", "http-service")
# Prometheus' own, of everything that it scrapes.
ITS_OWN = {"up"}
# What each section of the runbooks says.
PARTS = ("**It means**", "**Users notice**", "**Look at**", "**Do**", "**Do not**")


def spec():
    """Returns the rules as Prometheus reads them, without what is Kubernetes'."""
    return yaml.safe_load(RULES.read_text())["spec"]


def alerts():
    """Returns each alert by its name."""
    return {rule["alert"]: rule for group in spec()["groups"] for rule in group["rules"]}


def promtool(folder, *arguments):
    """Yields what promtool has to complain of."""
    if shutil.which("promtool") is None:
        yield "promtool is missing; it is in Debian's package prometheus: sudo apt-get install prometheus"
        return
    said = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    if said.returncode:
        yield from (line for line in (said.stdout + said.stderr).splitlines() if line.strip())


def names_in(expression):
    """Returns the metrics that an expression reads."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\b(by|on|without|ignoring)\s*\([^)]*\)', " ", expression)
    return set(re.findall(r"\bberth_\w+", bare)) | {name for name in ITS_OWN if re.search(rf"\b{name}\b", bare)}


@cache
def sources():
    """Returns the services' Rust sources without their tests."""
    files = [file for service in SERVICES for file in (ROOT / service / "src").rglob("*.rs")]
    return [file.read_text() for file in files if "tests" not in (file.stem, *file.relative_to(ROOT).parts)]


@cache
def exported():
    """Returns the names by which samples leave the roles: those that are registered, with what their kind adds."""
    found = set()
    for text in sources():
        for at in re.finditer(r'"(berth_\w+)"', text):
            rest = re.split(r'"berth_', text[at.end():], maxsplit=1)[0][:500]
            name = at[1] + ("_seconds" if "Unit::Seconds" in rest else "")
            field = re.search(r"\.(\w+)\.clone\(\)", rest)
            if field:
                kind = re.search(rf"^\s+(?:pub\S* )?{field[1]}: (.*(?:Counter|Gauge|Histogram).*),$", text, re.M)
                kind = re.search("Counter|Gauge|Histogram", kind[1])[0] if kind else None
            else:
                kind = "Gauge" if "ConstGauge" in text else None
            added = {"Counter": ["_total"], "Gauge": [""], "Histogram": ["_bucket", "_sum", "_count"], None: []}[kind]
            found |= {name + end for end in added}
    return found


def promtool_takes_the_alert_rules(_):
    with tempfile.TemporaryDirectory(prefix="berth-alerts-") as folder:
        (Path(folder) / "rules.yaml").write_text(yaml.safe_dump(spec()))
        yield from promtool(folder, "check", "rules", "rules.yaml")


def alerts_fire_when_they_should_and_else_do_not(_):
    rules = spec()
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        # The others are the same whatever happens, and are judged below.
        rule["annotations"] = {"description": rule["annotations"]["description"]}
    with tempfile.TemporaryDirectory(prefix="berth-alerts-") as folder:
        (Path(folder) / "rules.yaml").write_text(yaml.safe_dump(rules))
        for file in TESTS:
            shutil.copy(file, folder)
            yield from promtool(folder, "test", "rules", file.name)


def every_alert_has_a_test_that_fires_it_and_one_that_does_not(_):
    known, fired, quiet = alerts(), set(), set()
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            given = {re.match(r"\w+", series["series"])[0] for series in test["input_series"]}
            yield from (f"{file.name}: {test['name']}: no role says {name}" for name in given - exported() - ITS_OWN)
            asked = test["alert_rule_test"]
            for name in {one["alertname"] for one in asked}:
                if name not in known:
                    yield f"{file.name}: {test['name']}: there is no alert {name}"
                elif not given & names_in(known[name]["expr"]):
                    yield f"{file.name}: {test['name']}: nothing is given that {name} reads"
                fires = any(one.get("exp_alerts") for one in asked if one["alertname"] == name)
                (fired if fires else quiet).add(name)
    yield from (f"{name}: nothing fires it" for name in known if name not in fired)
    yield from (f"{name}: nothing leaves it quiet" for name in known if name not in quiet)


def alerts_read_only_what_the_roles_say(_):
    text = "\n".join(sources())
    for name, rule in alerts().items():
        read = names_in(rule["expr"])
        yield from (f"{name}: no role says {metric}" for metric in sorted(read - exported() - ITS_OWN))
        if not read:
            yield f"{name}: reads nothing"
        for label, values in re.findall(r'(\w+)\s*=~?\s*"([^"]*)"', rule["expr"]):
            if label == "job":
                continue
            if not re.search(rf"^\s+(?:pub\S* )?{label}: (&'static str|String),$", text, re.M):
                yield f"{name}: no role has the label {label}"
            yield from (f'{name}: no role says {label}="{value}"' for value in values.split("|") if f'"{value}"' not in text)


def every_alert_says_what_it_is_and_where_its_runbook_is(_):
    for name, rule in alerts().items():
        told = rule["annotations"]
        if rule["labels"] not in ({"severity": "critical"}, {"severity": "warning"}):
            yield f"{name}: how bad is {rule['labels']}?"
        if set(told) != {"summary", "description", "runbook_url"} or "{{" in told["summary"]:
            yield f"{name}: has a summary that is always the same, a description and a runbook_url"
        if told.get("runbook_url") != f"docs/{RUNBOOKS.name}#{name.lower()}":
            yield f"{name}: its runbook is elsewhere: {told.get('runbook_url')}"


def every_alert_has_a_runbook_and_every_runbook_an_alert(_):
    sections = re.split(r"^## (.+)$", RUNBOOKS.read_text(), flags=re.M)[1:]
    written = dict(zip(sections[::2], sections[1::2]))
    yield from (f"{name}: there is no runbook" for name in alerts() if name not in written)
    yield from (f"{name}: the runbook is of no alert" for name in written if name not in alerts())
    for name, text in written.items():
        yield from (f"{name}: the runbook does not say: {part}" for part in PARTS if part not in text)
    if len(written) * 2 != len(sections):
        yield "two runbooks have the same name"


def runbooks_of_alerts_name_commands_that_there_are(_):
    known = set(re.findall(r"^##+ berth (.+)$", (ROOT / "docs/cli.md").read_text(), re.M))
    for command in re.findall(r"`berth ([a-z][^`]*)`", RUNBOOKS.read_text()):
        words = re.match(r"[a-z-]+(?: [a-z-]+)*", command)[0].split()
        if not any(" ".join(words[:count]) in known and not is_group(" ".join(words[:count]), known) for count in (1, 2, 3)):
            yield f"there is no `berth {command}`"


def is_group(command, known):
    """Says whether a command only holds others."""
    return any(other.startswith(f"{command} ") for other in known)


def pages_name_alerts_that_there_are(_):
    for page in sorted((ROOT / "docs").glob("*.md")):
        for line in page.read_text().splitlines():
            for told in re.finditer(r"\*\*Alert\*\*(?: \(([^)]*)\))?", line):
                names = re.findall(r"\b[A-Z]\w+", told[1] or "")
                if not names:
                    yield f"{page.name}: which alert is it? {line[:80]}"
                yield from (f"{page.name}: there is no alert {name}" for name in names if name not in alerts())


def alerts_are_deployed_with_the_labels_that_the_roles_give(rendered):
    for overlay in rendered:
        if len(overlay.of("PrometheusRule")) != len(overlay.of("PodMonitor")):
            yield f"{overlay.name}: what is scraped is watched"
        for monitor in overlay.of("PodMonitor"):
            for scraped in monitor["spec"]["podMetricsEndpoints"]:
                # Litestream knows no pods. config-service says something of gateways: `pod` is theirs then.
                if scraped["port"] != "litestream" and not scraped.get("honorLabels"):
                    yield f"{overlay.name}: at port {scraped['port']} the label pod is written over"


PROMISES = [
    promtool_takes_the_alert_rules,
    alerts_fire_when_they_should_and_else_do_not,
    every_alert_has_a_test_that_fires_it_and_one_that_does_not,
    alerts_read_only_what_the_roles_say,
    every_alert_says_what_it_is_and_where_its_runbook_is,
    every_alert_has_a_runbook_and_every_runbook_an_alert,
    runbooks_of_alerts_name_commands_that_there_are,
    pages_name_alerts_that_there_are,
    alerts_are_deployed_with_the_labels_that_the_roles_give,
]
