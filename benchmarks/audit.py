"""Time `groundwork audit` over many files, as a ratio to parsing the same files alone.

Usage: audit.py [FILES]

2,000 Python files by default, modules of this package and of its tests over and over. The seconds
are of the processor, and a machine's speed is in both: the ratio says more.
"""

import ast
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
    """Measure both, one after the other, and print the ratio."""
    with tempfile.TemporaryDirectory() as name:
        files = prepare(Path(name), number)
        size = sum(path.stat().st_size for path in files) / 1e6
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
        f"  ast.parse alone     {parsed:6.2f} s\n"
        f"  groundwork audit    {audited:6.2f} s\n"
        f"  {audited / parsed:.1f} times as long, {verdict}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2000)
