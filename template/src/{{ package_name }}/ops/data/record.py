"""What the prepared data must be: data/manifest.json, and the check of the files by hash."""

from pydantic import BaseModel, ConfigDict

from ..core.errors import UserError
from ..core.files import load_json, sha256_file
from ..core.settings import NAME, Settings

TRAIN, HOLDOUT = "train.csv", "holdout.csv"


class DataManifest(BaseModel):
    """data/manifest.json: what the prepared files must be. Committed, like a lock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    columns: list[str]
    rows: dict[str, int]
    files: dict[str, str]


def verified(settings: Settings) -> DataManifest:
    """Return the manifest. Raises UserError unless the prepared files are what it records."""
    manifest = load_json(settings.data_dir / "manifest.json", DataManifest)
    for name, sha256 in manifest.files.items():
        path = settings.data_dir / name
        if not path.exists():
            raise UserError(f"{path} is missing; run `{NAME} prepare`")
        if sha256_file(path) != sha256:
            raise UserError(
                f"{path} is not the data that manifest.json records; "
                f"run `{NAME} prepare` to restore it"
            )
    return manifest
