"""Measure how long good clients wait beside bad ones, of each kind in turn.

Usage: pressure.py [--seconds N] [--good N] [--bad N] [--at HOST:PORT --row FILE]

Each client asks again at once. What is aimed at: clients whose requests are refused slow others no
more than as many clients with good rows do. With `--at`, a service that runs already is measured
with the row in the JSON file.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from serving import servers

Row = dict[str, object]


def bodies(row: Row) -> dict[str, bytes]:
    """Return a body of each kind; all but the first are refused."""
    empty: Row = dict.fromkeys(row)
    sent = {
        "good rows": [row],
        "a null": [{**row, next(iter(row)): None}],
        "an unknown name": [{**row, "unknown": 1}],
        "1,000 empty rows": [{}] * 1000,
        "1,000 rows of nulls": [empty] * 1000,
        "many unknown names": [{f"k{number}": 1 for number in range(800)}] * 100,
    }
    found = {name: json.dumps({"rows": rows}).encode() for name, rows in sent.items()}
    return {**found, "no JSON": b"{"}


async def client(
    place: tuple[str, int], body: bytes, end: float, waits: list[float], told: Counter[str]
) -> None:
    """Ask until `end`; keep how long each answer took, and its status."""
    reader, writer = await asyncio.open_connection(*place)
    head = f"POST /predict HTTP/1.1\r\nhost: {place[0]}\r\ncontent-length: {len(body)}\r\n\r\n"
    while (begun := time.perf_counter()) < end:
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))
        waits.append(time.perf_counter() - begun)
        told[answer.split()[1]] += 1
    writer.close()


async def beside(
    place: tuple[str, int], good: bytes, bad: bytes, numbers: tuple[int, int], seconds: float
) -> tuple[list[float], Counter[str]]:
    """Return how long good clients wait beside bad ones, and what the bad ones got."""
    waits: list[float] = []
    told: Counter[str] = Counter()
    end = time.perf_counter() + seconds
    await asyncio.gather(
        *(client(place, good, end, waits, Counter()) for _ in range(numbers[0])),
        *(client(place, bad, end, [], told) for _ in range(numbers[1])),
    )
    return waits, told


def measure(place: tuple[str, int], row: Row, numbers: tuple[int, int], seconds: float) -> None:
    """Print the good clients' p50 and p99 in milliseconds beside each kind of others."""
    sent = bodies(row)
    good = sent["good rows"]
    asyncio.run(beside(place, good, good, numbers, 1))  # to warm up
    usual = 0.0
    for name, body in sent.items():
        waits, told = asyncio.run(beside(place, good, body, numbers, seconds))
        p50, p99 = (1000 * statistics.quantiles(waits, n=100)[at] for at in (49, 98))
        usual = usual or p50
        statuses = ", ".join(f"{count} of {status}" for status, count in told.items())
        figures = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {p50 / usual:.1f} times"
        print(f"beside {name}: {figures} ({statuses})")


def main() -> None:
    """Measure a service, by default that of a new project."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="of load each time")
    parser.add_argument("--good", type=int, default=4, help="clients with good rows")
    parser.add_argument("--bad", type=int, default=2, help="clients beside them")
    parser.add_argument("--at", help="HOST:PORT of a service that runs already")
    parser.add_argument("--row", type=Path, help="a JSON file with a row that it accepts")
    given = parser.parse_args()
    numbers = (given.good, given.bad)
    if given.at:
        host, _, port = given.at.rpartition(":")
        measure((host, int(port)), json.loads(given.row.read_text("utf-8")), numbers, given.seconds)
        return
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        project, ours, _ = servers(scratch, "scikit-learn")
        (row,) = json.loads(ours.body.read_text("utf-8"))["rows"]
        with ours.started(project, scratch / "log") as (address, _):
            port = int(address.rpartition(":")[2])
            measure(("127.0.0.1", port), row, numbers, given.seconds)


if __name__ == "__main__":
    main()
