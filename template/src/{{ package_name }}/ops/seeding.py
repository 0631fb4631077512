"""One place where chance and thread counts are fixed."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits


@contextmanager
def deterministic(seed: int, threads: int) -> Iterator[None]:
    """Seed every global generator and hold the numerical libraries to `threads` threads.

    The thread count is part of the recipe, whatever OMP_NUM_THREADS says: a sum over floats
    depends on the order it is made in, and so on how many threads share it.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from the global generator
    os.environ["LOKY_MAX_CPU_COUNT"] = str(threads)
    with threadpool_limits(limits=threads):
        yield
