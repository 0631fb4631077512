"""The environment variables that commands in the sandbox get: a list, never what is there."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

# How this machine reaches package indexes. Only installs get these.
_OF_NETWORK = re.compile(
    r"PIP_((EXTRA_)?INDEX_URL|FIND_LINKS|NO_INDEX|TRUSTED_HOST|CERT|PROXY|DEFAULT_TIMEOUT|RETRIES)"
    r"|UV_(INDEX|DEFAULT_INDEX|(EXTRA_)?INDEX_URL|FIND_LINKS|NO_INDEX|INDEX_STRATEGY|INSECURE_HOST"
    r"|NATIVE_TLS|SYSTEM_CERTS|HTTP_TIMEOUT|INDEX_\w+_(USERNAME|PASSWORD))"
    r"|POETRY_(PYPI_MIRROR_URL|REPOSITORIES_\w+_URL|HTTP_BASIC_\w+)"
    r"|PDM_PYPI_(URL|USERNAME|PASSWORD)|PIPENV_PYPI_MIRROR"
    r"|(HTTP|HTTPS|ALL|NO|http|https|all|no)_(PROXY|proxy)"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|NODE_EXTRA_CA_CERTS|GIT_SSL_CAINFO"
)
_FIXED = {"LANG": "C.UTF-8", "TERM": "dumb", "GIT_TERMINAL_PROMPT": "0"}


def of_network(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables by which installs reach package indexes, credentials of those too."""
    return {name: value for name, value in environment.items() if _OF_NETWORK.fullmatch(name)}


def files_named(variables: Mapping[str, str]) -> set[Path]:
    """Return what is there of the files and folders that variables name, as paths or file URLs."""
    words = [word for value in variables.values() for word in re.split(r"[\s,]+", value)]
    urls = (urlsplit(word.partition("=")[2] if "=file:" in word else word) for word in words)
    paths = (Path(unquote(url.path)) for url in urls if url.scheme in {"", "file"})
    return {path for path in paths if path.is_absolute() and path != Path("/") and path.exists()}


def fixed(home: str, temporary: str, path: str) -> dict[str, str]:
    """Return the variables that each command has."""
    return _FIXED | {"HOME": home, "TMPDIR": temporary, "PATH": path, "USER": "user"}


def without_credentials(text: str) -> str:
    """Return text in which URLs have no user and password."""
    return re.sub(r"(https?://)[^/\s@]+@", r"\1***@", text)
