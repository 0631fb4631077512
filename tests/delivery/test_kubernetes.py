"""What deploy/kubernetes makes: valid for the API, confined, and complete."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, which
from typing import Any

import kubernetes_validate as api
import pytest
import yaml

from tests.conftest import Render, copy_template
from tests.containers import checked, run
from tests.projects import replace

VERSION = "1.32"
# Who may call the service, in network.yaml.
CALLERS = """    - from:
        - namespaceSelector:
            matchLabels: {groundwork.org/calls-service: "true"}
      ports"""
OVERLAYS = ("staging", "production", "argo", "kept")
ANSWERS: dict[str, dict[str, Any]] = {
    "cpu": {"deploy": ["compose", "kubernetes"]},
    "cuda": {"deploy": ["kubernetes"], "framework": "pytorch", "accelerator": "cuda"},
    "ray": {"deploy": ["kubernetes"], "framework": "xgboost", "scale": "ray"},
}
# Kinds that operators add: kubernetes-validate does not know them.
ADDED = {"ServiceMonitor", "PrometheusRule", "Rollout", "AnalysisTemplate", "RayJob"}
Object = dict[str, Any]
CLAIM = {"claimName": "predictions"}


def built(project: Path, overlay: str) -> list[Object]:
    """Return an overlay's objects as kubectl makes them."""
    if not which("kubectl"):
        pytest.skip("not installed: kubectl")
    command = ["kubectl", "kustomize", project / "deploy/kubernetes" / overlay]
    return [one for one in yaml.safe_load_all(checked(run(command, dict(os.environ)))) if one]


def with_components(project: Path) -> Path:
    """Add an overlay for each component that a project may add, as the page says it is made."""
    folder = project / "deploy/kubernetes"
    for overlay, component in (("argo", "argo-rollouts"), ("kept", "predictions")):
        copytree(folder / "production", folder / overlay)
        added = f"components: [../monitoring, ../{component}]"
        replace(folder / overlay / "kustomization.yaml", {"components: [../monitoring]": added})
    return project


@pytest.fixture(scope="module")
def projects(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kubernetes")
    return {
        name: with_components(copy_template(template, folder / name, **answers))
        for name, answers in ANSWERS.items()
    }


def named(objects: list[Object], kind: str, name: str = "service") -> Object:
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the template of every pod, with a name."""
    for one in objects:
        match one["kind"]:
            case "Deployment":
                yield "service", one["spec"]["template"]
            case "CronJob":
                yield "retrain", one["spec"]["jobTemplate"]["spec"]["template"]
            case "RayJob":
                cluster = one["spec"]["rayClusterSpec"]
                yield "head", cluster["headGroupSpec"]["template"]
                for group in cluster["workerGroupSpecs"]:
                    yield group["groupName"], group["template"]


def loose(objects: list[Object]) -> set[str]:
    """Return what a pod may do that it does not need."""
    found = set()
    for name, template in pods(objects):
        pod = template["spec"]
        about = pod.get("securityContext", {})
        wanted = {
            "runs as root": about.get("runAsNonRoot") is not True or not about.get("runAsUser"),
            "seccomp": about.get("seccompProfile") != {"type": "RuntimeDefault"},
            "token": pod.get("automountServiceAccountToken") is not False,
            "host": any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            "volume": any(
                "emptyDir" not in one and one.get("persistentVolumeClaim") != CLAIM
                for one in pod.get("volumes", [])
            ),
        }
        for container in pod["containers"]:
            own, resources = container.get("securityContext", {}), container.get("resources", {})
            wanted |= {
                "writable root": own.get("readOnlyRootFilesystem") is not True,
                "escalation": own.get("allowPrivilegeEscalation") is not False,
                "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
                "requests": not {"cpu", "memory"} <= resources.get("requests", {}).keys(),
                "limits": not {"cpu", "memory"} <= resources.get("limits", {}).keys(),
            }
        found |= {f"{name}: {what}" for what, wrong in wanted.items() if wrong}
    accounts = [one for one in objects if one["kind"] == "ServiceAccount"]
    found |= {
        f"{one['metadata']['name']}: account's token"
        for one in accounts
        if one.get("automountServiceAccountToken") is not False
    }
    return found


def open_network(objects: list[Object]) -> set[str]:
    """Return how the network is open beyond what is meant."""
    policies = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "NetworkPolicy"}
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    found = set() if policies.get("default-deny") == deny else {"no default deny"}
    for name, spec in policies.items():
        if name != "default-deny" and not spec["podSelector"].get("matchLabels"):
            found.add(f"{name}: every pod")
        if any(not rule.get("from") or not rule.get("ports") for rule in spec.get("ingress", [])):
            found.add(f"{name}: anybody may call")
        if any(not rule.get("ports") and not rule.get("to") for rule in spec.get("egress", [])):
            found.add(f"{name}: may call anything")
    return found


def unsteady(objects: list[Object]) -> set[str]:
    """Return what would let requests get lost, or meet a release that is not proven."""
    deployment = named(objects, "Deployment")["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    paths = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    probes = {name: container.get(name, {}).get("httpGet", {}).get("path") for name in paths}
    startup = container.get("startupProbe", {})
    scaler, budget = (
        named(objects, "HorizontalPodAutoscaler"),
        named(objects, "PodDisruptionBudget"),
    )
    selectors = [
        named(objects, "Service")["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        deployment["selector"]["matchLabels"],
    ]
    canary = labels | {"groundwork.org/track": "canary"}
    wanted = {
        "probes": probes != paths,
        "time to start": startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)
        < 120,
        "rollout": deployment["strategy"].get("rollingUpdate", {}).get("maxUnavailable") != 0,
        "replicas fight the scaler": "replicas" in deployment,
        "drain": budget["spec"].get("maxUnavailable") != 1,
        "scaler": scaler["spec"]["scaleTargetRef"]["name"] != "service",
        "selectors": not all(one.items() <= labels.items() for one in selectors),
        "the canary gets no requests": not selectors[0].items() <= canary.items(),
        "the canary is the deployment's": selectors[2].items() <= canary.items(),
        "end": "preStop" not in container.get("lifecycle", {}),
        "reason of an end": container.get("terminationMessagePolicy") != "FallbackToLogsOnError",
    }
    return {what for what, wrong in wanted.items() if wrong}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("answers", ANSWERS)
def test_an_overlay_is_valid_confined_and_steady(
    projects: dict[str, Path], answers: str, overlay: str
) -> None:
    objects = built(projects[answers], overlay)
    unknown = set()
    for one in objects:
        try:
            api.validate(one, VERSION, strict=True)
        except api.SchemaNotFoundError:
            unknown.add(one["kind"])
    assert unknown <= ADDED
    assert {one["metadata"].get("namespace") for one in objects} == {
        f"my-ml-project-{'staging' if overlay == 'staging' else 'production'}"
    }
    assert (loose(objects), open_network(objects), unsteady(objects)) == (set(), set(), set())
    job = named(objects, "CronJob", "retrain")["spec"]
    assert job.get("suspend", False) is (overlay == "staging")
    assert job["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize("overlay", ["production", "ray"])
def test_a_gpu_is_asked_for_with_cuda_only(render: Render, overlay: str) -> None:
    for accelerator, wanted in (("cpu", {None}), ("cuda", {"1"})):
        given = {"framework": "xgboost", "scale": "ray", "accelerator": accelerator}
        objects = built(render(accelerator, deploy=["kubernetes"], **given), overlay)
        found = {
            name: container["resources"]["limits"].get("nvidia.com/gpu")
            for name, template in pods(objects)
            for container in template["spec"]["containers"]
        }
        assert found.pop("head", None) is None, "the head of a Ray cluster fits nothing"
        assert {*found.values()} == wanted


def test_a_ray_job_is_confined_and_reaches_what_it_needs(projects: dict[str, Path]) -> None:
    objects = built(projects["ray"], "ray")
    assert loose(objects) == set()
    job = named(objects, "RayJob", "retrain")["spec"]
    (group,) = job["rayClusterSpec"]["workerGroupSpecs"]
    workers = {
        one["value"]
        for name, template in pods(objects)
        for one in template["spec"]["containers"][0]["env"]
        if one["name"] == "ML_WORKERS"
    }
    assert workers == {str(group["replicas"])}
    policy = named(objects, "NetworkPolicy", "ray")["spec"]["podSelector"]["matchLabels"]
    assert all(policy.items() <= one["metadata"]["labels"].items() for _, one in pods(objects))


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("service", "runAsNonRoot: true", "runAsNonRoot: false", "service: runs as root"),
        ("service", "runAsUser: 10001", "runAsUser: 0", "service: runs as root"),
        ("service", "{type: RuntimeDefault}", "{type: Unconfined}", "service: seccomp"),
        ("service", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false",
         "service: writable root"),
        ("service", "allowPrivilegeEscalation: false", "privileged: false", "service: escalation"),
        ("service", "{drop: [ALL]}", "{drop: [NET_RAW]}", "service: capabilities"),
        ("service", 'limits: {cpu: "2", memory: 2Gi}', 'limits: {cpu: "2"}', "service: limits"),
        ("service", "  name: service\nautomountServiceAccountToken: false", "  name: service",
         "service: account's token"),
        ("service", "emptyDir: {sizeLimit: 1Gi}", "hostPath: {path: /tmp}", "service: volume"),
        ("retrain", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false",
         "retrain: writable root"),
        ("retrain", "runAsNonRoot: true", "runAsNonRoot: false", "retrain: runs as root"),
        ("network", "podSelector: {}\n  policyTypes: [Ingress, Egress]",
         "podSelector: {}\n  policyTypes: [Ingress]", "no default deny"),
        ("network", CALLERS, "    - ports", "service: anybody may call"),
        ("service", "maxUnavailable: 0", "maxUnavailable: 1", "rollout"),
        ("service", "failureThreshold: 150", "failureThreshold: 3", "time to start"),
        ("service", "path: /healthz", "path: /readyz", "probes"),
        ("service", "  # No `replicas`: the HorizontalPodAutoscaler decides.", "  replicas: 2",
         "replicas fight the scaler"),
        ("service", "selector: {app.kubernetes.io/component: service}",
         "selector: {groundwork.org/track: stable}", "the canary gets no requests"),
        ("service", "service, groundwork.org/track: stable}\n  template", "service}\n  template",
         "the canary is the deployment's"),
        ("scaling", "kind: Deployment, name: service", "kind: Deployment, name: other", "scaler"),
        ("scaling", "maxUnavailable: 1", "minAvailable: 1", "drain"),
    ],
)  # fmt: skip
def test_what_is_loosened_is_found(
    projects: dict[str, Path], tmp_path: Path, file: str, old: str, new: str, problem: str
) -> None:
    copytree(projects["cpu"] / "deploy", tmp_path / "deploy")
    replace(tmp_path / f"deploy/kubernetes/base/{file}.yaml", {old: new})
    objects = built(tmp_path, "production")
    assert problem in loose(objects) | open_network(objects) | unsteady(objects)


def test_a_field_that_the_api_does_not_know_is_found(
    projects: dict[str, Path], tmp_path: Path
) -> None:
    copytree(projects["cpu"] / "deploy", tmp_path / "deploy")
    replace(tmp_path / "deploy/kubernetes/base/scaling.yaml", {"minReplicas": "leastReplicas"})
    scaler = named(built(tmp_path, "production"), "HorizontalPodAutoscaler")
    with pytest.raises(api.ValidationError, match="leastReplicas"):
        api.validate(scaler, VERSION, strict=True)


def test_argo_takes_over_the_pods_and_their_scaling(projects: dict[str, Path]) -> None:
    objects = built(projects["cpu"], "argo")
    rollout = named(objects, "Rollout")["spec"]
    target = named(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["kind"] == "Rollout"
    assert rollout["workloadRef"]["name"] == named(objects, "Deployment")["metadata"]["name"]
    (template,) = rollout["strategy"]["canary"]["analysis"]["templates"]
    (metric,) = named(objects, "AnalysisTemplate", template["templateName"])["spec"]["metrics"]
    alert = rules(objects)["AnswersFail"]["expr"]
    assert metric["successCondition"].rpartition("<= ")[2] == alert.rpartition("> ")[2]


def test_the_prediction_log_can_outlive_its_pods(projects: dict[str, Path]) -> None:
    objects = built(projects["cpu"], "kept")
    (template,) = (one for name, one in pods(objects) if name == "service")
    (volume,) = (one for one in template["spec"]["volumes"] if one["name"] == "var")
    assert volume == {"name": "var", "persistentVolumeClaim": CLAIM}
    claim = named(objects, "PersistentVolumeClaim", CLAIM["claimName"])["spec"]
    assert claim["accessModes"] == ["ReadWriteMany"], "pods on several machines write to it"
    assert template["spec"]["securityContext"]["fsGroup"] == 10001
    before = dict(pods(built(projects["cpu"], "production")))
    template["spec"]["volumes"] = before["service"]["spec"]["volumes"]
    assert dict(pods(objects)) == before, "else it is what production is"


def rules(objects: list[Object]) -> dict[str, Object]:
    groups = named(objects, "PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_the_alerts_are_those_of_compose_but_for_its_gateway(projects: dict[str, Path]) -> None:
    project = projects["cpu"]
    ours = rules(built(project, "production"))
    theirs = yaml.safe_load((project / "deploy/monitoring/alerts.yml").read_text("utf-8"))
    groups = {group["name"]: group["rules"] for group in theirs["groups"]}
    assert groups.keys() == {"service", "gateway"}
    assert ours == {rule["alert"]: rule for rule in groups["service"]}


def test_what_is_scraped_has_the_labels_of_the_alerts(projects: dict[str, Path]) -> None:
    monitor = named(built(projects["cpu"], "production"), "ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    assert {one["targetLabel"] for one in endpoint["relabelings"]} == {"slot", "job"}
    service = named(built(projects["cpu"], "production"), "Service")
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
