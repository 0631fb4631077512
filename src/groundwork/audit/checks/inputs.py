"""Checks of exactness, of what comes from outside a commit: the clock, data and hubs."""

import ast
import re
from collections.abc import Iterator

from groundwork.audit.model import Finding
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
            tables = {one.partition(".")[0] for one in module.names.values()} & TABLES
            for name, call in module.calls:
                if name not in CLOCKS:
                    continue
                if _seeds(module, call):
                    yield Finding(module.path, module.line(call), f"{name}() is a seed")
                elif tables and "time.time" not in name and _in_column(module, call):
                    yield Finding(module.path, module.line(call), f"a column depends on {name}()")


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
        return bool(repo.imports & LEARNING) and next(_downloads(repo), None) is not None

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return downloads, in files that compute no hash and name none."""
        for module, call, name in _downloads(repo):
            text = repo.text(module.path)
            hashed = any(one.arg in HASHES and not is_none(one.value) for one in call.keywords)
            version = keyword(call, "version")
            numbered = isinstance(version, ast.Constant) and version.value != "active"
            openml = name.endswith("fetch_openml")
            if not hashed and not (openml and numbered) and not re.search(r"hashlib|sha256", text):
                last = name.rpartition(".")[2]
                told = f"{last}() downloads, and no hash is compared"
                yield Finding(module.path, module.line(call), told)


def _downloads(repo: Audited) -> Iterator[tuple[Module, ast.Call, str]]:
    for module in repo.product:
        for name, call in module.calls:
            if name not in DOWNLOADS:
                continue
            reads = "read_" in name
            first = call.args[0] if call.args else None
            remote = isinstance(first, ast.Constant) and re.match(
                r"(https?|ftp)://", str(first.value)
            )
            if not reads or remote:
                yield module, call, name


class DataVersioned(Exactness):
    """Data that the code reads is in the repository, or a hash of it is."""

    id = "EX110"
    reason = "A commit that does not say which data it was trained on cannot be run again."
    mend = "Commit small data; for large data use DVC or git LFS, or a manifest of SHA-256."
    command = "dvc init && dvc add data/ && git add data.dvc"
    days = 2
    READS = re.compile(
        r"(^|\.)(read_csv|read_parquet|read_json|read_excel|read_feather|read_pickle|scan_csv|"
        r"scan_parquet|read_table|loadtxt|genfromtxt|ImageFolder|image_dataset_from_directory)$"
    )
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

    def _reads(self, repo: Audited) -> Iterator[tuple[Module, ast.Call]]:
        for module in repo.product:
            for name, call in module.calls:
                if not self.READS.search(name):
                    continue
                first = call.args[0] if call.args else None
                written = isinstance(first, ast.Constant)
                # An address may be in a constant of the module.
                if "://" not in (
                    ast.unparse(first) if first and written else repo.text(module.path)
                ):
                    yield module, call

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the first read if neither data nor a hash is in the repository."""
        attributes = "".join(repo.text(one) for one in repo.files.named(".gitattributes"))
        if "filter=lfs" in attributes or repo.files.has(*self.EVIDENCE, *self.DATA):
            return
        if any(re.search(r"hashlib|pooch", repo.text(one.path)) for one in repo.product):
            return
        module, call = next(self._reads(repo))
        told = "reads data, of which the repository has neither files nor hashes"
        yield Finding(module.path, module.line(call), told)


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
            libraries = {one.partition(".")[0] for one in module.names.values()}
            if not libraries & {"transformers", "datasets", "diffusers", "torch", "peft"}:
                continue
            for name, call in module.calls:
                last = name.rpartition(".")[2]
                first = call.args[0] if call.args else None
                value = first.value if isinstance(first, ast.Constant) else None
                if not isinstance(value, str) or not re.fullmatch(r"[\w-]+/[\w.-]+", value):
                    continue
                hub = name == "torch.hub.load"
                if not (hub or last in {"from_pretrained", "load_dataset"}):
                    continue
                local = repo.files.has(f"{value}*")
                if not local and is_none(keyword(call, "revision")) and not (hub and ":" in value):
                    yield Finding(module.path, module.line(call), f"{value!r} has no revision")


CHECKS = (ClockIsNoInput, DownloadsHashed, DataVersioned, HubPinned)
