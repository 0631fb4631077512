"""Requests that wait at the same time are answered together.

Checking and scoring take about as long for a hundred rows as for one, so this multiplies what a
busy service can do. Where requests come one by one, none waits for another.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Seconds between two batches of a busy service.
PAUSE = 0.002


class FullError(Exception):
    """As many requests wait as may."""


class Batches:
    """Calls `answer` with all that waits, in a thread, one call after the other."""

    def __init__(
        self, answer: Callable[[Sequence[bytes]], Sequence[Any]], most: int, size: int, room: int
    ) -> None:
        """Ask `answer` for the answers to at most `most` at once, each of which may be an error.

        Together they are no longer than `size`, but for one that is so alone. At most `room` wait.
        """
        self.answer, self.most, self.size, self.room = answer, most, size, room
        self.thread = ThreadPoolExecutor(1, "scoring")
        self.waiting: deque[tuple[bytes, asyncio.Future[Any]]] = deque()
        self.working: asyncio.Task[None] | None = None

    async def ask(self, given: bytes) -> Any:
        """Return the answer to `given`, or raise the error that it is. Raises FullError at once."""
        if len(self.waiting) >= self.room:
            raise FullError
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append((given, future))
        if self.working is None:
            self.working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self.waiting:
                batch = [self.waiting.popleft()]
                size = len(batch[0][0])
                while self.waiting and len(batch) < self.most:
                    size += len(self.waiting[0][0])
                    if size > self.size:
                        break
                    batch.append(self.waiting.popleft())
                await self._settle(batch)
                if len(batch) > 1:  # those who were answered ask again, and can come along
                    await asyncio.sleep(PAUSE)
        finally:
            self.working = None

    async def _settle(self, batch: list[tuple[bytes, asyncio.Future[Any]]]) -> None:
        answers: Sequence[Any]
        try:
            given = [one for one, _ in batch]
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self.thread, self.answer, given)
        except Exception as error:  # noqa: BLE001 - each client gets it
            answers = [error] * len(batch)
        if len(answers) != len(batch):
            wrong = RuntimeError(f"{len(answers)} answers to {len(batch)} requests")
            answers = [wrong] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # the client has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
