"""One place where chance and thread counts are fixed."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from . import flavor
from .context import Context


@contextmanager
def deterministic(context: Context) -> Iterator[None]:
    """Seed every global generator and hold the numerical libraries to the context's threads.

    The thread count is part of the recipe, whatever OMP_NUM_THREADS says: a sum over floats
    depends on the order it is made in, and so on how many threads share it. Raises UserError where
    the context's device is not available.
    """
    random.seed(context.seed)
    np.random.seed(context.seed)  # noqa: NPY002 - for libraries that draw from the global generator
    os.environ["LOKY_MAX_CPU_COUNT"] = str(context.threads)
    with (
        threadpool_limits(limits=context.threads),
        flavor.deterministic(context.seed, context.threads, context.device),
    ):
        yield
