"""Work on a Ray cluster: started here or there already, absent, out of reach or too small."""

import json
import os
import subprocess
import sys
import time

import pytest

from .. import example
from ..project import cluster, context, errors, model, package, tuning

# One cluster at a time: each takes two processors.
pytestmark = pytest.mark.xdist_group("workplace")
TWO = context.Context(seed=1, workers=2)
# Ray reads them once in a process: all clusters of these tests have the same.
os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64})
ELSEWHERE = """
import sys, tempfile
from importlib import import_module
from pathlib import Path
cluster = import_module(sys.argv[1])
with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
    with cluster.started(cluster.Context(seed=1, workers=2), Path(folder)) as address:
        print(address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def elsewhere(monkeypatch):
    """A cluster of another process, with two processors; RAY_ADDRESS names it."""
    with subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, cluster.__name__],
        env=os.environ | cluster.QUIETLY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        try:
            address = owner.stdout.readline().strip()
            assert address.rpartition(":")[2].isdecimal()
            monkeypatch.setenv("RAY_ADDRESS", address)
            yield
            assert owner.poll() is None
        finally:
            owner.stdin.close()  # its sign to end
            owner.wait(120)


@pytest.mark.slow
def test_a_search_on_two_workers_finds_what_one_process_finds(workplace, changed, monkeypatch):
    changed("tuning.json", "{", "{")  # so that it is put back
    monkeypatch.setattr(model, "SEARCH", example.SEARCH)
    record = workplace.root / "tuning.json"
    found, told = [], []
    for workers in (1, 2):
        config = workplace.config.model_copy(update={"workers": workers})
        lines: list[str] = []
        tuning.tune(config, say=lines.append)
        found.append(record.read_bytes())
        told.append(sorted(lines))
    assert found[0] == found[1]
    assert len(json.loads(found[0])["tried"]) == 2
    assert told[0] == told[1]
    assert len(told[0]) == 2


@pytest.mark.slow
def test_the_cluster_at_ray_address_gets_this_code_and_stays(elsewhere):
    name = package.__name__

    def judge(candidate: int):
        from importlib import import_module

        if candidate < 0:
            raise import_module(f"{name}.ops.core.errors").UserError("too small")
        return candidate**2, import_module(name).__file__

    told: dict[int, object] = {}
    found = cluster.search(judge, [3, 1, 2], TWO, told.__setitem__)
    assert [square for square, _ in found] == [9, 1, 4]
    assert all("py_modules" in file for _, file in found)
    assert told == dict(enumerate(found))
    with pytest.raises(errors.UserError, match=r"-1: too small"):
        cluster.search(judge, [1, -1], TWO, told.__setitem__)
    many = context.Context(seed=1, workers=64)
    with pytest.raises(errors.UserError, match="2 CPUs, too few for 64 workers"):
        cluster.search(judge, [1], many, told.__setitem__)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", "cannot be reached"),
        ("nowhere.invalid:6379", "cannot be reached"),
        ("nonsense", "cannot be reached"),
        ("ray://127.0.0.1:10001", "Ray's client"),
    ],
)
def test_an_address_without_a_cluster_is_told_at_once(monkeypatch, address, said):
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(errors.UserError, match=said) as caught, cluster.connected(TWO):
        pass
    assert "\n" not in str(caught.value)
    assert address in str(caught.value)
    assert time.monotonic() - started < 60


def test_ray_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.UserError, match="Ray is not installed"), cluster.connected(TWO):
        pass


def test_a_package_that_differs_between_machines_is_told():
    here = cluster.packages()
    cluster.same(here)
    cluster.same(here | {"of-another-machine": "1"})
    with pytest.raises(errors.UserError, match=r"numpy .*, not 0\.1"):
        cluster.same(here | {"numpy": "0.1"})
