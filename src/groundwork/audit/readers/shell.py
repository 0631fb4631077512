"""Commands in shell text: which packages they install, and whether with a version."""

import re
import shlex
from collections.abc import Iterator

# Tools that install others: their own version is not what an environment is made of.
INSTALLERS = {
    *("pip", "setuptools", "wheel", "uv", "poetry", "pdm", "pipenv", "hatch", "pipx", "conda"),
    *("conda-lock", "mamba", "micromamba", "pixi", "nox", "tox", "build", "virtualenv", "rye"),
    *("twine", "pre-commit", "python", "poetry-plugin-export", "poetry-dynamic-versioning"),
    *("conda-pack", "pip-tools", "tox-uv", "nox-uv", "flit", "keyring", "pip-audit"),
}
# Options of pip, uv and conda that are followed by a value.
VALUED = {
    *("-r", "-c", "-e", "-i", "-f", "-t", "-n", "-p", "-o", "--requirement", "--constraint"),
    *("--editable", "--index-url", "--extra-index-url", "--find-links", "--target", "--name"),
    *("--prefix", "--channel", "--file", "--index", "--python", "--trusted-host", "--timeout"),
    *("--cache-dir", "--default-timeout", "--platform", "--root", "--retries", "--progress-bar"),
    *("--python-version", "--default-index", "--env-file", "--group", "--extra", "--proxy"),
    *("--no-binary", "--only-binary", "--src", "--abi", "--implementation", "--torch-backend"),
    *("--upgrade-strategy", "--config-settings", "--log", "--exists-action", "--cert"),
}
INSTALL = re.compile(
    r"\b(?:pip[\d.]*|uv\s+pip)\s+(?:--?[\w-]+(?:[= ]\S+)?\s+)*?install\s+|"
    r"\b(?:conda|mamba|micromamba)\s+install\s+"
)


def commands(text: str) -> Iterator[tuple[int, str]]:
    """Yield single commands of shell text, with the number of their line from 0."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines()):
        if not joined:
            first = number
        body = line.rstrip()
        if body.lstrip().startswith("#"):
            continue
        if body.endswith("\\"):
            joined += body[:-1] + " "
            continue
        for one in re.split(r"&&|\|\||;|(?<!\|)\|(?!\|)", joined + body):
            if one.strip():
                yield first, one.strip()
        joined = ""
    if joined.strip():
        yield first, joined.strip()


def unpinned(command: str) -> Iterator[str]:
    """Yield the packages that a command installs from an index without one version."""
    found = INSTALL.search(command)
    if not found or re.match(r"\s*(echo|printf|#)", command):
        return
    try:
        words = shlex.split(command[found.end() :], comments=True)
    except ValueError:
        words = command[found.end() :].split()
    conda = "pip" not in found[0]
    skip = False
    for word in words:
        if skip or word in VALUED or (conda and word == "-c"):
            skip = not skip
            continue
        name = re.match(r"[A-Za-z][\w.-]*", word)
        # Options, variables, paths, addresses and redirections are no names.
        if not name or re.search(r"[$/\\{}`()]|::|^\w+://|\.(txt|whl|toml|gz|zip)$", word):
            continue
        fixed = re.search(r"==|@|===" if not conda else r"=", word)
        if not fixed and name[0].lower().replace("_", "-") not in INSTALLERS:
            yield word
