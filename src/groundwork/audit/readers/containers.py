"""Dockerfiles as instructions, and the images and containers of Compose and Kubernetes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .documents import Mapping, line, listed, mapping


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile with those that continue it."""

    word: str
    rest: str
    line: int


@dataclass
class Stage:
    """What follows a FROM."""

    base: str
    name: str
    line: int
    instructions: list[Instruction] = field(default_factory=list)


@dataclass
class Dockerfile:
    """A Dockerfile's stages; ARGs before the first FROM are filled in."""

    path: str
    stages: list[Stage]

    def chain(self, stage: Stage) -> list[Stage]:
        """Return a stage and those of this file that it is built on, itself first."""
        found = [stage]
        names = {one.name: one for one in self.stages if one.name}
        while (below := names.get(found[-1].base)) and below not in found:
            found.append(below)
        return found

    def bases(self) -> list[Stage]:
        """Return the stages that are made from an image of somebody else's."""
        names = {one.name for one in self.stages}
        return [one for one in self.stages if one.base not in names and one.base != "scratch"]


def dockerfile(path: str, text: str) -> Dockerfile:
    """Read a Dockerfile. Raises ValueError where it has no FROM."""
    defaults: dict[str, str] = {}
    stages: list[Stage] = []
    for one in _instructions(text):
        if one.word == "FROM":
            words = [word for word in one.rest.split() if not word.startswith("--")]
            base = _filled(words[0] if words else "", defaults)
            name = words[2] if len(words) > 2 and words[1].lower() == "as" else ""  # noqa: PLR2004
            stages.append(Stage(base, name, one.line))
        elif stages:
            stages[-1].instructions.append(one)
        elif one.word == "ARG" and "=" in one.rest:
            name, _, value = one.rest.partition("=")
            defaults[name.strip()] = _filled(value.strip("\"' "), defaults)
    if not stages:
        raise ValueError("it has no FROM")
    return Dockerfile(path, stages)


def _filled(text: str, defaults: dict[str, str]) -> str:
    """Return a text with the defaults of ARGs in it; what has none stays."""

    def value(found: re.Match[str]) -> str:
        return defaults.get(found[1] or found[3], found[2] or found[0])

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)", value, text)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        start, whole = at, ""
        while True:
            body = lines[at].rstrip()
            at += 1
            if not body.lstrip().startswith("#"):
                whole += body.removesuffix("\\") + ("\n" if body.endswith("\\") else "")
                if not body.endswith("\\"):
                    break
            if at >= len(lines):
                break
        for end in re.findall(r"<<-?['\"]?(\w+)['\"]?", whole):  # here documents
            while at < len(lines) and lines[at].strip() != end:
                whole += f"\n{lines[at]}"
                at += 1
            at += 1
        word, _, rest = whole.strip().partition(" ")
        if word.isalpha():
            yield Instruction(word.upper(), rest.strip(), start + 1)


@dataclass(frozen=True)
class Container:
    """A container of a Compose file or a Kubernetes workload."""

    path: str
    line: int
    name: str
    image: str
    image_line: int
    about: Mapping
    # Compose, or the kind of the workload.
    kind: str


def compose(path: str, found: list[Mapping]) -> Iterator[Container]:
    """Yield the services of a Compose file that run an image from a registry."""
    for document in found:
        for name, said in mapping(document.get("services")).items():
            about = mapping(said)
            image = "" if "build" in about else str(about.get("image") or "")
            number = line(about.get("image"), line(about))
            yield Container(path, line(about), str(name), image, number, about, "Compose")


WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"}


def workloads(path: str, found: list[Mapping]) -> Iterator[Container]:
    """Yield the containers of Kubernetes workloads."""
    for document in found:
        kind = str(document.get("kind"))
        if kind not in WORKLOADS:
            continue
        spec = mapping(document.get("spec"))
        if kind == "CronJob":
            spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        if kind != "Pod":
            spec = mapping(mapping(spec.get("template")).get("spec"))
        for said in listed(spec.get("containers")):
            about = mapping(said)
            image = about.get("image")
            number = line(image, line(about))
            name = str(about.get("name"))
            yield Container(path, line(about), name, str(image or ""), number, about, kind)
