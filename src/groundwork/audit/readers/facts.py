"""What checks ask of each module, answered once, and of many modules by several processes.

A syntax tree is larger than its file and slow to pass on; what is found in it is small.
"""

from __future__ import annotations

import gc
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import wraps
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from .python import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
# Below, processes take longer to start than they save.
MANY, PART = 300, 40
_OF_CODE: dict[str, Callable[[Module], Any]] = {}
_OF_TESTS: dict[str, Callable[[Module], Any]] = {}


def fact(find: Callable[[Module], T]) -> Callable[[Module], T]:
    """Make what a function finds in code a fact: found once, in whichever process.

    It is to be made of plain values, such as lines instead of nodes.
    """
    return _registered(find, _OF_CODE)


def facts(find: Callable[[Module], Iterator[T]]) -> Callable[[Module], list[T]]:
    """Make all that a generator finds in code a fact."""

    @wraps(find)
    def listed(module: Module) -> list[T]:
        return list(find(module))

    return _registered(listed, _OF_CODE)


def of_tests(find: Callable[[Module], T]) -> Callable[[Module], T]:
    """Make what a function finds in a module of tests a fact."""
    return _registered(find, _OF_TESTS)


def _registered(
    find: Callable[[Module], T], among: dict[str, Callable[[Module], Any]]
) -> Callable[[Module], T]:
    name = f"{find.__module__}.{find.__qualname__}"
    among[name] = find

    @wraps(find)
    def known(module: Module) -> T:
        if name not in module.facts:
            module.facts[name] = find(module)
        found: T = module.facts[name]
        return found

    return known


def modules(sources: list[tuple[str, bytes]], processes: int) -> Iterable[Module | str]:
    """Return each source's module, or a text that says why it has none, in their order.

    Where there are many, so many processes find their facts.
    """
    # Where processes are not copies of this one, they import the audited folder's own modules: they
    # begin with the current folder on their path.
    if processes > 1 and len(sources) >= MANY and sys.platform == "linux":
        parts = [sources[at : at + PART] for at in range(0, len(sources), PART)]
        try:
            with ProcessPoolExecutor(processes, get_context("fork"), _prepared) as pool:
                found = [one for part in pool.map(_looked, parts) for one in part]
        except (OSError, BrokenProcessPool):
            pass  # this machine has none to give, or ended one: this process finds the same
        else:
            return [
                one if isinstance(one, str) else Module(path, source, facts=one)
                for (path, source), one in zip(sources, found, strict=True)
            ]
    return (_parsed(path, source) for path, source in sources)


def _parsed(path: str, source: bytes) -> Module | str:
    module = Module(path, source)
    try:
        _ = module.tree
    except ValueError as error:
        return str(error)
    return module


def _prepared() -> None:
    """Leave Ctrl+C to the process above, and garbage to the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _looked(part: list[tuple[str, bytes]]) -> list[dict[str, Any] | str]:
    """Return all facts of each module, or why it has none."""
    found: list[dict[str, Any] | str] = []
    for path, source in part:
        module = _parsed(path, source)
        if isinstance(module, Module):
            asked = _OF_TESTS if module.is_test else _OF_CODE
            found.append({name: find(module) for name, find in asked.items()})
        else:
            found.append(module)
    return found
