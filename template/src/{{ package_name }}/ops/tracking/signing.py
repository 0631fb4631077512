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
    key = ("-f", _path(settings, settings.signing_key))
    signed = replace(version, signature=_run(settings, "sign", *key, given=_message(version)))
    verify(settings, signed)
    return signed


def verify(settings: Settings, version: Version) -> None:
    """Raise UserError unless somebody in ML_SIGNERS, where it is set, has signed a version."""
    if not settings.signers:
        return
    signers, again = _path(settings, settings.signers), f"`{NAME} sign {version.number}`"
    if not version.signature:
        raise UserError(f"version {version.number} is not signed; have a signer run {again}")
    with NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(version.signature)
        file.flush()
        who, what = ("-f", signers, "-s", Path(file.name)), _message(version)
        try:
            found = _run(settings, "find-principals", *who).splitlines()
        except UserError as error:
            raise UserError(f"version {version.number} is signed by no key of {signers}; have a "
                            f"signer run {again} ({error})") from None  # fmt: skip
        try:
            _run(settings, "verify", *who, "-I", found[0], given=what)
        except UserError as error:
            raise UserError(
                f"the signature of version {version.number} is not of what is registered: the tags "
                f"were changed, or it is another version's; train again, or have a signer check it "
                f"and run {again} ({error})"
            ) from None


def _message(version: Version) -> str:
    return json.dumps({name: getattr(version, name) for name in SIGNED}, indent=1)


def _path(settings: Settings, name: str) -> Path:
    path = settings.root / Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {path}, which ML_SIGNING_KEY or ML_SIGNERS names")
    return path


def _run(settings: Settings, action: str, *options: str | Path, given: str = "") -> str:
    if not shutil.which("ssh-keygen"):
        raise UserError("signatures need ssh-keygen; install OpenSSH")
    command = ("ssh-keygen", "-Y", action, "-n", NAMESPACE, *options)
    return process.run(*command, cwd=settings.root, given=given)
