"""The catalog: presets that render, forms that Backstage takes, a stub that cookiecutter takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError, validate
from referencing import Registry
from referencing.jsonschema import DRAFT7

from groundwork.catalog.backstage import entity, skeleton
from groundwork.catalog.catalog import write
from groundwork.catalog.form import form
from groundwork.catalog.offer import RECOPY, Offer
from groundwork.catalog.presets import preset, presets
from groundwork.cli.main import main
from groundwork.errors import UserError
from tests.combinations import COMBINATIONS, DEFAULTS, OPTIONS, QUESTIONS, parsed
from tests.conftest import ROOT, Render, commit_all, files, git

from .test_update import release, update

PRESETS = presets(ROOT)
URL = "https://git.example.com/platform/groundwork.git"
# Backstage's schemas come in packages of npm's, and its templates are nunjucks'.
COMMON, MODEL = "@backstage/plugin-scaffolder-common@2.3.0", "@backstage/catalog-model@1.10.1"
NUNJUCKS = "nunjucks@3.2.4"
SCHEMAS = """
const path = require('path')
const kinds = {
  Template: 'common/dist/Template.v1beta3',
  Location: 'model/dist/schema/kinds/Location.v1alpha1',
  Component: 'model/dist/schema/kinds/Component.v1alpha1',
  Entity: 'model/dist/schema/Entity',
  EntityMeta: 'model/dist/schema/EntityMeta',
  common: 'model/dist/schema/shared/common',
}
const read = file => require(path.resolve(file + '.schema.json.cjs.js'))
const found = Object.entries(kinds).map(([kind, file]) => [kind, read(file).default || read(file)])
process.stdout.write(JSON.stringify(Object.fromEntries(found)))
"""
# Fills a template in as Backstage's fetch:template does.
FILL = """
const nunjucks = require('nunjucks')
const tags = {variableStart: '${{', variableEnd: '}}'}
const filler = new nunjucks.Environment(null, {autoescape: false, tags})
const [text, values] = JSON.parse(require('fs').readFileSync(0))
process.stdout.write(filler.renderString(text, {values}))
"""


def made(root: Path = ROOT, url: str = URL, version: str = "v1.0.0") -> Offer:
    return Offer(root, url, version, "platform", "github")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Backstage's packages, and with none of the many that they depend on."""
    if not shutil.which("npm"):
        pytest.skip("not installed: npm")
    folder = tmp_path_factory.mktemp("node")
    for package, at in ((COMMON, "common"), (MODEL, "model")):
        packed = run(["npm", "pack", "--silent", package], folder).split()[-1]
        (folder / at).mkdir()
        run(["tar", "-xzf", packed, "--strip-components=1", "-C", at], folder)
    run(["npm", "install", "--silent", "--no-save", NUNJUCKS], folder)
    return folder


def run(command: list[str], folder: Path, given: str = "") -> str:
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, input=given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def schemas(node: Path) -> dict[str, Any]:
    """Backstage's own schemas by kind, those that they refer to among them."""
    found: dict[str, Any] = json.loads(run(["node", "--eval", SCHEMAS], node))
    return found


def fits(entity: dict[str, Any], schemas: dict[str, Any]) -> None:
    known = Registry().with_resources(
        (one, DRAFT7.create_resource(schema)) for one, schema in schemas.items()
    )
    Draft7Validator(schemas[entity["kind"]], registry=known).validate(entity)


def fill(node: Path, text: str, values: dict[str, str]) -> str:
    return run(["node", "--eval", FILL], node, json.dumps([text, values]))


def written(into: Path, name: str) -> dict[str, Any]:
    entity: dict[str, Any] = yaml.safe_load((into / name).read_text("utf-8"))
    return entity


def test_all_entities_are_what_backstage_takes(schemas: dict[str, Any], tmp_path: Path) -> None:
    listed = write(made(), tmp_path)
    assert listed == sorted(path.relative_to(tmp_path) for path in files(tmp_path))
    location = written(tmp_path, "catalog-info.yaml")
    fits(location, schemas)
    targets = location["spec"]["targets"]
    assert len(targets) == len(PRESETS) + 1
    for target in targets:
        one = written(tmp_path, target)
        fits(one, schemas)
        for page in one["spec"]["parameters"]:
            Draft7Validator.check_schema(page)


def test_what_backstage_does_not_take_is_noticed(schemas: dict[str, Any]) -> None:
    project = entity(made(), "project")
    del project["spec"]["steps"]
    with pytest.raises(ValidationError, match="steps"):
        fits(project, schemas)


def shown(form: dict[str, Any], answers: dict[str, str]) -> set[str]:
    """The fields of a form that are seen after these answers."""
    fields = {*form["properties"]}
    for on, dependent in form.get("dependencies", {}).items():
        (branch,) = (
            one for one in dependent["oneOf"] if answers[on] in one["properties"][on]["enum"]
        )
        fields |= {*branch["properties"]}
    return fields


def test_the_form_asks_what_copier_asks() -> None:
    schema = form(made(), {})
    questions = made().questions
    for answers in COMBINATIONS:
        assert shown(schema, answers) == {one for one in questions if QUESTIONS.asked(one, answers)}
        validate({"project_name": "One", **parsed(answers)}, schema)
    with pytest.raises(ValidationError):
        validate({"project_name": "One", "framework": "fortran"}, schema)


def test_the_form_changes_with_the_questions(template_folder: Path) -> None:
    stack = template_folder / "questions/delivery.yml"
    more = "\nshape:\n  type: str\n  help: Which shape?\n  default: round\n"
    more += "  when: \"{{ ci == 'gitlab' }}\"\n"
    stack.write_text(stack.read_text("utf-8") + more, "utf-8")
    schema = form(made(template_folder), {})
    answers = DEFAULTS | {"project_name": "One"}
    assert "shape" not in shown(schema, answers)
    assert "shape" in shown(schema, answers | {"ci": "gitlab"})
    assert "shape:" in skeleton(made(template_folder))[".copier-answers.yml"]
    stack.write_text(stack.read_text("utf-8").replace("ci == 'gitlab'", "ci + data"), "utf-8")
    with pytest.raises(UserError, match="shape is asked depending on ci, data; a form can"):
        form(made(template_folder), {})


@pytest.fixture
def template_folder(template: Path, tmp_path: Path) -> Path:
    """The template, to be changed."""
    return shutil.copytree(template, tmp_path / "template", symlinks=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_is_a_project(path: Path, template: Path, tmp_path: Path, render: Render) -> None:
    title, about, answers = preset(path)
    assert title
    assert about.endswith(".")
    assert {*answers} <= {*OPTIONS}
    assert DEFAULTS | answers in COMBINATIONS
    options = ("--defaults", "--quiet", "--vcs-ref", "HEAD", "--data-file", path)
    command = [sys.executable, "-m", "copier", "copy", *options, template, tmp_path / "preset"]
    run([str(part) for part in command], tmp_path)
    assert same(tmp_path / "preset", render("asked", **answers))


def same(one: Path, other: Path) -> bool:
    """Whether two projects are the same, but for how their answers are written down."""
    left, right = (
        {path.relative_to(root): path.read_bytes() for path in files(root)} for root in (one, other)
    )
    answers = [yaml.safe_load(side.pop(Path(".copier-answers.yml"))) for side in (left, right)]
    for answer in answers:
        del answer["_src_path"], answer["_commit"]
    return left == right and answers[0] == answers[1]


def recopied(project: Path) -> None:
    """What the README of a stub tells people to do."""
    command = [sys.executable, "-m", *RECOPY.split()]
    run(command, project)


@pytest.mark.slow
def test_what_backstage_makes_is_a_project_that_can_be_updated(
    node: Path,
    schemas: dict[str, Any],
    template_folder: Path,
    tmp_path: Path,
    render: Render,
) -> None:
    """The skeleton of the catalog is filled in as Backstage does, and completed by Copier."""
    answers = {"project_name": 'Ünï "quoted": 1', "framework": "xgboost", "accelerator": "cuda"}
    project = tmp_path / "project"
    project.mkdir()
    offered = made(template_folder, version="v999.0.0")
    offered.url = str(template_folder)
    for file, text in skeleton(offered).items():
        filled = fill(node, text, {**answers, "owner": "me"})
        (project / file).write_text(filled, "utf-8")
    git(project, "init", "--quiet", "--initial-branch", "main")
    commit_all(project, "From the catalog")
    recopied(project)
    component = written(project, "catalog-info.yaml")
    fits(component, schemas)
    assert component["metadata"]["name"] == "n-quoted-1"
    assert component["metadata"]["title"] == answers["project_name"]
    (project / "catalog-info.yaml").unlink()
    assert same(project, render("asked", of=template_folder, **answers))
    updates(template_folder, project)


def updates(template_folder: Path, project: Path) -> None:
    commit_all(project, "Complete")
    release(template_folder, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    update(project)
    assert (project / "tox.ini").read_text("utf-8").endswith("; moved on\n")


@pytest.mark.slow
@pytest.mark.parametrize("hooks", ["yes", pytest.param("no", marks=pytest.mark.rare)])
def test_the_stub_makes_a_project_that_can_be_updated(
    template_folder: Path, tmp_path: Path, render: Render, hooks: str
) -> None:
    """By the real cookiecutter, with its hook; and without, as by catalogs that run none."""
    offered = made(template_folder, version="v999.0.0")
    offered.url = str(template_folder)
    write(offered, tmp_path / "catalog")
    answers = {"project_name": "Grüße & Co", "framework": "pytorch", "ci": "none"}
    given = [f"{one}={value}" for one, value in answers.items()]
    options = ("--no-input", f"--accept-hooks={hooks}", f"--output-dir={tmp_path}")
    config = tmp_path / "config"
    config.write_text(f"cookiecutters_dir: {tmp_path}/c\nreplay_dir: {tmp_path}/r\n", "utf-8")
    command = ["cookiecutter", str(tmp_path / "catalog/cookiecutter"), *options, *given]
    run([sys.executable, "-m", *command, f"--config-file={config}"], tmp_path)
    project = tmp_path / "grusse_co"
    if hooks == "no":
        assert len(files(project)) == 2
        recopied(project)
    asked_for = render("asked", of=template_folder, **answers, package_name="grusse_co")
    assert same(project, asked_for)
    git(project, "init", "--quiet", "--initial-branch", "main")
    updates(template_folder, project)


def test_an_answer_that_cannot_be_gives_way_to_the_default(template: Path, tmp_path: Path) -> None:
    """No form knows all rules; Copier does."""
    answers = tmp_path / ".copier-answers.yml"
    text = f"_commit: v999.0.0\n_src_path: {template}\nproject_name: One\n"
    answers.write_text(f"{text}package_name: class\n", "utf-8")
    recopied(tmp_path)
    assert (tmp_path / "src/one").is_dir()
    assert not (tmp_path / "src/class").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "../groundwork"], "--url ../groundwork: give the address"),
        (["--version", "v1; rm"], "--version v1; rm: the template at "),
        ([], "holds something else than a catalog"),
    ],
)
def test_a_user_s_mistake_is_one_line(
    arguments: list[str],
    said: str,
    template: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own.txt").write_text("mine", "utf-8")
    usual = ["--url", URL, "--version", "v999.0.0"]
    command = ["--template", str(template), "catalog", str(tmp_path), *usual, *arguments]
    assert main(command) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["own.txt"]


def test_written_again_it_has_nothing_of_before(template: Path, tmp_path: Path) -> None:
    (tmp_path / "backstage").mkdir()
    (tmp_path / "backstage/gone.yaml").touch()
    (tmp_path / "catalog-info.yaml").touch()
    command = ["--template", str(template), "catalog", str(tmp_path), "--url", URL]
    assert main([*command, "--version", "v999.0.0"]) == 0
    assert not (tmp_path / "backstage/gone.yaml").exists()


def test_it_offers_the_version_that_it_is_told_and_not_the_checkout(
    template: Path, tmp_path: Path
) -> None:
    later = shutil.copytree(template, tmp_path / "later", symlinks=True)
    (later / "catalog/presets/new.yml").write_text("# New: later.\nframework: pytorch\n", "utf-8")
    commit_all(later, "A preset more")
    git(later, "tag", "v999.1.0")
    for version, there in (("v999.0.0", False), ("v999.1.0", True)):
        into = tmp_path / version
        command = ["--template", str(later), "catalog", str(into), "--url", URL]
        assert main([*command, "--version", version]) == 0
        assert (into / "backstage/new.yaml").exists() is there


def test_a_preset_says_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text("framework: pytorch\n", "utf-8")
    with pytest.raises(UserError, match="must begin with a line such as"):
        preset(path)
