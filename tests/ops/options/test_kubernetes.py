"""The driver of Kubernetes, with the real kubectl and a stand-in for the cluster."""

import json
import threading
from pathlib import Path

import pytest

from ..project import deploy, errors, kubectl, kubernetes, registry, settings
from .cluster import REVISION, Cluster, Image

DIGEST = "d" * 64
NAMES = {name: f"registry.test/model@sha256:{name * 64}" for name in "123456789abcdef"}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster whose images all serve the version's model."""
    cluster = Cluster()
    cluster.images = {name: Image(DIGEST) for name in NAMES.values()}
    monkeypatch.setenv("KUBECONFIG", str(cluster.configuration(tmp_path)))
    yield cluster
    cluster.close()


@pytest.fixture
def driver(tmp_path, monkeypatch, cluster):
    version = registry.Version("model", 3, "run", DIGEST, "c" * 40, ())
    monkeypatch.setattr(registry, "resolve", lambda *_: version)
    return another(tmp_path, canary_seconds=0)


def another(folder, **given):
    """The driver as another machine has it."""
    wanted = settings.settings(var_dir=folder / "var", **given)
    return deploy.drivers(wanted)["kubernetes-staging"]


def release(driver, image, **changed):
    """Deploy an image, with some settings."""
    driver.settings.image = NAMES[image]
    for name, value in changed.items():
        setattr(driver.settings, name, value)
    return deploy.deploy(driver)


def answering(cluster):
    """The images of the pods that are ready."""
    return {
        container["image"]
        for pod in cluster.all("pods")
        if pod["status"]["conditions"][0]["status"] == "True"
        for container in pod["spec"]["containers"]
    }


def history(driver):
    lines = (driver.folder / "history.jsonl").read_text("utf-8").splitlines()
    return [(one["outcome"], one.get("release"), one["reason"]) for one in map(json.loads, lines)]


def test_each_overlay_is_an_environment(driver):
    assert {*deploy.drivers(driver.settings)} >= {"kubernetes-staging", "kubernetes-production"}
    assert driver.cluster.namespace.endswith("-staging")


def test_a_release_is_rolled_out_with_all_that_the_overlay_has(driver, cluster):
    release(driver, "1")
    status = driver.status()
    assert (status["state"], status["release"], status["version"]) == ("answering", 1, "3")
    assert status["image"] == NAMES["1"]
    assert answering(cluster) == {NAMES["1"]}
    kinds = {kind for kind, _ in cluster.objects}
    assert {"networkpolicies", "horizontalpodautoscalers", "cronjobs", "configmaps"} <= kinds
    assert history(driver) == [("ok", 1, None)]


def test_a_new_release_shares_the_requests_first(driver, cluster):
    release(driver, "1")
    entry = release(driver, "2", canary_seconds=0.5)
    assert entry["canary"].startswith("canary: ")
    assert "not enough" not in entry["canary"]
    assert answering(cluster) == {NAMES["2"]}
    assert ("deployments", "service-canary") not in cluster.objects
    status = driver.status()
    assert (status["release"], status["previous"], status["kept"]) == (2, 1, [1, 2])


def test_a_canary_that_fails_requests_is_ended_and_the_rest_stays_untouched(driver, cluster):
    release(driver, "1")
    before = cluster.objects["deployments", "service"]["metadata"]["generation"]
    cluster.images[NAMES["2"]].failing = 0.5
    with pytest.raises(errors.UserError, match=r"canary: \d+ of \d+ requests failed"):
        release(driver, "2", canary_seconds=5)
    assert answering(cluster) == {NAMES["1"]}
    assert cluster.objects["deployments", "service"]["metadata"]["generation"] == before
    assert ("deployments", "service-canary") not in cluster.objects
    assert driver.status()["release"] == 1


@pytest.mark.parametrize(
    ("seconds", "state", "reason"),
    [
        (0, {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
         "ImagePullBackOff: not found"),
        (0.5, {"terminated": {"exitCode": 1, "message": "loading\ngolden prediction 0 is 0.5\n"}},
         "golden prediction 0 is 0.5"),
    ],
    ids=["without a canary", "as a canary"],
)  # fmt: skip
def test_a_rollout_that_fails_returns_and_says_what_the_pod_says(
    driver, cluster, state, reason, seconds
):
    release(driver, "1")
    cluster.images[NAMES["2"]] = Image(DIGEST, ready=False, state=state)
    with pytest.raises(errors.UserError) as failed:
        release(driver, "2", canary_seconds=seconds)
    assert str(failed.value).endswith(f"exceeded its progress deadline; {reason}")
    assert answering(cluster) == {NAMES["1"]}
    status = driver.status()
    assert (status["state"], status["release"], status["kept"]) == ("answering", 1, [1])
    assert [entry[:2] for entry in history(driver)] == [("ok", 1), ("failed", 2)]
    assert reason in history(driver)[1][2]
    # The number is not given twice.
    assert release(driver, "3")["release"] == 3


def test_a_first_release_that_fails_leaves_no_pods(driver, cluster):
    cluster.images[NAMES["1"]].ready = False
    with pytest.raises(errors.UserError, match="progress deadline"):
        release(driver, "1")
    assert ("deployments", "service") not in cluster.objects
    assert cluster.all("pods") == []
    assert driver.status()["state"] == "stopped"


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_an_image_of_another_model_does_not_stay(driver, cluster, seconds):
    release(driver, "1")
    cluster.images[NAMES["2"]].digest = "e" * 64
    with pytest.raises(errors.UserError, match="serves another model than version 3"):
        release(driver, "2", canary_seconds=seconds)
    assert answering(cluster) == {NAMES["1"]}


def test_any_machine_can_roll_back_to_a_release_that_the_cluster_keeps(driver, cluster, tmp_path):
    for image in "123":
        release(driver, image)
    elsewhere = another(tmp_path / "elsewhere")
    assert deploy.rollback(elsewhere)["release"] == 2
    assert answering(cluster) == {NAMES["2"]}
    assert deploy.rollback(driver, 1)["release"] == 1
    assert answering(cluster) == {NAMES["1"]}
    status = driver.status()
    assert (status["release"], status["image"], status["kept"]) == (1, NAMES["1"], [1, 2, 3])
    with pytest.raises(errors.UserError, match="there is no release 7; kept are 1, 2, 3"):
        deploy.rollback(driver, 7)


def test_a_rollback_that_fails_returns_too(driver, cluster):
    release(driver, "1")
    release(driver, "2")
    cluster.images[NAMES["1"]].ready = False
    with pytest.raises(errors.UserError, match="progress deadline"):
        deploy.rollback(driver)
    assert answering(cluster) == {NAMES["2"]}
    assert driver.status()["release"] == 2


def test_old_releases_are_forgotten_but_not_the_one_that_answers(driver, monkeypatch):
    monkeypatch.setattr(deploy, "KEEP", 2)
    for image in "1234":
        release(driver, image)
    assert driver.releases.kept() == [3, 4]


def test_stopped_nothing_answers_until_the_next_deployment(driver, cluster):
    release(driver, "1")
    deploy.stop(driver)
    assert driver.status()["state"] == "stopped"
    assert cluster.all("pods") == []
    assert ("networkpolicies", "default-deny") in cluster.objects
    release(driver, "2")
    assert driver.status()["release"] == 2


@pytest.mark.parametrize("image", ["", "registry.test/model:3", "registry.test/m@sha256:1234"])
def test_an_image_without_its_digest_is_refused(driver, cluster, image):
    driver.settings.image = image
    with pytest.raises(errors.UserError, match="by its digest: set ML_IMAGE=NAME@sha256:…"):
        deploy.deploy(driver)
    assert cluster.objects == {}


@pytest.mark.parametrize("refused", ["patch deployments", "get replicasets"])
def test_without_permission_nothing_changes(driver, cluster, refused):
    release(driver, "1")
    cluster.forbidden = {refused}
    with pytest.raises(errors.UserError, match=r"forbidden: User \S+ cannot") as failed:
        release(driver, "2")
    assert "\n" not in str(failed.value)
    cluster.forbidden = set()
    assert answering(cluster) == {NAMES["1"]}
    assert driver.status()["release"] == 1
    assert history(driver)[-1][0] == "failed"


def test_a_cluster_that_cannot_be_reached_is_one_line(driver, cluster):
    cluster.close()
    for action in (driver.status, lambda: release(driver, "1"), lambda: deploy.stop(driver)):
        with pytest.raises(errors.UserError, match="refused") as failed:
            action()
        assert "\n" not in str(failed.value)
    assert [outcome for outcome, *_ in history(driver)] == ["failed", "failed"]


def test_a_connection_lost_on_the_way_says_that_the_cluster_goes_on(driver, cluster, monkeypatch):
    release(driver, "1")
    rollout = kubectl.Cluster.rollout

    def lose(self, *given):
        cluster.close()
        rollout(self, *given)

    monkeypatch.setattr(kubectl.Cluster, "rollout", lose)
    with pytest.raises(errors.UserError, match=r"the cluster could not be told to return \(.+\)"):
        release(driver, "2")
    assert history(driver)[-1][0] == "failed"


def test_a_killed_deployment_is_ended_by_a_rollback(driver, cluster, monkeypatch):
    release(driver, "1")
    cluster.images[NAMES["2"]].ready = False
    # As a killed process does: it neither waits nor returns.
    monkeypatch.setattr(
        kubectl.Cluster, "rollout", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    monkeypatch.setattr(driver, "abandon", lambda _: None)
    monkeypatch.setattr(driver.releases, "drop", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        release(driver, "2")
    monkeypatch.undo()
    monkeypatch.setenv("KUBECONFIG", str(cluster.configuration(Path(driver.folder))))
    assert answering(cluster) == {NAMES["1"]}
    assert deploy.rollback(driver)["release"] == 1
    assert driver.status()["release"] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resources: [nowhere]\nnamespace: x\n", "nowhere"),
        ("resources: []\nnamespace: x\n", "must have one Deployment, service"),
    ],
)
def test_an_overlay_that_is_wrong_is_one_line(tmp_path, cluster, text, reason):
    (tmp_path / "kustomization.yaml").write_text(text, "utf-8")
    wrong = kubernetes.Kubernetes(settings.settings(var_dir=tmp_path / "var"), tmp_path)
    with pytest.raises(errors.UserError, match=reason) as failed:
        deploy.deploy(wrong)
    assert "\n" not in str(failed.value)
    assert cluster.objects == {}


def test_without_kubectl_one_line_says_so(driver, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.UserError, match="kubectl cannot be run"):
        driver.status()


def test_pods_that_come_and_go_are_counted_once(driver, cluster):
    release(driver, "1")
    pods = kubectl.Pods(driver.cluster, kubectl.STABLE)
    assert pods()["requests"] == 0
    assert pods()["requests"] == 100  # 50 of each of two pods
    first, second = sorted(pod["metadata"]["name"] for pod in cluster.all("pods"))
    cluster.delete("pods", second)
    assert pods()["requests"] == 150
    with cluster.lock:
        cluster.metrics[second] = 0
    cluster.start(first.rpartition("-")[0], 1, *_of(cluster))
    assert pods()["requests"] == 150  # a new process counts from nothing
    assert pods()["failed"] == 0


def _of(cluster):
    deployment = cluster.objects["deployments", "service"]
    return deployment["spec"]["template"], Image(DIGEST), deployment["metadata"]["namespace"]


def test_two_deployments_at_once_are_one(driver, cluster, tmp_path):
    release(driver, "1")
    cluster.images[NAMES["2"]].ready = False
    driver.settings.image = NAMES["2"]
    ended = []
    first = threading.Thread(target=lambda: ended.append(_failing(driver)))
    first.start()
    while not (driver.folder / "attempt.json").exists():
        pass
    with pytest.raises(errors.UserError, match="another deployment is under way"):
        deploy.deploy(another(tmp_path, canary_seconds=0, image=NAMES["3"]))
    first.join()
    assert "progress deadline" in ended[0]


def _failing(driver):
    with pytest.raises(errors.UserError) as failed:
        deploy.deploy(driver)
    return str(failed.value)


def test_the_revision_of_a_deployment_is_the_clusters(driver, cluster):
    release(driver, "1")
    (one,) = cluster.all("replicasets")
    assert one["metadata"]["annotations"][REVISION] == "1"
    assert {*driver.cluster.revisions()} == {1}
