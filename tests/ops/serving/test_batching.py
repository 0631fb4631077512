"""Requests that wait together are answered together, and none pays for another."""

import asyncio
import threading

import pytest

from ..project import batching


class Answers:
    """Doubles lengths, once it may; an odd one is an error. Keeps what it was asked together."""

    def __init__(self):
        self.asked, self.may = [], threading.Event()

    def __call__(self, given):
        self.may.wait(10)
        self.asked.append([len(one) for one in given])
        return [ValueError("odd") if len(one) % 2 else 2 * len(one) for one in given]


async def begun():
    """Let all tasks come to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def ask(answer, numbers, most=64, size=1000, room=100):
    """Ask for the first, and for the others while that one is being answered."""
    batches = batching.Batches(answer, most, size, room)
    first = asyncio.create_task(batches.ask(b"x" * numbers[0]))
    await begun()
    others = [asyncio.create_task(batches.ask(b"x" * number)) for number in numbers[1:]]
    await begun()
    others[0].cancel()
    answer.may.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_waits_is_answered_together():
    answer = Answers()
    told = asyncio.run(ask(answer, [0, 2, 4, 5, 6]))
    assert answer.asked == [[0], [2, 4, 5, 6]]
    assert (told[0], told[2], told[4]) == (0, 8, 12)
    assert isinstance(told[1], asyncio.CancelledError), "a client that has gone stops nobody"
    assert str(told[3]) == "odd", "an error is for the one it belongs to"


def test_no_more_at_once_than_allowed():
    answer = Answers()
    asyncio.run(ask(answer, [0, 2, 4, 6, 8, 10], most=2))
    assert answer.asked == [[0], [2, 4], [6, 8], [10]]


def test_one_more_than_may_wait_is_refused_at_once():
    answer = Answers()

    async def full():
        batches = batching.Batches(answer, 64, 1000, 2)
        tasks = [asyncio.create_task(batches.ask(b"")) for _ in range(5)]
        await begun()
        assert [task.done() for task in tasks] == [False, False, True, True, True]
        answer.may.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(one) for one in found], await batches.ask(b"xx")

    kinds, later = asyncio.run(full())
    assert kinds == [int, int, *[batching.FullError] * 3]
    assert later == 4, "there is room again"


def test_long_ones_are_asked_alone():
    answer = Answers()
    asyncio.run(ask(answer, [0, 2, 4, 6, 20, 2], size=10))
    assert answer.asked == [[0], [2, 4], [6], [20], [2]]


def test_what_fails_altogether_fails_for_each_and_the_next_are_answered():
    answers = iter([ZeroDivisionError("no"), [1, 2], [1]])

    def answer(_given):
        if isinstance(told := next(answers), Exception):
            raise told
        return told

    async def twice():
        batches = batching.Batches(answer, 2, 1000, 100)
        with pytest.raises(ZeroDivisionError, match="no"):
            await batches.ask(b"1")
        with pytest.raises(RuntimeError, match="2 answers to 1 requests"):
            await batches.ask(b"1")
        return await batches.ask(b"1")

    assert asyncio.run(twice()) == 1
