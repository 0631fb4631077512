"""A stand-in for a Kubernetes API server and its Deployment controller, for the real kubectl.

It keeps objects, merges what is applied, and rolls a Deployment out as the controller does: a
ReplicaSet for each pod template, new pods until they are ready, then no old ones. Its pods answer
what `images` says of their image.
"""

import json
import re
import threading
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from urllib.parse import parse_qs, urlsplit

import yaml

REVISION = "deployment.kubernetes.io/revision"
KINDS = {
    "v1": {
        "Namespace": "namespaces",
        "Pod": "pods",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
        "ConfigMap": "configmaps",
    },
    "apps/v1": {"Deployment": "deployments", "ReplicaSet": "replicasets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "batch/v1": {"CronJob": "cronjobs"},
    "monitoring.coreos.com/v1": {
        "ServiceMonitor": "servicemonitors",
        "PrometheusRule": "prometheusrules",
    },
    "ray.io/v1": {"RayJob": "rayjobs"},
}
PLURALS = {
    plural: (group, kind) for group, kinds in KINDS.items() for kind, plural in kinds.items()
}
PLACE = re.compile(
    r"/apis?/(?P<group>[^/]+/v\w+|v1)/namespaces/(?P<namespace>[^/]+)/(?P<plural>\w+)"
    r"(/(?P<name>[^/]+))?(/(?P<rest>.*))?"
)


@dataclass
class Image:
    """How the pods of an image behave."""

    digest: str
    ready: bool = True
    # What the kubelet says of a pod that is not ready.
    state: dict = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    failing: float = 0.0


class Cluster:
    """The server; `url` is where it answers."""

    def __init__(self):
        self.objects, self.images, self.lock = {}, {}, threading.RLock()
        self.requests, self.metrics = [], {}
        # What is refused, as "verb plural", such as "patch deployments".
        self.forbidden = set()
        handler = type("Handler", (Handler,), {"cluster": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = "http://{}:{}".format(*self.server.server_address)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def configuration(self, folder):
        """Write a kubeconfig and return its path."""
        path = folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "stand-in", "cluster": {"server": self.url}}],
                    "users": [{"name": "tester", "user": {}}],
                    "contexts": [
                        {"name": "it", "context": {"cluster": "stand-in", "user": "tester"}}
                    ],
                    "current-context": "it",
                }
            ),
            "utf-8",
        )
        return path

    def all(self, plural, selector=""):
        """Return the objects of a kind that have the selector's labels."""
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        with self.lock:
            return [
                deepcopy(one)
                for (kind, _), one in sorted(self.objects.items())
                if kind == plural
                and wanted.items() <= (one["metadata"].get("labels") or {}).items()
            ]

    def apply(self, plural, name, patch):
        """Merge a patch into an object, which it makes where it is not there."""
        with self.lock:
            before = self.objects.get((plural, name))
            group, kind = PLURALS[plural]
            now = merged(before or {"apiVersion": group, "kind": kind}, patch)
            about = now["metadata"]
            changed = before is None or before.get("spec") != now.get("spec")
            about["generation"] = about.get("generation", 0) + changed
            about["resourceVersion"] = str(len(self.requests))
            about.setdefault("uid", f"uid-{plural}-{name}")
            self.objects[plural, name] = now
            if plural == "deployments" and changed:
                threading.Thread(target=self.roll_out, args=(name,), daemon=True).start()
            return deepcopy(now)

    def delete(self, plural, name):
        """Remove an object, and what belongs to it."""
        with self.lock:
            if self.objects.pop((plural, name), None) is None:
                return False
            for (kind, other), one in list(self.objects.items()):
                owners = one["metadata"].get("ownerReferences", [])
                if any(owner["name"] == name for owner in owners):
                    self.delete(kind, other)
            return True

    def roll_out(self, name):
        """Do as the Deployment controller does after a change of the Deployment."""
        sleep(0.1)
        with self.lock:
            if not (one := self.objects.get(("deployments", name))):
                return
            generation, template = one["metadata"]["generation"], one["spec"]["template"]
            mine = [rs for rs in self.all("replicasets") if owned(rs, name)]
            revision = 1 + max([0, *(int(rs["metadata"]["annotations"][REVISION]) for rs in mine)])
            same = [rs for rs in mine if rs["spec"]["template"] == template]
            new = same[0]["metadata"]["name"] if same else f"{name}-{revision}"
            owner = [{"kind": "Deployment", "name": name, "uid": one["metadata"]["uid"],
                      "apiVersion": "apps/v1", "controller": True}]  # fmt: skip
            self.apply("replicasets", new, {
                "metadata": {"name": new, "namespace": one["metadata"]["namespace"],
                             "labels": template["metadata"]["labels"], "ownerReferences": owner,
                             "annotations": {REVISION: str(revision)}},
                "spec": {"template": template, "selector": one["spec"]["selector"], "replicas": 1},
            })  # fmt: skip
            one["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
            (container,) = template["spec"]["containers"]
            image = self.images[container["image"]]
            count = one["spec"].get("replicas", 2)
            for number in range(count if image.ready else 1):
                self.start(new, number, template, image, one["metadata"]["namespace"])
            others = [rs["metadata"]["name"] for rs in mine if rs["metadata"]["name"] != new]
            if image.ready:
                for other in others:
                    self.end(other)
            there = {"observedGeneration": generation, "replicas": count, "updatedReplicas": count}
            if image.ready:
                one["status"] = there | {"availableReplicas": count, "readyReplicas": count}
                return
            old = one.get("status", {}).get("availableReplicas", 0)
            pods = {"replicas": old + 1, "updatedReplicas": 1, "availableReplicas": old}
            one["status"] = there | pods | {"unavailableReplicas": 1}
        sleep(0.5)
        with self.lock:
            if one["metadata"]["generation"] == generation:
                reason = "ProgressDeadlineExceeded"
                late = {"type": "Progressing", "status": "False", "reason": reason}
                one["status"]["conditions"] = [late]

    def start(self, replicaset, number, template, image, namespace):
        """Have a pod of a ReplicaSet, ready or not."""
        name = f"{replicaset}-{number}"
        state = {"running": {}} if image.ready else image.state
        self.apply("pods", name, {
            "metadata": {"name": name, "namespace": namespace,
                         "labels": template["metadata"]["labels"],
                         "ownerReferences": [{"kind": "ReplicaSet", "name": replicaset}]},
            "spec": template["spec"],
            "status": {"conditions": [{"type": "Ready", "status": str(image.ready)}],
                       "containerStatuses": [{"name": "service", "state": state}]},
        })  # fmt: skip

    def end(self, replicaset):
        """End the pods of a ReplicaSet."""
        for pod in self.all("pods"):
            if pod["metadata"]["ownerReferences"][0]["name"] == replicaset:
                self.delete("pods", pod["metadata"]["name"])

    def ask(self, pod, path):
        """Answer for a pod. Between two questions about its metrics, it answered 50 requests."""
        with self.lock:
            (container,) = self.objects["pods", pod]["spec"]["containers"]
            image = self.images[container["image"]]
            if path == "readyz":
                return json.dumps({"status": "ready", "model_digest": image.digest})
            asked = self.metrics[pod] = self.metrics.get(pod, 0) + 1
        bad = int(50 * asked * image.failing)
        return (
            "# TYPE ml_requests counter\n"
            f'ml_requests_total{{path="/predict",status="200"}} {50 * asked - bad}\n'
            f'ml_requests_total{{path="/predict",status="500"}} {bad}\n'
        )


def owned(replicaset, name):
    return replicaset["metadata"]["ownerReferences"][0]["name"] == name


def merged(base, patch):
    """Return `base` with `patch` merged into it: lists are replaced, null removes."""
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return deepcopy(patch)
    both = {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in both.items() if value is not None}


class Handler(BaseHTTPRequestHandler):
    """Speaks as much of the API as kubectl needs."""

    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("get")

    def do_PATCH(self):
        self.answer("patch")

    def do_DELETE(self):
        self.answer("delete")

    def do_POST(self):
        self.answer("create")

    def answer(self, verb):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.cluster.requests.append((verb, self.path))
        if (about := discovery(url.path)) is not None:
            self.send(200, about)
        elif not (place := PLACE.fullmatch(url.path)):
            self.fail(404, "NotFound", f"no such path: {url.path}")
        elif f"{verb} {place['plural']}" in self.cluster.forbidden:
            group = PLURALS[place["plural"]][0].rpartition("/")[0]
            what = f"{place['plural']}.{group}"
            reason = f'User "tester" cannot {verb} resource "{place["plural"]}"'
            self.fail(403, "Forbidden", f'{what} "{place["name"]}" is forbidden: {reason}')
        elif place["rest"]:
            pod, _, _ = place["name"].partition(":")
            self.send(200, self.cluster.ask(pod, place["rest"].removeprefix("proxy/")))
        elif place["name"]:
            self.one(verb, place["plural"], place["name"], body)
        elif query.get("watch"):
            self.watch(place["plural"], query)
        else:
            self.list(place["plural"], query)

    def one(self, verb, plural, name, body):
        key = (plural, name)
        if verb == "patch":
            kind = self.headers["Content-Type"]
            patch = json.loads(body) if "json" in kind else yaml.safe_load(body)
            if isinstance(patch, list):
                patch = from_operations(self.cluster.objects[key], patch)
            self.send(200, self.cluster.apply(plural, name, patch))
        elif verb == "delete" and self.cluster.delete(plural, name):
            self.send(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        elif verb == "get" and key in self.cluster.objects:
            self.send(200, self.cluster.objects[key])
        else:
            self.fail(404, "NotFound", f'{plural} "{name}" not found')

    def found(self, plural, query):
        found = self.cluster.all(plural, query.get("labelSelector", ""))
        name = query.get("fieldSelector", "").partition("metadata.name=")[2]
        return [one for one in found if name in ("", one["metadata"]["name"])]

    def list(self, plural, query):
        group, kind = PLURALS[plural]
        about = {"apiVersion": group, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}}
        self.send(200, {**about, "items": self.found(plural, query)})

    def watch(self, plural, query):
        """Send objects each time that they change, for a minute at most."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        sent, end = {}, monotonic() + 60
        try:
            while monotonic() < end:
                for one in self.found(plural, query):
                    name = one["metadata"]["name"]
                    if sent.get(name) != one:
                        kind = "MODIFIED" if name in sent else "ADDED"
                        sent[name] = one
                        line = json.dumps({"type": kind, "object": one})
                        self.wfile.write(f"{line}\n".encode())
                        self.wfile.flush()
                sleep(0.05)
        except OSError:
            pass  # kubectl has seen enough

    def fail(self, code, reason, message):
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self.send(code, {**status, "reason": reason, "message": message, "code": code})

    def send(self, code, body):
        text = body if isinstance(body, str) else json.dumps(body)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def from_operations(base, operations):
    """Return a JSON patch as an object to merge, where it only adds and replaces."""
    now = deepcopy(base)
    for one in operations:
        *parents, last = [part.replace("~1", "/") for part in one["path"].split("/")[1:]]
        place = now
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = one["value"]
    return now


def prefix(group):
    return f"/apis/{group}" if "/" in group else f"/api/{group}"


def schema(path):
    """Return the part of a group's OpenAPI that says who validates."""
    (group,) = [one for one in KINDS if prefix(one) == path]
    name, _, version = group.rpartition("/")
    return {
        "openapi": "3.0.0",
        "info": {"title": "stand-in", "version": "1"},
        "paths": {
            f"{path}/namespaces/{{namespace}}/{plural}/{{name}}": {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {
                        "group": name,
                        "version": version,
                        "kind": kind,
                    },
                }
            }
            for kind, plural in KINDS[group].items()
        },
    }


def discovery(path):
    """Say which kinds there are and that their fields are checked here, as kubectl asks first."""
    if path == "/openapi/v3":
        known = {url.removeprefix("/"): f"/openapi/v3{url}" for url in map(prefix, KINDS)}
        return {"paths": {one: {"serverRelativeURL": url} for one, url in known.items()}}
    if path.startswith("/openapi/v3/"):
        return schema(path.removeprefix("/openapi/v3"))
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [group for group in KINDS if "/" in group]
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": group.partition("/")[0],
                    "versions": [{"groupVersion": group, "version": group.partition("/")[2]}],
                    "preferredVersion": {
                        "groupVersion": group,
                        "version": group.partition("/")[2],
                    },
                }
                for group in groups
            ],
        }
    group = path.removeprefix("/apis/").removeprefix("/api/")
    if group not in KINDS:
        return None
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group,
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "namespaced": kind != "Namespace",
                "kind": kind,
                "verbs": verbs,
            }
            for kind, plural in KINDS[group].items()
        ],
    }
