"""The images are built by real engines, used with the least rights, and hold what they need."""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.conftest import commit_all, copy_template, git
from tests.containers import (
    BASE,
    CERTIFICATES,
    MARKER,
    PYTHON,
    TOGETHER,
    Docker,
    Engine,
    checked,
    need,
    run,
)
from tests.projects import COMMAND, MINUTES, Project, free_port, give_other_rows, install

pytestmark = [pytest.mark.slow, TOGETHER]

TRAINED = ("prepare", "train", "promote")
STAGES = ("serving", "training", "tracking", "test")
# Put where it gets into an image: what is looked for would be found.
INSIDE = "src/my_ml_project/inside.py"
# Put where it must not get into one from, although all but the last were committed by mistake.
OUTSIDE = (".env", "data/train.csv", "secret.pem", ".netrc", "src/my_ml_project/stray.py")
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),  # noqa: S108
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--memory", "2g", "--pids-limit", "256"),
)
# Bring the champion to a folder, as a release has it.
RELEASE = """
import json
from pathlib import Path
from my_ml_project.ops.core import settings
from my_ml_project.ops.tracking import registry
config, folder = settings.settings(), Path("var/release")
version = registry.resolve(config, "champion")
registry.fetch(config, version, folder)
about = {"version": version.number, "run_id": version.run_id, "digest": version.digest}
about["bundle"] = version.bundle
(folder / "release.json").write_text(json.dumps(about))
"""
ASK = """
import sys, urllib.request as web
asked = web.Request(sys.argv[1], sys.stdin.buffer.read() or None)
print(web.urlopen(asked, timeout=60).read().decode())
"""


TOOLS = {"pip", "uv", "setuptools", "poetry", "pytest", "ruff"}
TRACKING = {"mlflow_skinny", "sqlalchemy"}
# Of each stage, some packages that it needs and all that it must not have.
PACKAGES: dict[str, tuple[set[str], set[str]]] = {
    "serving": ({"fastapi", "scikit_learn"}, TOOLS | TRACKING | {"mlflow", "matplotlib"}),
    "training": (TRACKING | {"matplotlib", "scikit_learn"}, TOOLS | {"mlflow"}),
    "tracking": (TRACKING | {"mlflow"}, TOOLS),
    "test": (TRACKING | {"pytest"}, set()),
}


@dataclass(frozen=True)
class Built:
    """A project's images in Docker, by stage."""

    commit: str
    tracked: set[str]
    images: dict[str, dict[str, str]]


@dataclass
class Content:
    """Every file in an image's layers, replaced and removed ones too, and markers in any."""

    files: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    markers: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def planted(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on the base's Python, committed, with much that must not get into an image."""
    root = tmp_path_factory.mktemp("images") / "planted"
    copy_template(template, root, python_version=PYTHON)
    git(root, "init", "--quiet", "--initial-branch", "main")
    for name in (*OUTSIDE, INSIDE):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {MARKER.decode()}{path.name}\n", "utf-8")
    with (root / ".git/info/exclude").open("a", encoding="utf-8") as exclude:
        exclude.write(f"{OUTSIDE[-1]}\n")
    git(root, "add", "--force", *OUTSIDE[:-1])
    commit_all(root, "Start")
    return root


def build(
    root: Path, engine: Engine, stages: tuple[str, ...], secrets: list[str], *options: str
) -> dict[str, Any]:
    """Build images and return what dist/manifest.json says."""
    project = Project(root, engine.environment | {"BASE_IMAGE": BASE})
    wanted = [part for stage in stages for part in ("--image", stage)]
    engine_options = ("--engine", engine.command, *secrets, "--", "--network", "host", *options)
    project.ok("scripts/build.sh", *wanted, *engine_options)
    manifest: dict[str, Any] = json.loads((root / "dist/manifest.json").read_text("utf-8"))
    return manifest


@pytest.fixture(scope="module")
def built(planted: Path, docker: Docker, secrets: list[str]) -> Iterator[Built]:
    install(planted, PYTHON)
    manifest = build(planted, docker, STAGES, secrets)
    assert manifest["dirty"] is False
    tracked = {*git(planted, "ls-files").split()}
    yield Built(manifest["commit"], tracked, manifest["images"])
    docker.forget(*(made["name"] for made in manifest["images"].values()))


def layers(archive: tarfile.TarFile) -> Iterator[tuple[str, Content]]:
    """Yield each file of what `docker save` wrote: a layer's content, or text about the image."""
    for member in archive:
        if not (data := archive.extractfile(member) if member.isfile() else None):
            continue
        content = Content()
        try:
            with tarfile.open(fileobj=data, mode="r:*") as layer:
                for file in layer:
                    content.files[file.name.removeprefix("./")] = file
                    found = layer.extractfile(file) if file.isreg() else None
                    content.markers |= markers(found.read() if found else b"")
        except tarfile.ReadError:
            data.seek(0)
            content = Content(markers=markers(data.read()))
        yield member.name, content


def markers(data: bytes) -> set[str]:
    if MARKER not in data:
        return set()
    return {found.decode() for found in re.findall(MARKER + rb"([\w.]+)", data)}


@pytest.fixture(scope="module")
def contents(
    built: Built, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Content]:
    """What is in each stage's image."""
    saved = tmp_path_factory.mktemp("saved") / "images.tar"
    names = {made["name"]: stage for stage, made in built.images.items()}
    docker.ok("save", "--output", saved, *names)
    with tarfile.open(saved) as archive:
        index = archive.extractfile("manifest.json")
        assert index
        images = json.load(index)
        # A layer that several images share may be there once, with links to it.
        links = {
            member.name: os.path.normpath(Path(member.name).parent / member.linkname)
            for member in archive
            if member.issym()
        }
        parts = dict(layers(archive))
    saved.unlink()
    found: dict[str, Content] = {}
    for image in images:
        whole = found[names[image["RepoTags"][0]]] = Content()
        for name in (image["Config"], *image["Layers"]):
            part = parts[links.get(name, name)]
            whole.files |= part.files
            whole.markers |= part.markers
    return found


def test_the_manifest_names_images_that_docker_has(built: Built, docker: Docker) -> None:
    assert {*built.images} == {*STAGES}
    for stage, made in built.images.items():
        (about,) = json.loads(docker.ok("image", "inspect", made["name"]))
        assert made["engine"] == "docker"
        assert made["digest"] == about["Id"]
        assert made["name"].startswith(f"my-ml-project-{stage}:{built.commit[:12]}-")
        assert about["Config"]["User"] == "10001:10001", "a number: Kubernetes compares with 0"
        if stage != "tracking":
            assert about["Config"]["Labels"]["org.opencontainers.image.revision"] == built.commit


def test_a_model_is_trained_and_served(built: Built, docker: Docker, tmp_path: Path) -> None:
    """Without root, rights or a file system to write to, and trained without a network."""
    training, serving = (built.images[stage]["name"] for stage in ("training", "serving"))
    volumes = [f"groundwork-{os.getpid()}-{name}" for name in ("var", "data")]
    kept = ("--volume", f"{volumes[0]}:/app/var", "--volume", f"{volumes[1]}:/app/data")
    train = ("run", "--rm", "--network", "none", *HARDENED, *kept)
    containers = [f"{volumes[0]}-copy", f"{volumes[0]}-serving"]
    try:
        docker.ok(*train, training, "prepare")
        told = docker.ok(*train, training, "train")
        assert re.search(r"^registered: version 1, challenger$", told, re.MULTILINE), told
        docker.ok(*train, training, "promote")
        docker.ok(*train, "--entrypoint", "python", training, "-c", RELEASE)
        docker.ok("create", "--name", containers[0], *kept, training)
        docker.ok("cp", f"{containers[0]}:/app/var/release", tmp_path / "release")
        run = json.loads((tmp_path / "release/bundle/provenance.json").read_text("utf-8"))
        assert run["code"]["commit"] == built.commit
        assert run["code"]["dirty"] == []

        port = free_port()
        with docker.networked():
            start = ("run", "--detach", "--name", containers[1], "--health-interval", "1s")
            reached = ("--publish", f"127.0.0.1:{port}:8000")
            given = ("--volume", f"{tmp_path}/release:/release:ro")
            docker.ok(*start, *HARDENED, *reached, *given, serving)
            serve(docker, containers[1], port, tmp_path / "release")
    finally:
        docker.ok("rm", "--force", *containers)
        docker.ok("volume", "rm", "--force", *volumes)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of images on this machine; yields where it is."""
    need("docker-registry")
    folder, address = tmp_path_factory.mktemp("registry"), f"127.0.0.1:{free_port()}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(settings), "utf-8")
    command = ["docker-registry", "serve", folder / "config.yml"]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as it,
    ):
        yield address
        it.terminate()


@pytest.fixture(scope="module")
def trained(
    template: Path,
    docker: Docker,
    buildah: Engine,
    registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """A project with a champion, whose builds may push to the registry here without TLS."""
    folder = tmp_path_factory.mktemp("trained")
    copy_template(template, folder / "p", python_version=PYTHON, deploy=["compose", "kubernetes"])
    install(folder / "p", PYTHON)
    registries = folder / "registries.conf"
    registries.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n', "utf-8")
    given = {
        "PATH": docker.environment["PATH"],
        "BASE_IMAGE": BASE,
        "CONTAINERS_REGISTRIES_CONF": str(registries),
    }
    project = Project(folder / "p", docker.environment | buildah.environment | given)
    for name in TRAINED:
        project.ok(COMMAND, name)
    return project


@pytest.fixture(scope="module")
def pushed(trained: Project, registry: str, secrets: list[str]) -> str:
    """The release of its champion by Buildah, as the registry has it: NAME@DIGEST."""
    return release(trained, secrets, "buildah", f"{registry}/team/model")[1]


def release(project: Project, secrets: list[str], engine: str, push: str = "") -> tuple[str, str]:
    """Build the champion's image; return its digest here, and what it was pushed as."""
    given = ("--push", push) if push else ()
    options = ("--engine", engine, *given, *secrets, "--", "--network", "host")
    told = project.ok("scripts/build.sh", "--release", *options)
    found = re.search(r"^ +(sha256:\S+) +my-ml-project-release:1$", told, re.MULTILINE)
    assert found, told
    names = re.findall(r"^ +pushed (\S+)$", told, re.MULTILINE)
    assert len(names) == bool(push), told
    return found[1], "".join(names)


def test_a_release_is_one_image_of_the_model_s_commit(
    trained: Project, docker: Docker, pushed: str, registry: str, secrets: list[str], tmp_path: Path
) -> None:
    """Built twice it is the same, whatever was committed since; alone it answers as trained."""
    project, root = trained, trained.root
    commit = git(root, "rev-parse", "HEAD").strip()
    name = f"{registry}/team/model"
    assert re.fullmatch(f"{name}@sha256:[0-9a-f]{{64}}", pushed)
    (root / "src/my_ml_project/later.py").write_text("LATER = True\n", "utf-8")
    commit_all(root, "Later")
    (root / "src/my_ml_project/uncommitted.py").write_text("LATER = True\n", "utf-8")
    bill = (root / "dist/image/image.cdx.json").read_bytes()
    shows_the_graph(json.loads(bill))
    # What is pushed is compressed, so its digest is another one than here, and as stable.
    assert release(project, secrets, "buildah", name)[1] == pushed
    assert (root / "dist/image/image.cdx.json").read_bytes() == bill
    assert {path.name for path in (root / "dist").rglob("*.*")} == {"image.tar", "image.cdx.json"}

    built, _ = release(project, secrets, "docker")
    (about,) = json.loads(docker.ok("image", "inspect", built))
    assert (root / "dist/image/image.cdx.json").read_bytes() == bill, "whichever engine built it"
    labels = about["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.version"] == "1"
    container, port = f"groundwork-{os.getpid()}-release", free_port()
    try:
        with docker.networked():
            start = ("run", "--detach", "--name", container, "--health-interval", "1s")
            reached = ("--publish", f"127.0.0.1:{port}:8000")
            docker.ok(*start, *HARDENED, *reached, about["Id"])
            docker.ok("cp", f"{container}:/release", tmp_path / "release")
            held = json.loads((tmp_path / "release/release.json").read_text("utf-8"))
            assert labels["org.groundwork.model.digest"] == held["digest"]
            code = docker.ok("exec", container, "ls", "src/my_ml_project")
            assert "model.py" in code
            assert "later.py" not in code
            assert "uncommitted.py" not in code
            serve(docker, container, port, tmp_path / "release")
    finally:
        docker.ok("rm", "--force", container)


def shows_the_graph(bill: dict[str, Any]) -> None:
    """Assert that a bill of materials has the image's packages, and what requires what."""
    assert bill["bomFormat"] == "CycloneDX"
    components = {one["name"].lower(): one for one in bill["components"]}
    assert {"fastapi", "scikit-learn", "starlette"} <= components.keys()
    assert not {"mlflow", "matplotlib", "pytest"} & components.keys(), "not in this image"
    assert all(one["purl"].startswith("pkg:pypi/") for one in components.values())
    requires = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert {one["bom-ref"] for one in components.values()} < requires.keys()
    root = bill["metadata"]["component"]["bom-ref"]
    reached, waiting = set(), [root]
    while waiting:
        reached.add(ref := waiting.pop())
        waiting += set(requires[ref]) - reached
    assert components["starlette"]["bom-ref"] in requires[components["fastapi"]["bom-ref"]]
    assert components["starlette"]["bom-ref"] not in requires[root]
    unreached = {name for name, one in components.items() if one["bom-ref"] not in reached}
    assert not unreached, "each is there because something requires it"


def serve(docker: Docker, container: str, port: str, release: Path) -> None:
    """Wait until it is healthy, get the scores that the model gave in training, and end it."""

    def state() -> dict[str, Any]:
        about: dict[str, Any] = json.loads(docker.ok("inspect", container))[0]["State"]
        return about

    until = monotonic() + 3 * MINUTES
    while (now := state())["Health"]["Status"] != "healthy":
        assert now["Running"], docker.run("logs", container)
        assert monotonic() < until, now
        sleep(0.5)

    def ask(path: str, given: str = "") -> dict[str, Any]:
        address = f"http://127.0.0.1:{port}/{path}"
        told = docker.inside(sys.executable, "-c", ASK, address, given=given)
        answer: dict[str, Any] = json.loads(told)
        return answer

    about = json.loads((release / "release.json").read_text("utf-8"))
    ready = ask("readyz")
    assert (ready["model_version"], ready["model_digest"]) == (
        str(about["version"]),
        about["digest"],
    )
    golden = json.loads((release / "bundle/golden.json").read_text("utf-8"))
    answer = ask("predict", json.dumps({"rows": golden["inputs"]}))
    assert len(answer["predictions"]) == len(golden["scores"]) > 0
    for given, expected in zip(answer["predictions"], golden["scores"], strict=True):
        assert isclose(given["score"], expected, rel_tol=golden.get("tolerance", 1e-9))
    assert answer["run_id"] == about["run_id"]
    docker.ok("stop", container)
    ended = state()
    assert (ended["ExitCode"], ended["OOMKilled"]) == (0, False), docker.run("logs", container)


# The pod of an overlay for an image, as the driver makes it. Podman publishes no port on the host's
# network, knows no named ones, and what it has pulled is not pulled again: that registry is apart.
POD = """
import sys, yaml
from pathlib import Path
from my_ml_project.ops.core import settings
from my_ml_project.ops.delivery import kubectl, release
made = release.Release(version="1", digest="", run_id="", commit="", image=sys.argv[1])
root = settings.settings().root
pod = kubectl.Cluster(root, root / "deploy/kubernetes/staging").workload(1, made)
spec = pod["spec"]["template"]["spec"]
spec["hostNetwork"] = True
(container,) = spec["containers"]
del container["ports"]
container["imagePullPolicy"] = "Never"
for name in ("startupProbe", "readinessProbe", "livenessProbe"):
    container[name]["httpGet"]["port"] = 8000
Path(sys.argv[2]).write_text(yaml.safe_dump(pod))
"""


def test_the_pod_of_a_cluster_answers_as_trained(
    trained: Project, buildah: Engine, pushed: str, tmp_path: Path
) -> None:
    """Run by Podman from the manifest, without root, rights or a file system to write to."""
    need("podman", "catatonit", "unshare", "nsenter", "ip")
    limits = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    (tmp_path / "containers.conf").write_text(limits, "utf-8")
    given = {name: trained.environment[name] for name in ("PATH", "CONTAINERS_REGISTRIES_CONF")}
    environment = buildah.environment | given
    environment["CONTAINERS_CONF"] = str(tmp_path / "containers.conf")
    quiet = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file")

    def podman(*arguments: object, inside: tuple[str, ...] = ()) -> str:
        return checked(run([*inside, "podman", *quiet, *arguments], environment))

    podman("pull", "--quiet", pushed)
    manifest = tmp_path / "pod.yaml"
    trained.ok(".venv/bin/python", "-c", POD, pushed, manifest)
    trained.ok(COMMAND, "export", "champion", tmp_path / "golden")
    golden = json.loads((tmp_path / "golden/bundle/golden.json").read_text("utf-8"))
    up = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        "unshare",
        "-n",
        "sh",
        "-c",
        "ip link set lo up; sleep 600",
    ]
    with subprocess.Popen(up, env=environment) as apart:
        there = ("nsenter", "-t", str(apart.pid), "-n")
        try:
            until = monotonic() + 10
            while "LOOPBACK,UP" not in checked(run([*there, "ip", "link"], environment)):
                assert monotonic() < until
                sleep(0.1)
            podman("kube", "play", manifest, inside=there)
            container = podman("ps", "--quiet", "--filter", "name=service-pod-0-service").strip()

            def ask(path: str, given: str = "") -> dict[str, Any]:
                asking = [*there, sys.executable, "-c", ASK, f"http://127.0.0.1:8000/{path}"]
                until = monotonic() + 2 * MINUTES
                while (done := run(asking, environment, given)).returncode:
                    assert monotonic() < until, podman("logs", container) + done.stderr
                    sleep(0.5)
                answer: dict[str, Any] = json.loads(done.stdout)
                return answer

            assert ask("readyz")["status"] == "ready"
            answer = ask("predict", json.dumps({"rows": golden["inputs"]}))
            scores = [one["score"] for one in answer["predictions"]]
            assert scores == pytest.approx(golden["scores"], rel=golden.get("tolerance", 1e-9))
            status = podman("exec", container, "grep", "-E", "^(Uid|CapEff|NoNewPrivs|Seccomp):",
                            "/proc/1/status", inside=there)  # fmt: skip
            limits = dict(line.split(":\t", 1) for line in status.splitlines())
            assert limits["Uid"].split() == ["10001"] * 4
            assert int(limits["CapEff"], 16) == 0
            assert (limits["NoNewPrivs"], limits["Seccomp"]) == ("1", "2")
            touched = run(
                [*there, "podman", *quiet, "exec", container, "touch", "/app/x"], environment
            )
            assert "Read-only file system" in touched.stderr
        finally:
            run([*there, "podman", *quiet, "kube", "down", manifest], environment)
            apart.terminate()


def test_the_scheduled_job_retrains_on_new_rows_and_pushes_them(
    trained: Project, tmp_path: Path
) -> None:
    """As the CronJob runs it, but for the container: from a clone, with MLflow elsewhere."""
    before, origin = trained.root, tmp_path / "origin"
    git(tmp_path, "clone", "--quiet", "--bare", str(before), "origin")
    home = tmp_path / "home"
    home.mkdir()
    given = {
        "REPOSITORY": str(origin),
        "HOME": str(home),
        "PATH": f"{before}/.venv/bin:{trained.environment['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite+pysqlite:///{before}/var/mlflow.db",
        "ML_COMMIT": "of the image",
    }

    def job(**changed: str) -> tuple[int, list[str], str]:
        done = trained.run("scripts/retrain.sh", **given, **changed)
        return done.returncode, done.stdout.splitlines(), done.stderr

    assert job() == (0, ["the rows are as recorded: nothing to retrain"], "")
    git(tmp_path, "clone", "--quiet", str(origin), "work")
    give_other_rows(tmp_path / "work")
    git(tmp_path / "work", "push", "--quiet", "origin", "main")

    status, told, error = job()
    assert status == 0, error
    branches = {*git(origin, "branch", "--format=%(refname:short)").split()} - {"main"}
    assert len(branches) == 1, told
    (branch,) = branches
    assert told[-1] == f"pushed {branch} for review"
    assert git(origin, "diff", "--name-only", "main", branch).split() == ["data/manifest.json"]
    assert "registered: version 2, challenger" in "\n".join(told)
    left = [path.name for path in home.iterdir()]
    assert not [name for name in left if name.startswith((".git", "retrain."))], left

    status, told, _ = job()
    assert status == 0
    assert f"the branch {branch} has these rows already" in told[-1]
    given["REPOSITORY"] = ""
    assert job()[0] == 1
    assert "REPOSITORY" in job()[2]
    given["REPOSITORY"] = str(origin)
    assert job(BRANCH="none")[0] != 0


def of_project(stage: str, tracked: set[str]) -> set[str]:
    """Return the project's files that belong into a stage's image, as /app has them."""
    code = {file for file in tracked if file.startswith("src/")} | {"pyproject.toml", "params.yaml"}
    match stage:
        case "tracking":
            return set()
        case "serving":
            return code
    shipped = ("requirements/", "tests/", "scripts/lib.sh", "scripts/image-packages.sh")
    more = {"poetry.lock", "tuning.json", "benchmark.json", "data/manifest.json"}
    return code | more | {file for file in tracked if file.startswith(shipped)}


def test_the_devcontainer_sets_the_project_up(
    planted: Path, docker: Docker, tmp_path: Path
) -> None:
    """As an editor does: it builds the stage, mounts the checkout, runs what comes after."""
    root = tmp_path / "workspace"
    git(tmp_path, "clone", "--quiet", str(planted), root.name)
    wanted = json.loads((root / ".devcontainer/devcontainer.json").read_text("utf-8"))
    recipe = wanted["build"]
    files = ("--file", root / ".devcontainer" / recipe["dockerfile"])
    options = ("--target", recipe["target"], "--network", "host", "--tag", "develop")
    base = ("--build-arg", f"BASE_IMAGE={BASE}")
    context = root / ".devcontainer" / recipe["context"]
    buildkit = docker.environment | {"DOCKER_BUILDKIT": "1"}
    checked(run(["docker", "build", *options, *base, *files, context], buildkit))
    for path in (root, *root.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    trusted = [f"--env={name}={CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
    mounted = ("--volume", f"{root}:/workspace", "--workdir", "/workspace")
    user = ("--user", wanted["remoteUser"], "--network", "host", *trusted)
    script = f"{wanted['postCreateCommand']} && scripts/test.sh --layer yours"
    told = docker.ok("run", "--rm", *mounted, *user, "develop", "bash", "-c", script)
    assert re.search(r"\d+ passed", told), told
    assert git(root, "-c", f"safe.directory={root}", "status", "--porcelain") == ""
    docker.forget("develop")


@pytest.mark.parametrize("stage", STAGES)
class TestContent:
    def test_nothing_of_the_project_but_what_the_image_needs(
        self, contents: dict[str, Content], built: Built, stage: str
    ) -> None:
        files = contents[stage].files
        assert {
            name[4:] for name, file in files.items() if file.isreg() and name[:4] == "app/"
        } == (of_project(stage, built.tracked))
        # What runs cannot change its own code.
        assert {files[name].uid for name in files if name.startswith("app/src/")} <= {0}

    def test_no_secret_and_no_stray_file_in_any_layer(
        self, contents: dict[str, Content], stage: str
    ) -> None:
        expected = set() if stage == "tracking" else {Path(INSIDE).name}
        assert contents[stage].markers == expected

    def test_no_compiler_cache_or_history(self, contents: dict[str, Content], stage: str) -> None:
        # An empty file, such as apt's lock, keeps nothing; a link to a compiler counts.
        files = contents[stage].files.items()
        names = [name for name, file in files if file.size or file.issym() or file.islnk()]
        assert "usr/bin/python3" in names
        compiler = r"(usr/)?(local/)?bin/([\w-]+-)?(gcc|cc|g\+\+|c\+\+|clang|ld|as|make)(-[\d.]+)?$"
        left = r"(tmp|cache|run/secrets|root/\.\w+|usr/src|var/lib/apt/lists)/.|.+_history$"
        assert [name for name in names if re.match(f"{compiler}|{left}", name)] == []
        parts = {part for name in names for part in Path(name).parts}
        assert not parts & {".git", ".hg", ".svn", ".env", ".netrc", ".pypirc", ".cache", ".ssh"}
        assert not parts & {".pytest_cache", ".ruff_cache", ".mypy_cache", ".bash_history"}

    def test_no_package_that_it_has_no_use_for(
        self, contents: dict[str, Content], stage: str
    ) -> None:
        installed = {
            found[1].lower()
            for name in contents[stage].files
            if (found := re.match(r"opt/venv/.*/([\w.]+)-[^/]+\.dist-info/METADATA", name))
        }
        needed, unwanted = PACKAGES[stage]
        assert needed <= installed
        assert not installed & unwanted


def test_a_commit_is_one_image_wherever_it_is_built(
    planted: Path, buildah: Engine, secrets: list[str], tmp_path: Path
) -> None:
    """Another folder, umask, time of the files and engine: the same."""
    need("podman")
    podman = Engine("podman", buildah.environment)
    digests = []
    for folder, umask, engine in (("one", 0o022, buildah), ("another/place", 0o077, podman)):
        before = os.umask(umask)
        try:
            git(tmp_path, "clone", "--quiet", str(planted), folder)
            for path in (tmp_path / folder / "src").rglob("*"):
                os.utime(path, (umask, umask))
            manifest = build(tmp_path / folder, engine, ("serving",), secrets)
        finally:
            os.umask(before)
        digests.append(manifest["images"]["serving"]["digest"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digests[0])
    assert digests[0] == digests[1]
    assert digests[0] in buildah.ok("images", "--no-trunc", "--format", "{{.Digest}}")


@pytest.mark.rare
def test_another_commit_is_another_image(
    planted: Path,
    buildah: Engine,
    secrets: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the same second and with the same files: only what names the commit is another."""
    root, digests = tmp_path / "one", set()
    git(tmp_path, "clone", "--quiet", str(planted), root.name)
    monkeypatch.setenv("GIT_COMMITTER_DATE", git(root, "log", "-1", "--format=%cI").strip())
    for message in ("One", "Another"):
        commit_all(root, message)
        (made,) = build(root, buildah, ("serving",), secrets)["images"].values()
        digests.add(made["digest"])
    assert len(digests) == 2
