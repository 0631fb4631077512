"""conda's names of packages and its way to write versions, as pip has them."""

import re
from collections.abc import Iterator

# What conda calls otherwise than the package index.
NAMES = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-base": "tensorflow",
    "opencv": "opencv-python",
    "py-opencv": "opencv-python",
    "pytables": "tables",
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "dask-core": "dask",
    "python-graphviz": "graphviz",
    "msgpack-python": "msgpack",
    "ray-core": "ray",
    "ray-default": "ray[default]",
    "ray-tune": "ray[tune]",
}


def name_of(said: str) -> str:
    """Return what the package index calls a package of conda's, without extras."""
    return NAMES.get(said.lower(), said).partition("[")[0]


def requirement_of(said: str) -> tuple[str, str]:
    """Return a match specification's name in conda, and what it is as a requirement of pip.

    `channel::name=1.2=build`: one `=` allows what starts with the version; with two, or with a
    build, the version is exact. Raises ValueError where there is no name.
    """
    bare = re.sub(r"\[.*\]$", "", said.rpartition("::")[2].strip())
    found = re.fullmatch(r"([\w.-]+)\s*(.*)", bare, re.DOTALL)
    if not found:
        raise ValueError(f"{said!r} names no package")
    name, rest = found.groups()
    return name.lower(), NAMES.get(name.lower(), name) + specifier(rest)


def specifier(said: str) -> str:
    """Return a version of conda's as a specifier of pip's."""
    said = said.strip()
    if spaced := re.fullmatch(r"([\d.]+\S*)\s+(\S+)", said):  # `1.2 build`
        said = f"={spaced[1]}={spaced[2]}"
    said = said.replace(" ", "")
    if said in {"", "*"}:
        return ""
    if re.search(r"[<>!~|,]", said):
        return ",".join(_parts(said))
    exact = re.fullmatch(r"(=?=?)([^=]+)(?:=([^=]+))?", said)
    if not exact:
        return said
    equals, version, build = exact.groups()
    if version.endswith("*"):
        return f"=={version.removesuffix('*').removesuffix('.')}.*"
    return f"=={version}" if equals == "==" or build else f"=={version}.*"


def _parts(said: str) -> Iterator[str]:
    for part in said.split(","):
        yield part if re.match(r"[<>!~=]", part) else specifier(part)
