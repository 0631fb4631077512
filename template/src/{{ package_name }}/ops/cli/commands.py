"""The project's one command line. Each command is a thin layer over the module of its concern."""

import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from ..core import optional
from ..core.errors import UserError, without_secrets
from ..core.files import append_lines, write_json
from ..core.settings import EVENTS, NAME, settings, thread_variables

app = typer.Typer(
    name=NAME,
    help="Prepare, train, prove, promote and serve this project's model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Reference = Annotated[str, typer.Argument(help="champion, challenger or a version number.")]
Inputs = Annotated[Path | None, typer.Argument(help="A CSV file of inputs.")]
Model = Annotated[str, typer.Option("--model", help="champion, challenger or a version number.")]
Action = Literal["deploy", "rollback", "status", "history", "stop"]
Metrics = Annotated[Path | None, typer.Option(help="Write them to this file, too, rounded.")]


@app.command()
def prepare(
    accept: Annotated[bool, typer.Option(help="Record that the data is meant to differ.")] = False,
) -> None:
    """Load, check and split the rows, and hold them to the record."""
    config = settings()  # first: its mistakes are reported before heavy imports
    from ..data import dataset

    made = dataset.prepare(config, accept=accept)
    typer.echo("prepared: " + ", ".join(f"{name} {rows} rows" for name, rows in made.rows.items()))


@app.command()
def validate(
    source: Annotated[Path | None, typer.Argument(help="A CSV file; none: prepared data.")] = None,
    metrics: Metrics = None,
) -> None:
    """Check the prepared data, or a file, against the schema."""
    from ..core.project import schema
    from ..data import dataset

    counts = {}
    if source is None:
        split = dataset.read(settings())
        counts = {"train_rows": len(split.train), "holdout_rows": len(split.holdout)}
    else:
        table = dataset.read_csv(source)
        kind = schema.Labelled if schema.TARGET in table else schema.Inputs
        if kind is schema.Inputs:  # as `predict` takes them: it carries identifiers through
            table = table.drop(columns=schema.IDENTIFIER, errors="ignore")
        counts = {"rows": len(dataset.check(table, kind, source.name))}
    typer.echo(f"valid: {sum(counts.values())} rows")
    _record(metrics, counts)


@app.command()
def train(
    register: Annotated[bool, typer.Option(help="Register the model if it passes.")] = True,
    replace: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a parameter, as in model.C=0.3."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fit the model alone; the gate registers nothing.")
    ] = False,
    metrics: Metrics = None,
) -> None:
    """Train, log the run, and register what passes the gate."""
    from ..training import gate, train

    trained = train.train(
        settings(**_overrides(replace)), register=register, quick=quick, say=typer.echo
    )
    _say([f"run: {trained.run_id}", f"digest: {trained.manifest.model_digest}"])
    found = trained.manifest.metrics
    learnt = {name: found[name] for name in found if name.startswith(("train.", "baseline."))}
    _record(metrics, learnt)
    if trained.version is not None:
        typer.echo(f"registered: version {trained.version.number}, challenger")
    elif failed := gate.failures(trained.checks):
        raise UserError(f"not registered; {failed}")


@app.command()
def evaluate(
    reference: Reference = "champion",
    source: Annotated[Path | None, typer.Argument(help="Labelled rows; none: holdout.")] = None,
    record: Annotated[bool, typer.Option(help="Make this what the tests compare with.")] = False,
    metrics: Metrics = None,
) -> None:
    """Judge a version on the holdout or on a file of labelled rows."""
    from ..core.project import model, schema
    from ..data import dataset
    from ..tracking import registry
    from ..training import reproduce as again
    from ..training.bundle import fetched, score

    config = settings()
    rows = (
        dataset.read(config).holdout
        if source is None
        else dataset.check(dataset.read_csv(source), schema.Labelled, source.name)
    )
    version = registry.resolve(config, reference)
    with fetched(config, version) as bundle:
        if metrics is not None and (changed := again.since(config, bundle.manifest)):
            raise UserError(
                f"version {version.number} was not trained on what is here: {', '.join(changed)} "
                f"changed since; train again, then evaluate"
            )
        found = model.metrics(rows[schema.TARGET], score(bundle.model, rows))
    typer.echo(f"version {version.number} on {len(rows)} rows")
    width = max(map(len, found))
    _say(f"  {name:<{width}} {value:.4f}" for name, value in found.items())
    if record:
        target = config.root / "tests" / "yours" / "baseline.json"
        write_json(target, found)
        typer.echo(f"recorded in {target}; commit it")
    _record(metrics, found)


@app.command()
def promote(reference: Reference = "challenger") -> None:
    """Make a version the champion, and list them all."""
    from ..tracking import registry, runs

    config = settings()
    version, before = registry.promote(config, reference)
    note = f" (before: version {before})" if before not in {None, version.number} else ""
    typer.echo(f"champion: version {version.number}{note}")
    for known in registry.versions(config, runs.connect(config)):
        typer.echo(f"  {known}{', '.join(['', *known.aliases])}")


@app.command()
def sign(reference: Reference = "challenger") -> None:
    """Vouch for a version with your SSH key, for deploy.sh."""
    from ..tracking import registry

    typer.echo(f"signed: {registry.sign(settings(), reference)}")


@app.command()
def rollback() -> None:
    """Make the previous champion the champion again."""
    from ..tracking import registry

    version, gone = registry.rollback(settings())
    typer.echo(f"champion: version {version.number} (was: version {gone})")


@app.command()
def retire() -> None:
    """Have no champion: the next model answers another question."""
    from ..tracking import registry

    typer.echo(f"no champion (was: version {registry.retire(settings())}); releases go on")


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(help="latest, or the start of a run's id.")] = "latest",
    here: Annotated[
        bool, typer.Option("--here", help="Use the working tree and environment as they are.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Repeat the comparisons with other models, too.")
    ] = False,
) -> None:
    """Repeat a run from its commit, elsewhere; compare it exactly."""
    from ..training import reproduce as again

    config = settings()
    verdict = again.reproduce(config, run, here=here, full=full)
    if not here:  # what an edited working tree gives says nothing about the run
        event = {"action": "reproduce", "run": verdict.run_id, "exact": verdict.exact}
        append_lines(config.var_dir / EVENTS, event)
    _say([f"run: {verdict.run_id}", *verdict.lines()])
    if not here and (changed := again.since(config, verdict.manifest)):
        typer.echo(f"note: the working tree has moved on since, in {', '.join(changed)}")
    raise typer.Exit(0 if verdict.exact else 1)


@app.command()
def retrain() -> None:
    """Train on the source's fresh rows, recorded on a branch."""
    from ..training import retrain

    retrain.retrain(settings(), typer.echo)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="latest, champion or the start of a run's id.")],
    second: Annotated[str, typer.Argument(help="The same, of the run to compare it with.")],
) -> None:
    """Show which layers, parameters and metrics of two runs differ."""
    from ..tracking import compare

    _say(compare.compare(settings(), first, second))


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Listen here.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen here.")] = 5000,
) -> None:
    """Show this project's runs on MLflow's page."""
    from ..tracking import page

    page.show(settings(), host, port, typer.echo)


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(help="A CSV file.")],
    out: Annotated[Path, typer.Argument(help="Where the scores go.")],
    reference: Model = "champion",
) -> None:
    """Score a file of inputs."""
    from ..training.bundle import predict_file

    rows = predict_file(settings(), reference, source, out)
    typer.echo(f"predicted: {rows} rows, in {out}")


@app.command()
def explain(
    source: Inputs = None,
    row: Annotated[int, typer.Option(min=0, help="Which of its rows, from 0.")] = 0,
    prediction: Annotated[str, typer.Option(help="A served prediction's id instead.")] = "",
    reference: Model = "champion",
) -> None:
    """Show what one score came from: inputs, features, version."""
    from ..monitoring import explain

    _say(explain.report(settings(), source, row, prediction, reference))


@app.command()
def tune() -> None:
    """Cross-validate all that model.SEARCH allows; record it."""
    from ..training import tuning

    _say(tuning.tune(settings(), say=typer.echo))


@app.command()
def backtest() -> None:
    """Show how quality falls as the training data ages."""
    from ..training import tuning

    _say(tuning.backtest(settings()))


@app.command()
def bench(
    record: Annotated[bool, typer.Option(help="Make this the baseline.")] = False,
) -> None:
    """Measure speed against the recorded baseline, as ratios."""
    from ..training import benchmark

    _say(benchmark.compare(settings(), record=record))


@app.command()
def status() -> None:
    """Show commit, data, lock, the last run and the versions."""
    from . import status

    _say(status.lines(settings()))


@app.command()
def serve(
    reference: Reference = "champion",
    host: Annotated[str | None, typer.Option(help="Listen here; else ML_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Listen here; else ML_PORT.")] = None,
    release: Annotated[
        Path | None, typer.Option(help="A folder with all that is needed, as deploy.sh makes it.")
    ] = None,
) -> None:
    """Answer requests with a version until interrupted."""
    given = {"host": host, "port": port}
    config = settings(**{name: at for name, at in given.items() if at is not None})
    os.environ |= thread_variables(config.params.threads)
    from ..serving import server

    server.run(config, reference, release)


@app.command(hidden=True)
def export(
    reference: Reference,
    folder: Annotated[Path, typer.Argument(help="Where bundle/ and release.json go.")],
) -> None:
    """Bring to a folder what an image of a version holds, for scripts/build.sh --release."""
    from ..tracking import registry

    version = registry.export(settings(), reference, folder)
    typer.echo(f"{version.number} {version.digest} {version.commit}")


@app.command()
def drift(
    source: Inputs = None,
    logged: Annotated[bool, typer.Option("--logged", help="The served features instead.")] = False,
    reference: Model = "champion",
) -> None:
    """Compare inputs or served features with those of training."""
    from ..monitoring import monitor

    if (source is None) != logged:
        raise typer.BadParameter("give a CSV file, or --logged")
    report, page = monitor.drifted(settings(), source, reference)
    typer.echo(f"{report}\nreport: {page}")
    if report.drifted:
        raise UserError(f"drift in {', '.join(report.drifted)}")


@app.command()
def monitor(
    labels: Annotated[
        Path | None, typer.Option(help="A CSV file of prediction_id and label.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="How far to look back.")] = 30,
    reference: Model = "champion",
) -> None:
    """Judge what was served: age, failures, drift, quality."""
    from ..monitoring import monitor

    health = monitor.monitor(settings(), labels, reference, days)
    _say(health.lines)
    for finding in health.findings:
        typer.echo(f"finding: {finding}", err=True)
    raise typer.Exit(1 if health.findings else 0)


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is stale.")] = False,
) -> None:
    """Write docs/environment.md from the lock and the settings."""
    from ..provenance import environment

    root = settings().root
    if not check:
        typer.echo(f"wrote {environment.write(root).relative_to(root)}")
    for problem in environment.problems(root):
        raise UserError(problem)


@app.command("lock-check")
def lock_check() -> None:
    """Check that the lock, its exports and the packages agree."""
    from ..provenance import lock

    root = settings().root
    problems = [*lock.problems(root), *(f"installed: {line}" for line in lock.drifted(root))]
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo("pyproject.toml, poetry.lock, requirements and what is installed agree")


@app.command()
def deploy(
    environment: Annotated[str, typer.Argument(help="local, or a deploy target of this project")],
    action: Annotated[Action, typer.Argument()] = "deploy",
    number: Annotated[int | None, typer.Argument(help="The release to roll back to.")] = None,
    reference: Annotated[
        str, typer.Option("--version", help="champion, challenger or a version number.")
    ] = "champion",
) -> None:
    """Deploy a version, go back to a release, or list releases."""
    from ..delivery import deploy as deployments

    drivers = deployments.drivers(settings())
    if environment not in drivers:
        targets = deployments.TARGETS.items()
        chosen = [target for target, name in targets if optional.has(f"delivery.{name}")]
        raise typer.BadParameter(
            f"this project does not deploy to {environment!r}, only to: {', '.join(drivers)}; "
            f"scripts/update.sh --data 'deploy=[{', '.join([*chosen, 'TARGET'])}]' adds a target "
            f"of: {', '.join(deployments.TARGETS)}"
        )
    if number is not None and action != "rollback":
        raise typer.BadParameter("only rollback takes a release's number")
    _say(deployments.act(drivers[environment], action, number, reference))


@app.command()
def report() -> None:
    """Show how deployments and reproductions went."""
    from ..delivery import report as work

    found, page = work.write(settings())
    _say([*found, f"report: {page}"])


def _say(lines: Iterable[object]) -> None:
    for line in lines:
        typer.echo(line)


def _overrides(replacements: list[str] | None) -> dict[str, dict[str, Any]]:
    """Read KEY=VALUE, the value as YAML has it. Raises UserError where one is something else."""
    found = {}
    for text in replacements or []:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UserError(f"--set takes KEY=VALUE, such as model.C=0.3, not {text!r}")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {key}: {value!r} is not YAML") from None
    return {"overrides": found} if found else {}


def _record(path: Path | None, metrics: Mapping[str, float]) -> None:
    """Write `metrics` to `path`, with the decimals that any processor gives."""
    if path is not None:
        write_json(path, {name: round(value, 3) for name, value in metrics.items()})


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. A user's mistake ends it with one line and exit status 1."""
    try:
        app(arguments, standalone_mode=True)
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        sys.exit(f"error: {error.filename or 'the system'}: {error.strerror}")
    except Exception:
        sys.excepthook = _show  # typer has set its own
        raise


def _show(_kind: type[BaseException], error: BaseException, _at: object) -> None:
    """Show a fault of this code or of a library as Python does, but without passwords."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(error))))
