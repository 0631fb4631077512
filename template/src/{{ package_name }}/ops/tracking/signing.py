"""Signatures of registered versions by SSH keys: who vouches, apart from whoever may register."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from ..core import process
from ..core.errors import UserError
from ..core.settings import NAME, Settings
from .summary import Version

# What a key signs for: a signature made for git or a file is none of a release.
NAMESPACE = "release@groundwork"
SIGNED = ("name", "number", "run_id", "digest", "commit", "bundle")


def sign(settings: Settings, version: Version) -> Version:
    """Return a version with its signature by ML_SIGNING_KEY, which deploy.sh would accept."""
    if not settings.signing_key:
        raise UserError("set ML_SIGNING_KEY to your SSH key, such as ~/.ssh/id_ed25519")
    key = _file(settings, settings.signing_key)
    signed = replace(version, signature=_run("sign", key, given=_message(version)))
    verify(settings, signed)
    return signed


def verify(settings: Settings, version: Version) -> None:
    """Raise UserError unless somebody in ML_SIGNERS, where it is set, has signed a version."""
    if not settings.signers:
        return
    signers, number = _file(settings, settings.signers), version.number
    mend = f"have a signer check it and run `{NAME} sign {number}`"
    if not version.signature:
        raise UserError(f"version {number} is not signed; {mend}")
    with NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(version.signature)
        file.flush()
        wrong = f"is signed by no key of {signers}"
        try:
            who = _run("find-principals", signers, "-s", file.name).splitlines()[0]
            wrong = "has a signature of something else: its tags were changed, or it was moved here"
            _run("verify", signers, "-s", file.name, "-I", who, given=_message(version))
        except UserError as error:
            raise UserError(f"version {number} {wrong}; {mend} ({error})") from None


def _message(version: Version) -> str:
    return json.dumps({name: getattr(version, name) for name in SIGNED}, indent=1)


def _file(settings: Settings, name: str) -> Path:
    path = settings.root / Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {path}, which ML_SIGNING_KEY or ML_SIGNERS names")
    if not shutil.which("ssh-keygen"):
        raise UserError("signatures need ssh-keygen; install OpenSSH")
    return path


def _run(action: str, file: Path, *options: str, given: str = "") -> str:
    options = ("-Y", action, "-n", NAMESPACE, "-f", str(file), *options)
    return process.run("ssh-keygen", *options, cwd=file.parent, given=given)
