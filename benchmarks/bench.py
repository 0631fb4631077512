"""Measure what people wait for, as ratios to the least that it could take.

Usage: bench.py [--quick | --cold [FRAMEWORK…]]

Seconds depend on the machine and on what else it does; ratios of two measurements taken in turn
hardly do. Without `--quick` every framework is set up, trained and reproduced, too.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
AIM_RATIO = 1.5
AIM_SECONDS = 60
FIRST = "scikit-learn"


def run(*command: object, cwd: Path = ROOT, home: Path | None = None) -> None:
    """Run a command quietly; what it said is shown if it fails."""
    environment = os.environ | ({"HOME": str(home)} if home else {})
    environment.pop("VIRTUAL_ENV", None)
    if home:
        environment = {k: v for k, v in environment.items() if not k.startswith("XDG_")}
        environment["UV_CACHE_DIR"] = str(home / ".cache/uv")
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {command[0]} failed: {done.stdout}{done.stderr}")


def seconds(action: Callable[[], None]) -> float:
    """Return how long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turn(times: int, *actions: Callable[[], None]) -> list[float]:
    """Return the median seconds of each action, measured in turn after one round to warm up."""
    rounds = [[seconds(action) for action in actions] for _ in range(times + 1)]
    return [statistics.median(column) for column in zip(*rounds[1:], strict=True)]


def told(what: str, value: float, over: float, base: str) -> None:
    """Print one ratio beside its aim."""
    verdict = "as aimed" if value / over <= AIM_RATIO else f"over the aim of {AIM_RATIO}"
    print(f"{what}: {value:.2f} s, {value / over:.2f} times {base} ({over:.2f} s), {verdict}")


def committed(folder: Path) -> Path:
    """Make a folder the repository that Copier takes templates from."""
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    who = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    run("git", *who, "commit", "--quiet", "--message", "As it stands", cwd=folder)
    return folder


def snapshot(into: Path) -> Path:
    """Copy what git does not ignore of the checkout, so that nothing else is measured."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    return committed(into)


def copy(template: Path, into: Path, **answers: str) -> None:
    """Render a template with `answers`, else its defaults, as a new process does."""
    if (template / "questions").exists():
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        answers = {"python_version": here, **answers}
    given = [part for pair in answers.items() for part in ("--data", "=".join(pair))]
    options = ("--defaults", "--overwrite", "--quiet", "--vcs-ref", "HEAD", *given)
    run(sys.executable, "-m", "copier", "copy", *options, template, into)


def bench_render(scratch: Path, template: Path) -> None:
    """Time a render against that of a template with one file and no question."""
    empty = scratch / "empty"
    (empty / "template").mkdir(parents=True)
    (empty / "copier.yml").write_text("_subdirectory: template\n", "utf-8")
    (empty / "template/README.md").write_text("# Empty\n", "utf-8")
    committed(empty)

    def timed(source: Path) -> Callable[[], None]:
        return lambda: copy(source, Path(tempfile.mkdtemp(dir=scratch)) / "p")

    full, least = in_turn(5, timed(template), timed(empty))
    told("render", full, least, "an empty template")


def bench_setup(scratch: Path, template: Path) -> None:
    """Time setup.sh, caches warm and no environment, against bare uv."""
    project = scratch / "project"
    copy(template, project)
    committed(project)
    environment, bare = project / ".venv", scratch / "bare"
    files = [project / "requirements" / name for name in ("main.txt", "dev.txt")]

    def setup() -> None:
        shutil.rmtree(environment, ignore_errors=True)
        run(project / "scripts/setup.sh", cwd=project)

    def uv() -> None:
        shutil.rmtree(bare, ignore_errors=True)
        run("uv", "venv", "--quiet", "--python", sys.executable, bare)
        python = ("--python", bare / "bin/python")
        run("uv", "pip", "sync", "--quiet", "--require-hashes", *python, *files)

    ours, least = in_turn(3, setup, uv)
    told("setup.sh, warm", ours, least, "bare uv")


def timed_way(
    scratch: Path, template: Path, home: Path | None, framework: str, state: str
) -> dict[str, float]:
    """Time each step from `copier copy` to a reproduced model, in seconds."""
    project = scratch / f"{framework}-{state}"
    cli = project / ".venv/bin/my-ml-project"

    def render() -> None:
        copy(template, project, framework=framework)
        committed(project)

    def command(name: str) -> Callable[[], None]:
        return lambda: run(cli, name, cwd=project, home=home)

    steps: dict[str, Callable[[], None]] = {
        "copy": render,
        "setup": lambda: run("scripts/setup.sh", cwd=project, home=home),
        **{name: command(name) for name in ("prepare", "train", "reproduce")},
    }
    took = {name: seconds(action) for name, action in steps.items()}
    shutil.rmtree(project)
    return took


def bench_way(scratch: Path, template: Path, cold: list[str]) -> None:
    """Time the way to a registered and reproduced model, for each framework.

    The caches are empty for those in `cold`, first in turn, and full for all after that.
    """
    least: dict[str, float] = {}
    for framework in frameworks(template):
        home = scratch / f"home-{framework}"
        home.mkdir()
        for state in ("cold", "warm") if framework in cold else ("warm",):
            own = home if framework in cold else None
            took = timed_way(scratch, template, own, framework, state)
            total = sum(took.values())
            least.setdefault(state, total)
            parts = ", ".join(f"{name} {value:.1f}" for name, value in took.items())
            verdict = ""
            if framework == FIRST:
                verdict = "as aimed" if total <= AIM_SECONDS else f"over the aim of {AIM_SECONDS} s"
            else:
                verdict = f"{total / least[state]:.1f} times {FIRST}"
            print(f"copy to reproduced, {framework}, {state}: {total:.1f} s ({parts}), {verdict}")
        shutil.rmtree(home)


def bench_ray(scratch: Path, template: Path) -> None:
    """Time a training that two workers share on Ray against the same in one process."""
    for framework in ("xgboost", "pytorch"):
        project = scratch / f"ray-{framework}"
        copy(template, project, framework=framework, scale="ray")
        committed(project)
        run("scripts/setup.sh", cwd=project)
        cli = project / ".venv/bin/my-ml-project"
        run(cli, "prepare", cwd=project)

        def train(workers: int, project: Path = project, cli: Path = cli) -> Callable[[], None]:
            def trained() -> None:
                os.environ["ML_WORKERS"] = str(workers)
                run(cli, "train", "--no-register", cwd=project)

            return trained

        plain, shared = in_turn(2, train(1), train(2))
        print(
            f"train, {framework}: {shared:.1f} s on two Ray workers of one machine, "
            f"{shared / plain:.1f} times one process ({plain:.1f} s)"
        )
        del os.environ["ML_WORKERS"]
        shutil.rmtree(project)


def frameworks(template: Path) -> list[str]:
    """Return every framework of the template, the one that all others are compared with first."""
    names = sorted(path.parent.name for path in template.glob("frameworks/*/dependencies.txt"))
    return sorted(names, key=lambda name: name != FIRST)


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="rendering and set-up alone")
    parser.add_argument(
        "--cold",
        nargs="*",
        metavar="FRAMEWORK",
        help="those to set up from an empty cache, too, which downloads up to 4 GB (default: all)",
    )
    given = parser.parse_args()
    # uv is beside this Python in the template's environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        template = snapshot(scratch / "template")
        bench_render(scratch, template)
        bench_setup(scratch, template)
        if not given.quick:
            cold = frameworks(template) if given.cold is None else given.cold
            bench_way(scratch, template, cold)
            bench_ray(scratch, template)


if __name__ == "__main__":
    main()
