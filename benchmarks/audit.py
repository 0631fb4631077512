"""Time `groundwork audit` over many files, as a ratio to parsing the same files alone.

Usage: audit.py [FILES]

2,000 Python files by default, modules of this package and of its tests over and over. A machine's
speed is in all the seconds: the ratios say more. One process is measured by what it takes of the
processor; several, as the command uses them, by the clock.
"""

import ast
import os
import sys
import tempfile
import time
from pathlib import Path

from groundwork.audit.run import audit

ROOT = Path(__file__).parents[1]
AIM = 3.0  # times as long


def prepare(place: Path, number: int) -> list[Path]:
    """Write that many modules in folders of 50, and return them."""
    own = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "tests").rglob("test_*.py"))]
    sources = [path.read_bytes() for path in own]
    found = []
    for index in range(number):
        path = place / f"package_{index // 50}" / f"module_{index}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sources[index % len(sources)])
        found.append(path)
    return found


def main(number: int) -> None:
    """Measure all, one after the other, and print the ratios."""
    several = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        files = prepare(Path(name), number)
        size = sum(path.stat().st_size for path in files) / 1e6
        began = time.perf_counter()
        audit(Path(name), processes=several)
        clock = time.perf_counter() - began
        start = time.process_time()
        for path in files:
            ast.parse(path.read_bytes())
        parsed = time.process_time() - start
        start = time.process_time()
        audit(Path(name))
        audited = time.process_time() - start
    verdict = "as aimed" if audited / parsed <= AIM else f"above the aim of {AIM:g}"
    print(
        f"{number} files, {size:.1f} MB of Python:\n"
        f"  ast.parse alone                {parsed:6.2f} s\n"
        f"  the audit, in one process      {audited:6.2f} s: "
        f"{audited / parsed:.1f} times as long, {verdict}\n"
        f"  with {several} processes, by the clock {clock:6.2f} s: {clock / parsed:.1f} times"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2000)
