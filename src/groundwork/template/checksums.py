"""The checksums of ops/ that a render carries: bytes that the template's tests have proven."""

import hashlib
import re
from pathlib import Path

OPS = Path("template/src/{{ package_name }}/ops")
LIST = OPS / "SHA256SUMS.jinja"
_CONDITION = re.compile(r"{% if (.+?) %}(.+?){% endif %}")
_INCLUDE = re.compile(r'{% include "frameworks/" ~ framework ~ "/src/(\w+\.py)" %}')


def checksums(root: Path) -> str:
    """Return the list as a Jinja template: `sha256sum -c` reads what it renders, inside of ops/.

    A file of an option stands under the condition that its name carries; one of the framework's
    stands once for each framework that has it.
    """
    lines = [line for path in sorted((root / OPS).rglob("*.py*")) for line in _lines(root, path)]
    return "".join(sorted(lines, key=lambda line: line.partition("  ")[2]))


def _lines(root: Path, path: Path) -> list[str]:
    if "__pycache__" in path.parts:
        return []
    where = path.relative_to(root / OPS).as_posix()
    conditions = [found[1] for found in _CONDITION.finditer(where)]
    name = _CONDITION.sub(r"\2", where).removesuffix(".jinja")
    include = _INCLUDE.fullmatch(path.read_text("utf-8").rstrip("\n"))
    if include is None:
        return [_line(path, name, conditions)]
    return [
        _line(source, name, [*conditions, f"framework == '{source.parts[-3]}'"])
        for source in sorted(root.glob(f"frameworks/*/src/{include[1]}"))
    ]


def _line(source: Path, name: str, conditions: list[str]) -> str:
    line = f"{hashlib.sha256(source.read_bytes()).hexdigest()}  {name}\n"
    if not conditions:
        return line
    return f"{{% if {' and '.join(map(_grouped, conditions))} %}}{line}{{% endif %}}"


def _grouped(condition: str) -> str:
    return f"({condition})" if " or " in condition else condition
