"""Checks of exactness, of what comes from outside a commit: the clock, data and hubs."""

import ast
import re
from collections.abc import Iterator

from groundwork.audit.model import Finding
from groundwork.audit.readers.facts import facts
from groundwork.audit.readers.imports import imported
from groundwork.audit.readers.python import Module
from groundwork.audit.readers.randomness import SEEDING, is_none, keyword
from groundwork.audit.repository import Audited

from .exactness import Exactness
from .tests import LEARNING

CLOCKS = {
    *("datetime.datetime.now", "datetime.datetime.today", "datetime.date.today", "time.time"),
    *("datetime.datetime.utcnow", "time.time_ns", "time.perf_counter", "time.monotonic"),
    *("pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.Timestamp.utcnow"),
}
TABLES = {"pandas", "polars", "pyspark", "dask"}


class ClockIsNoInput(Exactness):
    """The clock is neither a seed nor a feature."""

    id = "EX108"
    reason = "What depends on the moment of the run is different in each run."
    mend = "Take the seed from the parameters, and the date from the data or an argument."
    command = "git grep -nE '(now|today|time)[(][)]'"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return clocks that seed, and clocks that columns are computed from."""
        for module in repo.product:
            for line, told in _clocks(module):
                yield Finding(module.path, line, told)


@facts
def _clocks(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line of each clock that is an input, and what it is."""
    tables = imported(module) & TABLES
    for name, call in module.calls:
        if name not in CLOCKS:
            continue
        if _seeds(module, call):
            yield module.line(call), f"{name}() is a seed"
        elif tables and "time.time" not in name and _in_column(module, call):
            yield module.line(call), f"a column depends on {name}()"


def _seeds(module: Module, call: ast.Call) -> bool:
    """Return whether a call is within an argument that is a seed."""
    for node in module.above(call):
        if isinstance(node, ast.keyword) and node.arg in {"seed", "random_state", "random_seed"}:
            return True
        if isinstance(node, ast.Call) and SEEDING.search(module.dotted(node.func)):
            return True
        if isinstance(node, ast.stmt):
            return False
    return False


def _in_column(module: Module, call: ast.Call) -> bool:
    """Return whether a column is set to what a difference with this clock gives."""
    differs = False
    for node in module.above(call):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            other = node.left if any(one is call for one in ast.walk(node.right)) else node.right
            differs |= any(isinstance(one, ast.Subscript) for one in ast.walk(other))
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            return (
                differs
                and isinstance(target, ast.Subscript)
                and isinstance(target.slice, ast.Constant)
                and isinstance(target.slice.value, str)
            )
        if isinstance(node, ast.stmt):
            return False
    return False


DOWNLOADS = {
    *("urllib.request.urlretrieve", "wget.download", "gdown.download", "gdown.cached_download"),
    *("pandas.read_csv", "pandas.read_parquet", "pandas.read_json", "pandas.read_excel"),
    *("polars.read_csv", "polars.read_parquet", "torch.hub.download_url_to_file"),
    *("tensorflow.keras.utils.get_file", "keras.utils.get_file"),
    *("torchvision.datasets.utils.download_url", "sklearn.datasets.fetch_openml"),
    "torchvision.datasets.utils.download_and_extract_archive",
}
HASHES = {"md5", "known_hash", "file_hash", "sha256", "hash_prefix", "checksum", "data_id"}


class DownloadsHashed(Exactness):
    """Data that the code downloads is checked by a hash."""

    id = "EX109"
    reason = (
        "What lies behind an address changes or goes, and a model is trained on something else."
    )
    mend = "Compare the file's SHA-256 with one that is in the repository, as pooch does."
    command = "sha256sum data/FILE >> data/SHA256SUMS"

    def applies(self, repo: Audited) -> bool:
        """Return whether code that learns from data downloads any."""
        return bool(repo.imports & LEARNING) and any(_downloads(one) for one in repo.product)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return downloads, in files that compute no hash and name none."""
        for module in repo.product:
            for line, name, hashed in _downloads(module):
                if not hashed and not re.search(r"hashlib|sha256", repo.text(module.path)):
                    yield Finding(module.path, line, f"{name}() downloads, and no hash is compared")


@facts
def _downloads(module: Module) -> Iterator[tuple[int, str, bool]]:
    """Yield the line and the name of each download, and whether it names a hash or a version."""
    for name, call in module.calls:
        if name not in DOWNLOADS:
            continue
        first = call.args[0] if call.args else None
        remote = isinstance(first, ast.Constant) and re.match(r"(https?|ftp)://", str(first.value))
        if "read_" in name and not remote:
            continue
        hashed = any(one.arg in HASHES and not is_none(one.value) for one in call.keywords)
        version = keyword(call, "version")
        numbered = isinstance(version, ast.Constant) and version.value != "active"
        openml = name.endswith("fetch_openml")
        yield module.line(call), name.rpartition(".")[2], hashed or (openml and numbered)


READS = re.compile(
    r"(^|\.)(read_csv|read_parquet|read_json|read_excel|read_feather|read_pickle|scan_csv|"
    r"scan_parquet|read_table|loadtxt|genfromtxt|ImageFolder|image_dataset_from_directory)$"
)


@facts
def _reads(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line of each read of data, and the text that it names, if it names one."""
    for name, call in module.calls:
        if READS.search(name):
            first = call.args[0] if call.args else None
            yield module.line(call), ast.unparse(first) if isinstance(first, ast.Constant) else ""


class DataVersioned(Exactness):
    """Data that the code reads is in the repository, or a hash of it is."""

    id = "EX110"
    reason = "A commit that does not say which data it was trained on cannot be run again."
    mend = "Commit small data; for large data use DVC or git LFS, or a manifest of SHA-256."
    command = "dvc init && dvc add data/ && git add data.dvc"
    days = 2
    EVIDENCE = (
        *("*.dvc", "dvc.yaml", "dvc.lock", "*/dvc.lock", "*/dvc.yaml", "*SHA256SUMS*", "*.sha256"),
        *("*manifest*.json", "*manifest*.y*ml", "*.md5", "*checksums*", "*registry.txt"),
    )
    DATA = (
        *("*.csv", "*.parquet", "*.csv.gz", "*.feather", "*.jsonl", "*.tsv", "*.xlsx", "*.npz"),
        *("*.npy", "*.arff", "*.h5", "*.hdf5", "*.xls", "*.dat", "*.zip", "*.pkl"),
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether the code reads tables or folders of images."""
        return next(self._reads(repo), None) is not None

    def _reads(self, repo: Audited) -> Iterator[tuple[Module, int]]:
        for module in repo.product:
            for line, written in _reads(module):
                # An address may be in a constant of the module.
                if "://" not in (written or repo.text(module.path)):
                    yield module, line

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the first read if neither data nor a hash is in the repository."""
        attributes = "".join(repo.text(one) for one in repo.files.named(".gitattributes"))
        if "filter=lfs" in attributes or repo.files.has(*self.EVIDENCE, *self.DATA):
            return
        if any(re.search(r"hashlib|pooch", repo.text(one.path)) for one in repo.product):
            return
        module, line = next(self._reads(repo))
        told = "reads data, of which the repository has neither files nor hashes"
        yield Finding(module.path, line, told)


class HubPinned(Exactness):
    """Models and data from a hub have a revision."""

    id = "EX111"
    reason = "Without a revision a hub gives what its owner uploaded last."
    mend = "Pass `revision=` with the commit that the hub shows."
    command = "git grep -nE 'from_pretrained|load_dataset|hub[.]load'"
    link = "https://huggingface.co/docs/transformers/main_classes/model"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return loads of a name written out as `owner/name`, without a revision."""
        for module in repo.product:
            for line, value in _unpinned(module):
                if not repo.files.has(f"{value}*"):
                    yield Finding(module.path, line, f"{value!r} has no revision")


@facts
def _unpinned(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each load from a hub without a revision."""
    if not imported(module) & {"transformers", "datasets", "diffusers", "torch", "peft"}:
        return
    for name, call in module.calls:
        first = call.args[0] if call.args else None
        value = first.value if isinstance(first, ast.Constant) else None
        if not isinstance(value, str) or not re.fullmatch(r"[\w-]+/[\w.-]+", value):
            continue
        hub = name == "torch.hub.load"
        if not (hub or name.rpartition(".")[2] in {"from_pretrained", "load_dataset"}):
            continue
        if is_none(keyword(call, "revision")) and not (hub and ":" in value):
            yield module.line(call), value


CHECKS = (ClockIsNoInput, DownloadsHashed, DataVersioned, HubPinned)
