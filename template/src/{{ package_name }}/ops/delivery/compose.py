"""The environment `compose`: releases are containers in two slots behind a gateway, HAProxy.

compose.yaml has the slots, `blue` and `green`. A new release takes the one that is free, and the
gateway deals out requests as slots.cfg says, which is written here and taken up without dropping a
connection. The release before stays in its slot and answers when the new one does not.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from ..core.errors import UserError
from ..core.files import sha256_text, write_file, write_json
from ..core.settings import NAME, Settings
from .release import (
    RECORDED,
    Address,
    Release,
    Releases,
    ask,
    is_ready,
    load_state,
    reachable,
    request,
    tool,
)

SLOTS = ("blue", "green")
# The user of the image, for a deployment by root: no container runs as that.
USER = 10001
# What scripts/build.sh --release writes into an image about its model.
LABELS = {"commit": "org.opencontainers.image.revision", "digest": "org.groundwork.model.digest"}
# Seconds that a container has to become ready, and a new release has to prove steady.
START_SECONDS, STEADY_SECONDS = 120, 3.0
RELOAD_SECONDS = 15.0


class State(BaseModel):
    """state.json: which release is in which slot, and which of them answers."""

    slots: dict[str, int] = {}
    release: int | None = None
    previous: int | None = None
    # The release that has a part of the requests, while it is compared with the one that answers.
    sharing: int | None = None
    # The slot whose container is being started, and gets no requests before it is ready.
    starting: str | None = None

    def slot(self, number: int | None) -> str | None:
        """Return where a release is."""
        return next((slot for slot, there in self.slots.items() if there == number), None)


class Compose:
    """Releases as containers on this machine, in var/deploy/compose."""

    def __init__(self, settings: Settings) -> None:
        """Work with the project's compose.yaml."""
        self.settings = settings
        self.folder = settings.var_dir / "deploy" / "compose"
        self.releases = Releases(settings, self.folder / "releases")
        # Where monitor, drift and explain look, too; a folder of its own, as its owner may be.
        self.predictions = settings.var_dir / "predictions" / "compose"

    def check(self) -> None:
        """Have the gateway running, as state.json says. Raises UserError where it cannot."""
        self._compose("config", "--quiet")
        (self.folder / "gateway").mkdir(parents=True, exist_ok=True)
        self.predictions.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(self.predictions, USER, USER)
        # The gateway looks for what it is told of: a container that is gone would keep it waiting.
        state, running = self.state(), self._compose("ps", "--services").split()
        there = {slot: number for slot, number in state.slots.items() if slot in running}
        if "gateway" in running:
            wanted = f"{self.settings.host}:{self.settings.port}"
            at = self._compose("port", "gateway", "8000").strip()
            if at != wanted:
                raise UserError(
                    f"the gateway answers on {at}; to move it to {wanted}, run scripts/deploy.sh "
                    "compose stop, which answers no more until the next deployment"
                )
        self._write(state.model_copy(update={"slots": there, "sharing": None, "starting": None}))
        # Another one would not answer for a moment.
        self._compose("up", "--detach", "--no-deps", "--no-recreate", "--wait", "gateway")
        self._reload()

    def build(self, number: int, reference: str) -> Release:
        """Find the release's image, which has all that a registered version needs."""
        version = self.releases.resolve(reference)
        image = self._image(str(version.number), {name: getattr(version, name) for name in LABELS})
        self.releases.path(number).mkdir(parents=True, exist_ok=True)
        return self.releases.complete(number, version, image=image)

    def start(self, number: int) -> Address:
        """Start a release in the free slot; return its own address."""
        state = self.state()
        busy = state.slot(state.release)
        slot = state.slot(number) or next(slot for slot in SLOTS if slot != busy)
        # From here on the release that was in the slot is no standby.
        slots = state.slots | {slot: number}
        self._save(state.model_copy(update={"slots": slots, "starting": slot}))
        self._compose("up", "--detach", "--no-deps", "--wait",
                      "--wait-timeout", str(START_SECONDS), slot)  # fmt: skip
        return self._port(slot, 8000)

    def share(self, number: int) -> tuple[Address, Address] | None:
        """Let it have the settings' share of the requests."""
        state = self.state()
        old, new = state.slot(state.release), state.slot(number)
        if old is None or new is None or old == new or not self._answers():
            return None
        addresses = self._port(old, 8000), self._port(new, 8000)
        self._save(state.model_copy(update={"sharing": number, "starting": None}))
        return addresses

    def switch(self, number: int) -> None:
        """Let it have all requests, and the one before none unless this one dies."""
        before, release = self.state(), self.releases.get(number)
        own = self._port(before.slot(number) or "", 8000)
        previous = before.release if before.release != number else before.previous
        after = {"release": number, "previous": previous, "sharing": None, "starting": None}
        self._save(before.model_copy(update=after))
        try:
            self._is_steady(release, own)
        except UserError:
            self._save(before.model_copy(update={"sharing": None}))
            self.abandon(number)
            raise

    def abandon(self, number: int) -> None:
        """Take a release out of its slot."""
        state = self.state()
        if (slot := state.slot(number)) is None or number == state.release:
            return
        left = {name: there for name, there in state.slots.items() if name != slot}
        with contextlib.suppress(UserError):  # there is a better reason than what fails here
            self._save(state.model_copy(update={"slots": left, "sharing": None}))
            self._compose("rm", "--force", "--stop", slot)

    def stop(self) -> None:
        """End gateway and slots; MLflow and what watches go on."""
        self._compose("rm", "--force", "--stop", "gateway", *SLOTS)

    def status(self) -> dict[str, Any]:
        """Say which release answers, and where."""
        state = self.state()
        release = self.releases.get(state.release) if state.release is not None else None
        return {
            "environment": "compose",
            "state": "answering" if release and self._answers() else "stopped",
            "address": f"http://{self.settings.host}:{self.settings.port}",
            "release": state.release,
            "previous": state.previous,
            "slot": state.slot(state.release),
            "kept": self.releases.kept(),
            **(release.model_dump(include=RECORDED) if release else {}),
        }

    def state(self) -> State:
        """Return state.json. Raises UserError if that is damaged."""
        return load_state(self.folder / "state.json", State) or State()

    def _save(self, state: State) -> None:
        """Write the state, and have the gateway follow it."""
        self._write(state)
        self._reload()

    def _write(self, state: State) -> None:
        write_json(self.folder / "state.json", state.model_dump())
        routes = "\n".join(self._routes(state))
        write_file(self.folder / "gateway" / "slots.cfg", f"{routes}\n".encode())

    def _reload(self) -> None:
        """Have the gateway do as slots.cfg says; what it is answering comes to its end.

        Raises UserError where it does not.
        """
        routes = self.folder / "gateway" / "slots.cfg"
        wanted = routes.read_text(encoding="utf-8").rpartition("string ")[2].strip()
        end = time.monotonic() + RELOAD_SECONDS
        address = self._port("gateway", 8405)
        while not self._goes_by(wanted, address):
            if time.monotonic() > end:
                raise UserError("the gateway does not follow; see docker compose logs gateway")
            self._compose("kill", "--signal", "USR2", "gateway")
            time.sleep(0.3)

    def _goes_by(self, wanted: str, address: Address) -> bool:
        with contextlib.suppress(UserError):
            return request(address, "GET", "/", timeout=5)[1].decode() == wanted
        return False

    def _routes(self, state: State) -> Iterator[str]:
        name = sha256_text(state.model_dump_json())[:16]
        yield "# Written by scripts/deploy.sh: who gets which part of the requests."
        yield "backend service"
        yield "    option httpchk GET /readyz"
        share = max(1, round(self.settings.canary_share * 100))
        for slot, number in sorted(state.slots.items()):
            if slot == state.starting:
                continue
            if number == state.release:
                weight = f"weight {100 - share if state.sharing is not None else 100}"
            elif number == state.sharing:
                weight = f"weight {share}"
            elif number == state.previous:
                weight = "backup"
            else:
                continue
            yield f"    server {slot} {slot}:8000 {weight}"
        yield "# Tells deploy.sh by which of these files the gateway goes."
        yield "frontend name"
        yield "    bind :8405"
        yield f"    http-request return status 200 content-type text/plain string {name}"

    def _image(self, version: str, wanted: dict[str, str]) -> str:
        """Return a version's image, by its content. Raises UserError where it is another's."""
        name = self.settings.image or f"{NAME}-release:{version}"
        look = ("image", "inspect", "--format", "{{.Id}} {{json .Config.Labels}}", name)
        try:
            found = self._docker(*look)
        except UserError:
            if not self.settings.image:
                raise UserError(
                    f"there is no image {name}; run scripts/build.sh --release {version}, "
                    "or name one with ML_IMAGE"
                ) from None
            self._docker("pull", "--quiet", name)
            found = self._docker(*look)
        digest, _, labels = found.partition(" ")
        given = json.loads(labels) or {}
        for what, label in LABELS.items():
            if given.get(label) != wanted[what]:
                raise UserError(
                    f"the image {name} is of {what} {given.get(label, 'unknown')[:12]}, "
                    f"version {version} of {what} {wanted[what][:12]}"
                )
        return digest

    def _port(self, service: str, port: int) -> Address:
        """Return where a container's port is on this machine."""
        host, _, there = self._compose("port", service, str(port)).strip().rpartition(":")
        return reachable(host), int(there)

    def _public(self) -> Address:
        return reachable(self.settings.host), self.settings.port

    def _answers(self) -> bool:
        try:
            return ask(self._public(), "GET", "/readyz")[0] == 200  # noqa: PLR2004
        except UserError:
            return False

    def _is_steady(self, release: Release, own: Address) -> None:
        """Raise UserError unless the gateway goes over to this release, and it stays ready.

        It is asked at its own address, too: where it dies, the standby answers in public.
        """
        end = time.monotonic() + 10
        while True:
            try:
                is_ready(self._public(), release)
                break
            except UserError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)
        end = time.monotonic() + STEADY_SECONDS
        while time.monotonic() < end:
            is_ready(self._public(), release)
            try:
                is_ready(own, release)
            except UserError as error:
                raise UserError(f"it did not stay ready: {error}") from None
            time.sleep(0.1)

    def _compose(self, *arguments: str) -> str:
        """Run Docker Compose on the project's file, with the slots filled as state.json says."""
        values = dict(os.environ)
        values |= {"ML_HOST": self.settings.host, "ML_PORT": str(self.settings.port)}
        user = os.getuid() or USER
        values |= {"DEPLOY_DIR": str(self.folder), "DEPLOY_USER": f"{user}:{os.getgid() or USER}"}
        values["DEPLOY_PREDICTIONS"] = str(self.predictions)
        for slot, number in self.state().slots.items():
            if number in self.releases.kept():
                values[f"{slot.upper()}_IMAGE"] = self.releases.get(number).image or ""
        profile = ("--profile", "release")
        return tool(*self._command, *profile, *arguments, cwd=self.settings.root, env=values)

    @cached_property
    def _command(self) -> tuple[str, ...]:
        """Docker's own plugin where it is installed, else the separate command."""
        try:
            self._docker("compose", "version")
        except UserError:
            if shutil.which("docker-compose"):
                return ("docker-compose",)
        return ("docker", "compose")

    def _docker(self, *arguments: str) -> str:
        return tool("docker", *arguments, cwd=self.settings.root)
