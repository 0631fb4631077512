"""Checks of exactness, by what the syntax tree tells: seeds, determinism and order."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers import order, randomness
from groundwork.audit.readers.facts import fact
from groundwork.audit.readers.imports import imported
from groundwork.audit.readers.python import CELLS, NOTEBOOK, PYTHON, Module
from groundwork.audit.readers.randomness import keyword
from groundwork.audit.repository import Audited

DEEP = {"torch", "tensorflow", "keras", "lightning", "pytorch_lightning"}


class Exactness(Check):
    """A check of this family."""

    family = "exactness"
    reads = frozenset({PYTHON, NOTEBOOK, CELLS})

    def applies(self, repo: Audited) -> bool:
        """Return whether there is code."""
        return bool(repo.product)


class Seeded(Exactness):
    """A check that calls which draw numbers have a seed."""

    calls: ClassVar[Callable[[Module], Iterable[tuple[int, str]]]]

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return those without, in files that do not seed the global generator either."""
        for module in repo.product:
            if not randomness.seeds(module):
                for line, name in type(self).calls(module):
                    yield Finding(module.path, line, f"{name} has no random_state")


class SplitsSeeded(Seeded):
    """Splits, folds and samples have a seed."""

    id = "EX101"
    reason = "Another split gives another metric, and no comparison between runs holds."
    mend = "Pass `random_state`, from the parameters."
    command = "ruff check --select NPY,PD ."
    link = "https://scikit-learn.org/stable/common_pitfalls.html#controlling-randomness"
    calls = randomness.unseeded_splits


class EstimatorsSeeded(Seeded):
    """Estimators that draw random numbers have a seed."""

    id = "EX102"
    reason = "The same data then trains a different model each time."
    mend = "Pass `random_state`, from the parameters."
    command = "git grep -nE '(Forest|Boosting|KMeans|MLP)[A-Za-z]*[(]'"
    link = "https://scikit-learn.org/stable/common_pitfalls.html#controlling-randomness"
    calls = randomness.unseeded_estimators


class NumbersSeeded(Exactness):
    """Random numbers come from a generator with a seed."""

    id = "EX103"
    reason = "Numbers from an unseeded generator are others in each process."
    mend = "Make one `numpy.random.default_rng(seed)` and pass it on."
    command = "ruff check --select NPY002,S311 ."
    link = "https://numpy.org/doc/stable/reference/random/generator.html"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return numbers that nothing in the repository seeds."""
        scripts = {one.path: randomness.seeds(one) for one in repo.product}
        # A notebook is a process of its own, which modules do not seed by being there.
        anywhere = any(done for path, done in scripts.items() if path.endswith(".py"))
        for module in repo.product:
            seeded = scripts[module.path] or (anywhere and module.path.endswith(".py"))
            for line, told, drawn in randomness.unseeded_numbers(module):
                if not (drawn and seeded):
                    yield Finding(module.path, line, told)


@fact
def _trains_deep(module: Module) -> int:
    """Return the line where a network is trained, 0 where none is.

    That is a backward pass, `fit` of Keras, or a Trainer.
    """
    if DEEP & imported(module):
        for name, call in module.calls:
            last = name.rpartition(".")[2]
            if last in {"backward", "Trainer"} or (last == "fit" and keyword(call, "epochs")):
                return module.line(call)
    return 0


def trains_deep(repo: Audited) -> Iterator[tuple[Module, int]]:
    """Yield where code trains a network."""
    for module in repo.product:
        if line := _trains_deep(module):
            yield module, line


class NetworksSeeded(Exactness):
    """Training of a network sets the seed of its library."""

    id = "EX104"
    reason = "Weights begin at random numbers, and batches come in a random order."
    mend = "Call the library's own, such as `torch.manual_seed(seed)`, before the model is made."
    command = "git grep -nE 'manual_seed|set_seed|seed_everything|set_random_seed'"
    link = "https://docs.pytorch.org/docs/stable/notes/randomness.html"

    def applies(self, repo: Audited) -> bool:
        """Return whether a network is trained."""
        return next(trains_deep(repo), None) is not None

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the training if nothing seeds, neither code nor an argument named seed."""
        if any(randomness.seeds(one) for one in repo.product):
            return
        # The Trainer of transformers seeds by itself.
        if "transformers" in repo.imports:
            return
        module, line = next(trains_deep(repo))
        yield Finding(module.path, line, "trains, and nothing sets a seed")


class DeterministicKernels(Exactness):
    """Training on a GPU asks for deterministic kernels."""

    id = "EX105"
    reason = "Some GPU kernels add in any order; with a seed alone the last digits differ."
    mend = "Call `torch.use_deterministic_algorithms(True)`, or `deterministic=True` of a Trainer."
    command = "export CUBLAS_WORKSPACE_CONFIG=:4096:8"
    link = "https://docs.pytorch.org/docs/stable/notes/randomness.html"
    FLAGS = re.compile(
        r"use_deterministic_algorithms|cudnn\.deterministic\s*=\s*True|enable_op_determinism|"
        r"TF_DETERMINISTIC_OPS|enable_full_determinism|full_determinism|"
        r"[\"']?deterministic[\"']?\s*[=:]\s*[\"']?(True|true|warn)"
    )
    GPU = re.compile(
        r"\.cuda\(|cuda\.is_available|[\"']cuda\b|[\"']gpu[\"']|accelerator\s*=|MirroredStrategy"
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether a module trains a network, and knows of GPUs."""
        return next(self._on_gpu(repo), None) is not None

    def _on_gpu(self, repo: Audited) -> Iterator[tuple[Module, int]]:
        for module, line in trains_deep(repo):
            script = module.path.endswith(".py")
            if script and self.GPU.search(repo.text(module.path, PYTHON)):
                yield module, line

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the training if no code and no configuration has such a flag."""
        texts = [repo.text(one.path, PYTHON) for one in repo.product]
        texts += [repo.text(path) for path in repo.files.named("*.yaml", "*.yml", "*.toml")]
        if not any(self.FLAGS.search(one) for one in texts):
            module, line = next(self._on_gpu(repo))
            told = "trains, and nothing asks for deterministic kernels"
            yield Finding(module.path, line, told)


class SetsInOrder(Exactness):
    """Nothing that has an order is made from a set."""

    id = "EX106"
    reason = "Texts hash differently in each process, so a set of them is in another order."
    mend = "Sort it: `sorted(set(…))`, or keep the order by `dict.fromkeys(…)`."
    command = "PYTHONHASHSEED=1 pytest && PYTHONHASHSEED=2 pytest"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return sets that become lists, numberings or texts."""
        for module in repo.product:
            for line, told in order.unordered_sets(module):
                yield Finding(module.path, line, f"the order of {told} is not fixed")


class FoldersInOrder(Exactness):
    """Files of a folder are read in a fixed order."""

    id = "EX107"
    reason = "A folder is listed in the order of its file system: another on each machine."
    mend = "Sort the names: `sorted(folder.glob(…))`."
    command = "ruff check --preview --select PTH ."

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return listings whose order reaches what the code makes."""
        for module in repo.product:
            for line, told in order.unordered_folders(module):
                yield Finding(module.path, line, f"{told} is in the file system's order")


CHECKS = (
    SplitsSeeded,
    EstimatorsSeeded,
    NumbersSeeded,
    NetworksSeeded,
    DeterministicKernels,
    SetsInOrder,
    FoldersInOrder,
)
