"""The files in which projects declare dependencies, each read into a `Declared`."""

import configparser
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from poetry.core.packages.dependency import Dependency

from .conda import name_of, requirement_of, specifier
from .needs import Declared, Need, exact, line_of, need, requirements
from .python import parse
from .setuptools import listed, setup_call


def _needs(
    texts: Iterable[Any], path: str, whole: str, *, optional: bool = False, main: bool = True
) -> Iterator[Need]:
    for text in texts:
        if not isinstance(text, str):
            continue
        name = re.match(r"[\w.-]+", text.strip())
        line = line_of(whole, name[0]) if name else 1
        if found := need(text, path, line, optional=optional, main=main):
            yield found


def pyproject(path: str, text: str) -> Declared:
    """Read pyproject.toml as PEP 621, Poetry, PDM and uv have it."""
    content = tomllib.loads(text)
    project = _table(content, "project")
    tool = _table(content, "tool")
    poetry = _table(tool, "poetry")
    declared = Declared(path, "pyproject")
    declared.project = canonicalize_name(str(project.get("name") or poetry.get("name") or ""))
    dynamic = project.get("dynamic", [])
    declared.computed = "dependencies" in dynamic
    poetry_python = _table(poetry, "dependencies").get("python", "")
    declared.python = str(project.get("requires-python") or poetry_python or "")
    found = declared.needs
    found += _needs(project.get("dependencies", []), path, text)
    for texts in _table(project, "optional-dependencies").values():
        found += _needs(texts, path, text, optional=True, main=False)
    groups = [_table(content, "dependency-groups"), _table(_table(tool, "pdm"), "dev-dependencies")]
    for texts in [one for group in groups for one in group.values()]:
        found += _needs(texts, path, text, main=False)
    found += _needs(_table(tool, "uv").get("dev-dependencies", []), path, text, main=False)
    found += _pixi(declared, _table(tool, "pixi"), text)
    found += _poetry(_table(poetry, "dependencies"), path, text)
    tables = [_table(one, "dependencies") for one in _table(poetry, "group").values()]
    for table in [_table(poetry, "dev-dependencies"), *tables]:
        found += _poetry(table, path, text, main=False)
    sources = _table(_table(tool, "uv"), "sources")
    declared.needs = [
        _from_source(one, sources.get(one.name))
        for one in found
        if one.name != declared.project  # its own extras
    ]
    return declared


def _table(content: Any, name: str) -> dict[str, Any]:  # noqa: ANN401
    value = content.get(name) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}


def _from_source(one: Need, source: object) -> Need:
    """Return a requirement with the source that uv has for it."""
    if not isinstance(source, dict) or not ({"git", "url", "path"} & source.keys()):
        return one
    return Need(**(one.__dict__ | {"url": _address(source)}))


def _address(source: dict[str, Any]) -> str:
    revision = source.get("rev") or ""
    if "git" in source:
        return f"git+{source['git']}" + (f"@{revision}" if revision else "")
    return str(source.get("url") or source.get("path") or "")


def _poetry(table: dict[str, Any], path: str, whole: str, *, main: bool = True) -> Iterator[Need]:
    for name, said in table.items():
        about = said if isinstance(said, dict) else {"version": said}
        if name == "python" or isinstance(said, list):
            continue
        line = line_of(whole, name)
        specifier = ""
        version = str(about.get("version", "*"))
        if "version" in about:
            try:
                specifier = Dependency(name, version).base_pep_508_name.removeprefix(name)
            except ValueError:
                specifier = ""
        yield Need(
            canonicalize_name(name),
            re.sub(r"^[^<>=!~]*", "", specifier.strip(" ()")),
            path,
            line,
            f"{name} = {version}",
            url=_address(about) if {"git", "url", "path"} & about.keys() else "",
            optional=bool(about.get("optional") or about.get("markers") or about.get("python")),
            exact=exact(specifier.strip(" ()")[len(name) :] or specifier),
            main=main,
        )


def pipfile(path: str, text: str) -> Declared:
    """Read a Pipfile."""
    content = tomllib.loads(text)
    requires = _table(content, "requires")
    python = str(requires.get("python_full_version") or requires.get("python_version") or "")
    declared = Declared(path, "Pipfile", python=python)
    for table, main in (("packages", True), ("dev-packages", False)):
        for name, said in _table(content, table).items():
            about = said if isinstance(said, dict) else {"version": said}
            version = str(about.get("version", "*"))
            specifier = "" if version == "*" else version
            url = str(about.get("git") or about.get("path") or about.get("file") or "")
            if "git" in about:
                url = f"git+{url}" + (f"@{about['ref']}" if "ref" in about else "")
            declared.needs.append(
                Need(
                    canonicalize_name(name),
                    specifier,
                    path,
                    line_of(text, name),
                    f"{name} = {version}",
                    url,
                    optional="markers" in about,
                    exact=exact(specifier),
                    main=main,
                )
            )
    return declared


def setup_cfg(path: str, text: str) -> Declared:
    """Read setuptools' setup.cfg."""
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read_string(text)
    except configparser.Error as error:
        raise ValueError(str(error)) from None
    declared = Declared(path, "setup.cfg")
    declared.project = canonicalize_name(config.get("metadata", "name", fallback=""))
    declared.python = config.get("options", "python_requires", fallback="")
    said = config.get("options", "install_requires", fallback="")
    declared.computed = bool(re.search(r"(?m)^\s*file:", said))
    declared.needs += _needs(listed(said), path, text)
    if config.has_section("options.extras_require"):
        for name, value in config.items("options.extras_require"):
            if name not in config.defaults():
                declared.needs += _needs(listed(value), path, text, optional=True, main=False)
    return declared


def setup_py(path: str, text: str) -> Declared:
    """Read what setup.py hands to setup(), as far as it is written out; it is not run."""
    said = setup_call(parse(text))
    declared = Declared(path, "setup.py", python=str(said.get("python_requires") or ""))
    declared.project = canonicalize_name(str(said.get("name") or ""))
    declared.computed = said.get("install_requires", "") is None
    declared.needs += _needs(listed(said.get("install_requires")), path, text)
    extras = said.get("extras_require")
    for one in extras.values() if isinstance(extras, dict) else []:
        declared.needs += _needs(listed(one), path, text, optional=True, main=False)
    return declared


def conda(path: str, text: str) -> Declared:
    """Read conda's environment file."""
    content = yaml.safe_load(text)
    declared = Declared(path, "conda")
    listed = content.get("dependencies") if isinstance(content, dict) else None
    for said in listed if isinstance(listed, list) else []:
        if isinstance(said, dict):
            declared.needs += _needs(said.get("pip") or [], path, text)
            continue
        plain = str(said).rpartition("::")[2].strip()
        name, requirement = requirement_of(plain)
        version = re.sub(r"^[\w.-]+(\[.*\])?", "", requirement)
        if name == "python":
            declared.python = version or declared.python
        elif name != "pip":
            package, line = canonicalize_name(name_of(name)), line_of(text, name)
            fixed = exact(version.removesuffix(".*")) and "*" not in plain
            declared.needs.append(Need(package, version, path, line, plain, exact=fixed))
    return declared


def pixi(path: str, text: str) -> Declared:
    """Read pixi's manifest; the tables of its features are for development."""
    declared = Declared(path, "pixi")
    content = tomllib.loads(text)
    declared.needs += _pixi(declared, content, text)
    return declared


def _pixi(declared: Declared, content: dict[str, Any], whole: str) -> Iterator[Need]:
    path, features = declared.path, _table(content, "feature")
    for table, main in ((content, True), *((one, False) for one in features.values())):
        for name, said in _table(table, "dependencies").items():
            about = said if isinstance(said, dict) else {"version": said}
            plain = f"{name} {about.get('version', '*')}"
            called, requirement = requirement_of(plain)
            version = re.sub(r"^[\w.-]+(\[.*\])?", "", requirement)
            if called == "python":
                declared.python = declared.python or version
            elif called != "pip":
                package, line = canonicalize_name(name_of(called)), line_of(whole, name)
                fixed = exact(version) and "*" not in version
                yield Need(package, version, path, line, plain, exact=fixed, main=main)
        for name, said in _table(table, "pypi-dependencies").items():
            about = said if isinstance(said, dict) else {"version": said}
            version = specifier(str(about.get("version", "*")))
            package, line = canonicalize_name(name), line_of(whole, name)
            text = f"{name} {about.get('version', '*')}"
            url = _address(about)
            if not url.startswith("."):  # the project itself
                yield Need(package, version, path, line, text, url, exact=exact(version), main=main)


READERS: dict[str, Callable[[str, str], Declared]] = {
    "pyproject.toml": pyproject,
    "pixi.toml": pixi,
    "Pipfile": pipfile,
    "setup.cfg": setup_cfg,
    "setup.py": setup_py,
    "environment*.y*ml": conda,
    "conda*.y*ml": conda,
    "requirements*.txt": requirements,
    "requirements*.in": requirements,
    "*[-_.]requirements.txt": requirements,
}
