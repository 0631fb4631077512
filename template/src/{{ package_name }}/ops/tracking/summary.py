"""The last run and the registered versions, without MLflow's import where that can be spared.

It takes seconds, so the embedded database is read by its tables. A server, and a database that has
other tables, are asked through MLflow.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..core.errors import UserError
from ..core.settings import NAME, Settings

RUN = """
select run_uuid, name from runs
where experiment_id = (select experiment_id from experiments where name = ?)
  and status = 'FINISHED' and lifecycle_stage = 'active' and run_uuid in (
    select run_uuid from tags where key = 'model_digest' and value != '')
order by start_time desc limit 1
"""
VERSIONS = """
select version, run_id,
  (select value from model_version_tags t
   where t.name = v.name and t.version = v.version and key = 'digest'),
  (select value from model_version_tags t
   where t.name = v.name and t.version = v.version and key = 'commit'),
  (select group_concat(alias) from registered_model_aliases a
   where a.name = v.name and a.version = v.version),
  (select value from model_version_tags t
   where t.name = v.name and t.version = v.version and key = 'bundle')
from model_versions v where name = ? and current_stage != 'Deleted_Internal'
order by version desc
"""


@dataclass(frozen=True)
class Version:
    """One registered version; `bundle` is the hash of all its files, `signature` vouches for it."""

    name: str
    number: int
    run_id: str
    digest: str
    commit: str
    aliases: tuple[str, ...]
    bundle: str = ""
    signature: str = ""

    def __str__(self) -> str:
        """Say in one line what it is."""
        made_of = f"digest {self.digest[:12]}, commit {self.commit[:12]}, run {self.run_id[:12]}"
        return f"version {self.number}, {made_of}"


@dataclass(frozen=True)
class Summary:
    """The newest finished run, by id and name, and every version, newest first."""

    run: str | None
    versions: list[Version]

    def latest(self) -> str:
        """Return the newest run. Raises UserError where there is none."""
        if self.run is None:
            raise UserError(f"no run has finished; run `{NAME} train`")
        return self.run

    def behind(self, alias: str) -> str:
        """Return the version that an alias means. Raises UserError where there is none."""
        for version in self.versions:
            if alias in version.aliases:
                return str(version)
        raise UserError(f"there is no {alias}")


def summary(settings: Settings) -> Summary:
    """Return what the settings' store holds. Raises UserError where it cannot be read."""
    address = urlsplit(settings.tracking_uri)
    if address.scheme.startswith("sqlite"):
        database = Path(unquote(address.path)[1:])
        if not database.exists():
            return Summary(None, [])
        try:
            return _from_tables(settings, database)
        except sqlite3.Error:  # MLflow knows what is wrong with it, or how it is read today
            pass
    return _from_mlflow(settings)


def _from_tables(settings: Settings, database: Path) -> Summary:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as tables:
        run = tables.execute(RUN, [settings.experiment]).fetchone()
        found = tables.execute(VERSIONS, [settings.model_name]).fetchall()
    versions = [
        Version(settings.model_name, number, run_id, digest or "", commit or "",
                tuple(sorted(aliases.split(","))) if aliases else (), bundle or "")
        for number, run_id, digest, commit, aliases, bundle in found
    ]  # fmt: skip
    return Summary(f"{run[0]}, {run[1]}" if run else None, versions)


def _from_mlflow(settings: Settings) -> Summary:
    from . import registry, runs

    client = runs.connect(settings)
    try:
        run_id = runs.find(settings, client, "latest")
    except runs.NoRunError:
        latest = None
    else:
        latest = f"{run_id}, {runs.name_of(client, run_id)}"
    return Summary(latest, registry.versions(settings, client))
