"""What no schema knows: the manifests agree with each other and with what the binary says of itself."""

import re

from rendered import (
    BERTH, ROLES, ROOT, WORKLOADS, compose, containers_of, example_secrets, main_of, matches, pod_of, seconds, settings,
    size,
)  # fmt: skip

# Labels that change with a version. A selector with one of them cannot be applied again.
VERSIONED = ("app.kubernetes.io/version", "helm.sh/chart", "version", "pod-template-hash")
# Ports of programs that are not ours, with who listens there.
ELSEWHERE = {53: "the cluster's DNS", 443: "S3 stores, platforms, the API server", 5432: "PostgreSQL",
             6443: "the API server behind its service", 8000: "CloudNativePG's instance manager"}  # fmt: skip
# What a drain of an ordinary pod may take, where the binary has no setting for it.
DRAIN = "180s"
# The container port that each of the settings is about.
LISTENS = {"BERTH_CONFIG_LISTEN": "config", "BERTH_GATEWAY_LISTEN": "gateway", "BERTH_HTTP_LISTEN": "http",
           "BERTH_LITESTREAM_METRICS": "litestream"}  # fmt: skip
# What config-service asks the API server, by group and resource.
ASKED = {
    ("apps", "statefulsets"): {"get", "watch"},
    ("apps", "statefulsets/scale"): {"patch"},
    ("", "pods"): {"list", "watch"},
}
# Made by others than whoever deploys: CloudNativePG, and whoever issues certificates.
OTHERS_SECRETS = {"postgres-app": {"uri"}}


def roles(rendered):
    """Yields every role of every overlay: where, the overlay, the role, its workload."""
    for overlay in rendered:
        for role in ROLES:
            yield f"{overlay.name}: {role}", overlay, role, overlay.role(role)


def workloads(rendered):
    """Yields every workload of every overlay, ours or not."""
    for overlay in rendered:
        for found in overlay.of(*WORKLOADS):
            yield f"{overlay.name}: {found['metadata']['name']}", overlay, found


def setting(overlay, role, workload, name):
    """Returns a setting as the role gets it."""
    return overlay.environment(main_of(workload)).get(name) or settings(role)[name]


def replicated(overlay):
    """Says whether an overlay has replicas."""
    return overlay.environment(main_of(overlay.role("gateway"))).get("BERTH_REPLICATION") != "off"


def the_grace_period_is_longer_than_drain_stop_and_last_upload(rendered):
    text = (ROOT / "litestream/litestream.yml").read_text()
    upload = seconds(re.search(r"^shutdown-sync-timeout: (\S+)", text, re.M)[1])
    for where, overlay, role, workload in roles(rendered):
        stop = seconds(setting(overlay, role, workload, "BERTH_STOP_TIMEOUT"))
        if role == "gateway":
            # Pages, events and the last acknowledgements may take that long each; then Litestream ends.
            drain = overlay.environment(main_of(workload)).get("BERTH_DRAIN_DEADLINE")
            stop = seconds(drain or settings(role).get("BERTH_DRAIN_DEADLINE", DRAIN)) + 3 * stop + upload
        if role == "http-service":
            stop += seconds(setting(overlay, role, workload, "BERTH_STOP_DELAY"))
        least = stop + 10
        grace = pod_of(workload)["spec"]["terminationGracePeriodSeconds"]
        if grace < least:
            yield f"{where}: {grace} s, and it takes {least} s"


def every_variable_of_litestream_yml_is_set(rendered):
    names = set(re.findall(r"\$\{(\w+)\}", (ROOT / "litestream/litestream.yml").read_text()))
    known = settings("gateway")
    for overlay in rendered:
        gateway = overlay.role("gateway")
        sidecars = [found for found in containers_of(gateway) if found.get("args") == ["gateway", "replicate"]]
        if bool(sidecars) != replicated(overlay):
            yield f"{overlay.name}: replicas and a Litestream go together"
        for container in sidecars:
            found = overlay.environment(container)
            bucket = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]+)/[^$]+", found.get("BERTH_REPLICA", ""))
            # From what each of the names is made.
            made = {
                "BERTH_DATABASE": found.get("BERTH_GATEWAY_DATA"),
                "BERTH_LINEAGE": bucket and found.get("BERTH_POD"),
                "BERTH_REPLICA_BUCKET": bucket,
                "BERTH_REPLICA_ENDPOINT": found.get("BERTH_REPLICA_ENDPOINT", "https://Amazon's own"),
                "BERTH_REPLICA_PATH_STYLE": "follows from the endpoint",
                "BERTH_REPLICA_REGION": found.get("BERTH_REPLICA_REGION"),
            }
            for name in names:
                value = made[name] if name in made else found.get(name)
                if not value or (name not in made and name not in known):
                    yield f"{overlay.name}: {name} is not set"
            if "://" not in made["BERTH_REPLICA_ENDPOINT"]:
                yield f"{overlay.name}: BERTH_REPLICA_ENDPOINT is no URL"


def selectors_have_no_version_and_take_the_pods_that_are_meant(rendered):
    for overlay in rendered:
        templates = [pod_of(found)["metadata"]["labels"] for found in overlay.of(*WORKLOADS)]
        for found in overlay.all:
            spec, where = found.get("spec", {}), f"{overlay.name}: {found['kind']} {found['metadata']['name']}"
            selectors = [part for part in walk(spec) if isinstance(part, dict) and "matchLabels" in part]
            if found["kind"] == "Service":
                selectors.append({"matchLabels": spec["selector"]})
            for selector in selectors:
                labels = selector["matchLabels"]
                if any(label in VERSIONED for label in labels):
                    yield f"{where}: selects by a version: {labels}"
                ours = any(label.startswith("app.kubernetes.io/") for label in labels)
                if ours and not any(matches(selector, template) for template in templates):
                    yield f"{where}: selects nothing: {labels}"
            if found["kind"] in WORKLOADS and not matches(spec["selector"], pod_of(found)["metadata"]["labels"]):
                yield f"{where}: does not select its own pods"


def walk(value):
    """Yields a value and all that is in it."""
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(part)


def ports_are_those_that_the_roles_listen_on(rendered):
    for where, overlay, role, workload in roles(rendered):
        for container in containers_of(workload):
            found, declared = overlay.environment(container), container.get("ports", [])
            is_sidecar = container.get("restartPolicy") == "Always"
            mine = {}
            for name, port in LISTENS.items():
                if name in settings(role) and (name == "BERTH_LITESTREAM_METRICS") == is_sidecar:
                    mine[port] = int(found.get(name, settings(role)[name]).rsplit(":", 1)[1])
            if container is not main_of(workload) and not is_sidecar:
                mine = {}
            if {port["name"]: port["containerPort"] for port in declared} != mine:
                yield f"{where}: {container['name']} declares {declared} and listens on {mine}"
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in container and container[probe]["httpGet"]["port"] not in mine:
                    yield f"{where}: the {probe} asks port {container[probe]['httpGet']['port']}"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in main_of(workload):
                yield f"{where}: has no {probe}"
        if "readyz" in main_of(workload)["livenessProbe"]["httpGet"]["path"]:
            yield f"{where}: is restarted for what a restart does not mend"


def every_port_in_a_network_policy_is_listened_on(rendered):
    for overlay in rendered:
        pods = [
            (pod_of(found)["metadata"]["labels"], [port for one in containers_of(found) for port in one.get("ports", [])])
            for found in overlay.of(*WORKLOADS)
        ]

        def open_at(peers):
            taken = [port for labels, ports in pods if any(matches(peer, labels) for peer in peers) for port in ports]
            return {port["name"] for port in taken} | {port["containerPort"] for port in taken}

        for policy in overlay.of("NetworkPolicy"):
            where, spec = f"{overlay.name}: NetworkPolicy {policy['metadata']['name']}", policy["spec"]
            listening = open_at([spec["podSelector"]])
            is_ours = any(matches(spec["podSelector"], labels) for labels, _ in pods)
            for rule in spec.get("ingress", []):
                for port in rule.get("ports", [{"port": "all of them"}]):
                    if port["port"] not in (listening if is_ours else ELSEWHERE):
                        yield f"{where}: lets in to port {port['port']}, and nobody listens there"
            for rule in spec.get("egress", []):
                peers = [peer["podSelector"] for peer in rule.get("to", []) if "podSelector" in peer]
                there = open_at(peers)
                for port in rule.get("ports", [{"port": "all of them"}]):
                    if port["port"] not in (there or ELSEWHERE):
                        yield f"{where}: lets out to port {port['port']}, and nobody listens there"


def every_role_may_reach_those_whom_it_is_told_to(rendered):
    for where, overlay, _, workload in roles(rendered):
        labels = pod_of(workload)["metadata"]["labels"]
        if not overlay.one("NetworkPolicy", "default-deny"):
            yield f"{where}: nothing denies what is not allowed"
            continue
        for container in containers_of(workload):
            for name, value in overlay.environment(container).items():
                for host, port in re.findall(r"(?:^|[/,@])([a-z][a-z-]*):(\d+)", value if isinstance(value, str) else ""):
                    service = overlay.one("Service", host)
                    if service is None:
                        yield f"{where}: {name} names {host}, and there is no such Service"
                        continue
                    if int(port) not in [found["port"] for found in service["spec"]["ports"]]:
                        yield f"{where}: {name} names port {port} of {host}, which has {service['spec']['ports']}"
                    there = {"matchLabels": service["spec"]["selector"]}
                    target = next(pod_of(found) for found in overlay.of(*WORKLOADS)
                                  if matches(there, pod_of(found)["metadata"]["labels"]))  # fmt: skip
                    if not may_reach(overlay, labels, target["metadata"]["labels"]):
                        yield f"{where}: {name} names {host}, and the policies are in the way"


def may_reach(overlay, source, target):
    """Says whether policies let one pod out to another, and in there."""
    def passes(labels, direction, peers, other):
        return any(
            not rule.get(peers) or any(matches(peer.get("podSelector"), other) for peer in rule[peers] if "podSelector" in peer)
            for policy in overlay.of("NetworkPolicy") if matches(policy["spec"]["podSelector"], labels)
            for rule in policy["spec"].get(direction, [])
        )  # fmt: skip

    return passes(source, "egress", "to", target) and passes(target, "ingress", "from", source)


def permissions_are_those_that_are_used(rendered):
    for overlay in rendered:
        granted = {}
        for role in overlay.of("Role", "ClusterRole"):
            if role["kind"] != "Role":
                yield f"{overlay.name}: {role['metadata']['name']} is of the whole cluster"
            for rule in role["rules"]:
                for resource in [(group, name) for group in rule["apiGroups"] for name in rule["resources"]]:
                    granted[resource] = granted.get(resource, set()) | set(rule["verbs"])
                    if resource[0] == "apps" and rule.get("resourceNames") != ["gateway"]:
                        yield f"{overlay.name}: {role['metadata']['name']} is for more {resource[1]} than one"
        sets = "replicas" not in overlay.role("gateway")["spec"]
        asked = {resource: verbs for resource, verbs in ASKED.items() if sets or resource[1] != "statefulsets/scale"}
        for resource in sorted({*granted, *asked}):
            more, less = granted.get(resource, set()) - asked.get(resource, set()), asked.get(resource, set()) - granted.get(resource, set())
            if more or less:
                yield f"{overlay.name}: {resource}: nobody asks to {sorted(more)}, and nobody may {sorted(less)}"
        bound = {subject["name"] for found in overlay.of("RoleBinding", "ClusterRoleBinding") for subject in found["subjects"]}
        for workload in overlay.of(*WORKLOADS):
            spec = pod_of(workload)["spec"]
            account = spec["serviceAccountName"]
            if overlay.one("ServiceAccount", account) is None:
                yield f"{overlay.name}: {account} is no ServiceAccount here"
            if spec.get("automountServiceAccountToken", True) != (account in bound):
                yield f"{overlay.name}: {account} has a token exactly when it has permissions"


def every_setting_is_one_that_the_binary_knows(rendered):
    for where, overlay, role, workload in roles(rendered):
        for container in containers_of(workload):
            for name in overlay.environment(container):
                if name.startswith("BERTH_") and name not in settings(role):
                    yield f"{where}: {container['name']} has {name}, which {BERTH} does not know"
    for name, service in compose()["services"].items():
        for variable in service.get("environment", {}):
            role = (service.get("command") or [""])[0]
            if variable.startswith("BERTH_") and (role not in ROLES or variable not in settings(role)):
                yield f"docker-compose.yml: {name} has {variable}, which berth {role} does not know"
    platforms = example_secrets()["berth-platforms"]
    yield from (f"secrets.example: {name} is no setting" for name in platforms if name not in settings("http-service"))


def what_is_referred_to_is_there(rendered):
    secrets = example_secrets() | OTHERS_SECRETS
    for where, overlay, workload in workloads(rendered):
        for volume in pod_of(workload)["spec"].get("volumes", []):
            for item in volume.get("secret", {}).get("items", []):
                if item["key"] not in secrets.get(volume["secret"]["secretName"], set()):
                    yield f"{where}: nobody makes {item['key']} of {volume['secret']['secretName']}"
            if "secret" in volume and volume["secret"]["secretName"] not in secrets:
                yield f"{where}: nobody makes the Secret {volume['secret']['secretName']}"
        for container in containers_of(workload):
            seen = set()
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and reference["key"] not in secrets.get(reference["name"], set()):
                    yield f"{where}: nobody makes {reference['key']} of {reference['name']}"
                for name in re.findall(r"\$\((\w+)\)", variable.get("value") or ""):
                    if name not in seen:
                        yield f"{where}: {variable['name']} takes {name}, which is not set before it"
                seen.add(variable["name"])
            for source in container.get("envFrom", []):
                if "configMapRef" in source and not overlay.one("ConfigMap", source["configMapRef"]["name"]):
                    yield f"{where}: there is no ConfigMap {source['configMapRef']['name']}"
                if "secretRef" in source and source["secretRef"]["name"] not in secrets:
                    yield f"{where}: nobody makes the Secret {source['secretRef']['name']}"
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
            for name in mounted - {volume["name"] for volume in pod_of(workload)["spec"].get("volumes", [])} - set(claims):
                yield f"{where}: there is no volume {name}"


def images_are_pinned(rendered):
    images = [(where, found["image"]) for where, _, one in workloads(rendered) for found in containers_of(one)]
    images += [(overlay.name, found["spec"]["imageName"]) for overlay in rendered for found in overlay.of("Cluster")]
    images += [("docker-compose.yml", service["image"]) for service in compose()["services"].values()]
    dockerfile = (ROOT / "Dockerfile").read_text()
    values = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.M))
    for line in re.findall(r"^FROM (\S+)", dockerfile, re.M):
        images += [("Dockerfile", re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], line))] * (line != "scratch")
    for where, image in images:
        tag = image.rsplit("/", 1)[-1].partition("@sha256:")[2] or image.rsplit("/", 1)[-1].partition(":")[2]
        if not tag or tag == "latest" or not re.search(r"\d", tag):
            yield f"{where}: {image} is another one tomorrow"
    toolchain = re.search(r'channel = "(\S+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    if values["RUST_VERSION"] != toolchain:
        yield f"Dockerfile: RUST_VERSION is {values['RUST_VERSION']}, and rust-toolchain.toml has {toolchain}"
    tested = re.search(r"^litestream=(\S+)", (ROOT / "test").read_text(), re.M)[1]
    if values["LITESTREAM_VERSION"] != tested:
        yield f"Dockerfile: Litestream {values['LITESTREAM_VERSION']}, and {tested} is what is tested"


def pods_are_confined(rendered):
    for where, overlay, workload in workloads(rendered):
        spec = pod_of(workload)["spec"]
        if not spec["securityContext"].get("runAsNonRoot") or any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{where}: may be root, or see its node"
        for container in containers_of(workload):
            locked = container["securityContext"]
            if not locked["readOnlyRootFilesystem"] or locked["allowPrivilegeEscalation"] or locked["capabilities"] != {"drop": ["ALL"]}:
                yield f"{where}: {container['name']} is not locked in"
            if "memory" not in container["resources"]["limits"]:
                yield f"{where}: {container['name']} may take all memory"
    for overlay in rendered:
        labels = overlay.of("Namespace")[0]["metadata"]["labels"]
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{overlay.name}: the namespace holds nobody to it"


def gateways_come_and_go_as_the_protocol_needs_it(rendered):
    for overlay in rendered:
        gateway, where = overlay.role("gateway"), f"{overlay.name}: gateway"
        spec, pod = gateway["spec"], pod_of(gateway)["spec"]
        if spec["podManagementPolicy"] != "Parallel":
            yield f"{where}: a sick pod holds up the others"
        if spec["persistentVolumeClaimRetentionPolicy"] != {"whenDeleted": "Retain", "whenScaled": "Retain"}:
            yield f"{where}: volumes go with their pods"
        if not overlay.one("Service", spec["serviceName"])["spec"].get("publishNotReadyAddresses"):
            yield f"{where}: pods that are not ready have no name"
        if any(found["spec"]["scaleTargetRef"]["name"] == "gateway" for found in overlay.of("HorizontalPodAutoscaler", "ScaledObject")):
            yield f"{where}: something scales it that drains nothing"
        for name, field in (("BERTH_POD", "metadata.name"), ("BERTH_POD_UID", "metadata.uid")):
            for container in [one for one in containers_of(gateway) if one["image"] == main_of(gateway)["image"]]:
                given = overlay.environment(container).get(name)
                if not isinstance(given, dict) or given["fieldRef"]["fieldPath"] != field:
                    yield f"{where}: {container['name']} has {name} from elsewhere than {field}"
        if not replicated(overlay):
            continue
        first = [(found["name"], found.get("restartPolicy")) for found in pod["initContainers"]]
        if first != [("prepare", None), ("litestream", "Always")]:
            yield f"{where}: begins with {first}"
        if main_of(gateway)["args"] != ["gateway", "--prepare"] or not pod.get("shareProcessNamespace"):
            yield f"{where}: a container that restarts is not prepared, or does not see its Litestream"
        environments = [overlay.environment(found) for found in containers_of(gateway)]
        if any(found != environments[0] for found in environments):
            yield f"{where}: prepare, Litestream and gateway are not told the same"
        probe = main_of(gateway)["startupProbe"]
        if probe["periodSeconds"] * probe["failureThreshold"] < 2 * seconds(setting(overlay, "gateway", gateway, "BERTH_RESTORE_TIMEOUT")):
            yield f"{where}: is killed while it restores"


def disruptions_take_one_at_a_time(rendered):
    for where, overlay, role, _ in roles(rendered):
        budget = overlay.one("PodDisruptionBudget", role)
        if not budget or (budget["spec"].get("maxUnavailable"), budget["spec"].get("unhealthyPodEvictionPolicy")) != (1, "AlwaysAllow"):
            yield f"{where}: {budget}"
    for overlay in rendered:
        scaled = {found["spec"]["scaleTargetRef"]["name"] for found in overlay.of("HorizontalPodAutoscaler", "ScaledObject")}
        if scaled != {"http-service"} or "replicas" in overlay.role("http-service")["spec"]:
            yield f"{overlay.name}: http-service is scaled by one, and by nobody else: {scaled}"
        if len(overlay.of("HorizontalPodAutoscaler", "ScaledObject")) != 1:
            yield f"{overlay.name}: two scale one"


def numbers_that_belong_together_do(rendered):
    for where, overlay, role, workload in roles(rendered):
        if role == "config-service":
            told, are = setting(overlay, role, workload, "BERTH_CONFIG_REPLICAS"), workload["spec"]["replicas"]
            if told != str(are) or workload["spec"]["strategy"]["rollingUpdate"]["maxSurge"] != 0:
                yield f"{where}: is told of {told}, and there may be more than {are}"
        if role == "http-service":
            held = sum(int(setting(overlay, role, workload, name)) for name in ("BERTH_BODY_MEMORY", "BERTH_PARK_BYTES"))
            if held > 0.75 * size(main_of(workload)["resources"]["limits"]["memory"]):
                yield f"{where}: bodies of {held} bytes do not fit into its memory"


def the_world_sees_webhooks_and_pages_only(rendered):
    for overlay in rendered:
        paths = [path["path"] for found in overlay.of("Ingress") for rule in found["spec"]["rules"] for path in rule["http"]["paths"]]
        routes = [rule for found in overlay.of("HTTPRoute") for rule in found["spec"]["rules"]]
        paths += [match["path"]["value"] for rule in routes for match in rule["matches"]]
        if overlay.name != "dev" and sorted(paths) != ["/g", "/webhooks"]:
            yield f"{overlay.name}: lets the world see {paths}"
        for found in overlay.of("Service"):
            if found["spec"].get("type", "ClusterIP") != "ClusterIP":
                yield f"{overlay.name}: {found['metadata']['name']} is open to the world"


def every_port_that_is_scraped_has_metrics(rendered):
    for overlay in rendered:
        for monitor in overlay.of("PodMonitor"):
            pods = [found for found in overlay.of(*WORKLOADS)
                    if matches(monitor["spec"]["selector"], pod_of(found)["metadata"]["labels"])]  # fmt: skip
            names = {port["name"] for found in pods for one in containers_of(found) for port in one.get("ports", [])}
            for scraped in monitor["spec"]["podMetricsEndpoints"]:
                if scraped["port"] not in names or scraped["path"] != "/metrics":
                    yield f"{overlay.name}: nobody serves {scraped}"


def each_gateway_of_the_compose_file_is_a_pod_of_its_own(_):
    services = compose()["services"]
    gateways = [name for name, service in services.items() if service.get("command") == ["gateway", "--prepare"]]
    if len(gateways) != 3:
        yield f"three gateways: {gateways}"
    for number, name in enumerate(gateways):
        parts = [services[part] for part in (name, f"prepare-{number}", f"litestream-{number}")]
        if [part["command"][1] for part in parts] != ["--prepare", "prepare", "replicate"]:
            yield f"{name}: prepares, replicates and serves"
        if any(part["environment"] != parts[0]["environment"] or part["volumes"] != parts[0]["volumes"] for part in parts):
            yield f"{name}: its parts are not told the same"
        if any(part["pid"] != f"service:pod-{number}" for part in parts) or parts[0]["environment"]["BERTH_POD"] != name:
            yield f"{name}: its parts do not see each other"
        if parts[0]["volumes"] != [f"{name}:/var/lib/berth"] or parts[0]["environment"]["BERTH_GATEWAY_ADVERTISE"] != f"{name}:3002":
            yield f"{name}: shares its volume or its address"
    for name, service in services.items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: {port} is open to everybody"
        for wanted in service.get("depends_on", {}):
            if wanted not in services:
                yield f"{name}: waits for {wanted}, which is not there"


PROMISES = [
    the_grace_period_is_longer_than_drain_stop_and_last_upload,
    every_variable_of_litestream_yml_is_set,
    selectors_have_no_version_and_take_the_pods_that_are_meant,
    ports_are_those_that_the_roles_listen_on,
    every_port_in_a_network_policy_is_listened_on,
    every_role_may_reach_those_whom_it_is_told_to,
    permissions_are_those_that_are_used,
    every_setting_is_one_that_the_binary_knows,
    what_is_referred_to_is_there,
    images_are_pinned,
    pods_are_confined,
    gateways_come_and_go_as_the_protocol_needs_it,
    disruptions_take_one_at_a_time,
    numbers_that_belong_together_do,
    the_world_sees_webhooks_and_pages_only,
    every_port_that_is_scraped_has_metrics,
    each_gateway_of_the_compose_file_is_a_pod_of_its_own,
]
