"""Checks of deployment: it is known what runs, and how to go back."""

import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.containers import WORKLOADS, Container
from groundwork.audit.readers.documents import CONTAINERS, listed
from groundwork.audit.readers.facts import facts
from groundwork.audit.readers.python import NOTEBOOK, PYTHON, Module
from groundwork.audit.repository import Audited

from .containers import is_open

# Images of Docker Hub's without an owner: other bare names are what kustomize replaces.
OFFICIAL = {
    "nginx",
    "postgres",
    "redis",
    "python",
    "mysql",
    "mongo",
    "haproxy",
    "busybox",
    "alpine",
}
# Workloads that answer requests, where a rollout waits for them.
SERVING = WORKLOADS - {"Job", "CronJob", "Pod", "ReplicaSet"}


class Deployment(Check):
    """A check of this family."""

    family = "deployment"
    reads = frozenset({CONTAINERS})


class ImagesFixed(Deployment):
    """Images that Compose and Kubernetes run have a version."""

    id = "RD101"
    reason = "With `latest` nobody knows what runs, and going back means going nowhere."
    mend = "Name a version or a digest; kustomize and CI can write it."
    command = "kustomize edit set image NAME=REGISTRY/NAME@sha256:…"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether any image from a registry is run."""
        return any(one.image for one in repo.containers)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return open versions; what a variable or kustomize fills in is left out."""
        replaced = _replaced(repo)
        kustomized = bool(repo.files.named("kustomization.y*ml"))
        for one in repo.containers:
            name = one.image.partition(":")[0]
            placeholder = kustomized and "/" not in one.image and one.image not in OFFICIAL
            if not one.image or "$" in one.image or name in replaced or placeholder:
                continue
            if is_open(one.image):
                yield Finding(one.path, one.image_line, f"{one.image} leaves the version open")


def _replaced(repo: Audited) -> set[str]:
    """Return images of which a kustomization or a Compose build gives the version."""
    found: set[str] = set()
    for path in repo.files.named("kustomization.y*ml"):
        text = repo.text(path)
        found.update(re.findall(r"(?m)^\s*(?:- )?name:\s*[\"']?([\w./-]+)", text))
    for one in repo.containers:
        if "build" in one.about and isinstance(one.about.get("image"), str):
            found.add(str(one.about["image"]).partition(":")[0])
    return found


class WayBack(Deployment):
    """A page or a script says how to go back to the release before."""

    id = "RD102"
    reason = "The way back is needed when there is no time to find one."
    mend = "Write and try a command that goes back, and name it in the runbook."
    command = "kubectl rollout undo deployment/NAME"
    days = 2
    WORDS = re.compile(
        r"roll(ing)?[ -]?back|rollout undo|revert(ing)? (to|the)|restore the previous",
        re.IGNORECASE,
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether something is deployed from here."""
        return any(one.kind in SERVING for one in repo.containers) or bool(_deploys(repo))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no page, script or file of CI has such words."""
        texts = [*repo.prose.values(), *repo.scripts.values(), repo.ci_text]
        texts += [repo.text(one.path) for one in repo.code]
        if not any(self.WORDS.search(one) for one in texts):
            place = next((one for one in repo.containers if one.kind in SERVING), None)
            path = place.path if place else _deploys(repo)
            line = place.line if place else 0
            yield Finding(path, line, "is deployed, and nothing says how to go back")


def _deploys(repo: Audited) -> str:
    """Return a file of CI or a script that deploys, an empty text where there is none."""
    words = re.compile(
        r"kubectl (apply|set image|rollout)|helm (upgrade|install)|ecs (update-service|deploy)|"
        r"gcloud run deploy|az ml online-deployment|sagemaker (create|update)-endpoint|"
        r"docker stack deploy|gcloud (app|ai endpoints) deploy|serverless deploy|cdk deploy"
    )
    texts = {one.path: repo.text(one.path) for one in repo.workflows} | repo.scripts
    return next((path for path, text in texts.items() if words.search(text)), "")


class Ready(Deployment):
    """A workload that answers requests has a readiness probe."""

    id = "RD103"
    reason = (
        "Without one a rollout sends requests to a model that is still loading, or never loads."
    )
    mend = "Add `readinessProbe` with a path that answers once the model is loaded."
    command = "kubectl explain deployment.spec.template.spec.containers.readinessProbe"

    def applies(self, repo: Audited) -> bool:
        """Return whether there is such a workload."""
        return any(True for _ in _answering(repo))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return containers with a port and no probe."""
        for one in _answering(repo):
            if "readinessProbe" not in one.about:
                yield Finding(
                    one.path, one.line, f"{one.name} of a {one.kind} has no readinessProbe"
                )


def _answering(repo: Audited) -> Iterator[Container]:
    for one in repo.containers:
        if one.kind in SERVING and listed(one.about.get("ports")):
            yield one


class Bounded(Deployment):
    """A workload of Kubernetes has a limit of memory."""

    id = "RD104"
    reason = "One model that grows takes down its neighbours, and nobody can plan a node."
    mend = "Set `resources.requests` and `resources.limits.memory`."
    command = "kubectl set resources deployment/NAME --limits=memory=2Gi"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a workload."""
        return any(one.kind in WORKLOADS for one in repo.containers)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return containers without one; a patch of kustomize has only a part of a container."""
        for one in repo.containers:
            if one.kind in WORKLOADS and one.image:
                resources = one.about.get("resources")
                limits = resources.get("limits") if isinstance(resources, dict) else None
                if not isinstance(limits, dict) or "memory" not in limits:
                    yield Finding(one.path, one.line, f"{one.name} has no limit of memory")


class ModelsRecorded(Deployment):
    """Trained models are recorded with what they were made from."""

    id = "RD105"
    reason = (
        "A file model.pkl says neither which code and data made it, nor which one to go back to."
    )
    mend = "Log the model with its run in a registry, such as MLflow's, or make it a stage of DVC."
    command = "uv add mlflow"
    days = 3
    reads = frozenset({PYTHON, NOTEBOOK})
    TRACKERS = frozenset(
        {
            *("mlflow", "wandb", "neptune", "clearml", "comet_ml", "dvclive", "aim", "sagemaker"),
            *("azureml", "azure", "bentoml", "zenml", "metaflow", "kedro", "hopsworks", "swanlab"),
            *("huggingface_hub", "lightning", "pytorch_lightning", "determined", "trackio", "kfp"),
        }
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether modules train and save a model."""
        return any(True for _ in self._saved(repo))

    def _saved(self, repo: Audited) -> Iterator[Finding]:
        for module in repo.code:
            for line, name in _saved(module) if module.path.endswith(".py") else ():
                told = f"{name}() saves what was trained, and no registry knows it"
                yield Finding(module.path, line, told)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return where a model is saved if the code knows no tracker and DVC makes nothing."""
        if not repo.imports & self.TRACKERS and not repo.files.named("dvc.yaml", "*.dvc"):
            yield from self._saved(repo)


SAVES = {
    *("joblib.dump", "pickle.dump", "torch.save", "skops.io.dump", "dill.dump", "cloudpickle.dump")
}


@facts
def _saved(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each call that saves, in a module that trains."""
    if any(name.endswith((".fit", ".backward")) for name in module.called):
        for name, call in module.calls:
            if name in SAVES:
                yield module.line(call), name


CHECKS = (ImagesFixed, WayBack, Ready, Bounded, ModelsRecorded)
