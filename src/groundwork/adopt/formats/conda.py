"""conda's environments and pixi's tables: other names, another way to write versions."""

import re
from pathlib import Path
from typing import Any

import yaml

from groundwork.adopt.wanted import Wanted
from groundwork.audit.readers.conda import requirement_of, specifier

from . import text

# Programs and libraries that the package index does not have, or that the standard brings.
SYSTEM = re.compile(
    r"_.*|lib(?!sass|rosa|cst|sql|save).*|cuda.*|cudnn|cudatoolkit|pytorch-cuda|pytorch-mutex|nccl"
    r"|mkl(-.*)?|blas|openblas|openssl|ca-certificates|ncurses|readline|sqlite|tk|xz|zlib|zstd"
    r"|bzip2|ld_impl.*|gcc.*|gxx.*|git|make|nodejs|ffmpeg|nb_conda.*|conda|mamba|pip|r|r-.*"
)
CHANNELS = {"defaults", "conda-forge", "pytorch", "nvidia", "nodefaults"}
FULL_EXPORT = 15  # packages, all with a build: no person wrote that


def conda(wanted: Wanted, path: Path) -> None:
    """Read environment.yml.

    Raises:
        OSError, yaml.YAMLError: it cannot be read.
    """
    content = yaml.safe_load(text.read(path)) or {}
    stated = content.get("dependencies") or []
    for channel in content.get("channels") or []:
        if channel not in CHANNELS:
            wanted.unread.append(f"{path.name}: the channel {channel}")
    _packages(wanted, path.name, [one for one in stated if isinstance(one, str)])
    for line in (str(one) for pip in stated if isinstance(pip, dict) for one in pip["pip"]):
        if line.startswith("-"):
            wanted.unread.append(f"{path.name}: pip {line}")
        else:
            wanted.add(path.name, [line])


def _packages(wanted: Wanted, file: str, stated: list[str]) -> None:
    """Read conda's own packages. In a full export all are pins: none was asked for by name."""
    builds = [one for one in stated if re.search(r"[^=<>!~]=[^=]+=[^=]+$", one)]
    full = len(stated) >= FULL_EXPORT and len(builds) > len(stated) / 2
    by_name = dict(map(requirement_of, stated))
    by_name.pop("python", None)
    system = [name for name in by_name if SYSTEM.fullmatch(name)]
    for name in by_name.keys() - {*system}:
        exact = re.search(r"==(.+?)(\.\*)?$", by_name[name])
        if not full:
            wanted.add(file, [by_name[name]])
        elif exact:
            wanted.pin(re.split(r"[\[=]", by_name[name], maxsplit=1)[0], exact[1])
    if full:
        wanted.unread.append(
            f"{file}: a full export; its {len(stated)} packages are pins, and those that the code"
            " asks for have to be named: poetry add NAME"
        )
    elif system:
        wanted.unread.append(
            f"{file}: {', '.join(system)}: no Python packages; the machine or the image has them"
        )


def pixi(wanted: Wanted, content: dict[str, Any], file: str) -> None:
    """Read the tables of pixi.toml, or of [tool.pixi]; those of features are for development."""
    tables = [(content, False), *((one, True) for one in content.get("feature", {}).values())]
    for table, dev in tables:
        for name, said in table.get("dependencies", {}).items():
            version = said.get("version", "*") if isinstance(said, dict) else said
            kind, requirement = requirement_of(f"{name} {version}")
            if kind != "python" and not SYSTEM.fullmatch(kind):
                wanted.add(file, [requirement], dev=dev)
        for name, said in table.get("pypi-dependencies", {}).items():
            about = said if isinstance(said, dict) else {"version": said}
            if {"git", "path", "url", "index"} & about.keys():
                if about.get("path") not in {".", "./"}:
                    wanted.source(file, name, f"{name} = {about}")
                continue
            extras = f"[{','.join(about['extras'])}]" if about.get("extras") else ""
            wanted.add(file, [f"{name}{extras}{specifier(about.get('version', '*'))}"], dev=dev)
