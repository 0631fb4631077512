"""Checks of configuration: documented, versioned and free of secrets."""

import ast
import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.documents import CI, CONFIGURATION, CONTAINERS
from groundwork.audit.readers.facts import fact, facts
from groundwork.audit.readers.needs import DEPENDENCIES
from groundwork.audit.readers.python import CELLS, NOTEBOOK, PYTHON, Module
from groundwork.audit.readers.secrets import assigned, secrets
from groundwork.audit.repository import Audited

CODE = frozenset({PYTHON, NOTEBOOK, CELLS})


class Configuration(Check):
    """A check of this family."""

    family = "configuration"
    reads = CODE


class NoSecrets(Configuration):
    """No key, token or password is in a file."""

    id = "CF101"
    reason = "What was committed once is known to everybody who ever cloned it."
    mend = "Revoke it now, then read it from the environment; removing the line is not enough."
    command = "git log -S'THE SECRET' --oneline"
    reads = frozenset({PYTHON, NOTEBOOK, CONFIGURATION, CONTAINERS, CI, DEPENDENCIES})
    TEXTS = (
        *("*.py", "*.ipynb", "*.y*ml", "*.toml", "*.json", "*.cfg", "*.ini", "*.env", ".env*"),
        *("*.sh", "*.md", "*.rst", "*.tf", "*.tfvars", "*.properties", "*.conf", "Dockerfile*"),
        *("*.pem", "*.key", "id_rsa*", "*.R", "*.js", "*.ts", ".netrc", ".npmrc", ".pypirc"),
    )

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return each text with the form of a secret; the text itself is not repeated."""
        for path in repo.files.named(*self.TEXTS):
            for line, kind in secrets(repo.text(path)):
                yield Finding(path, line, f"looks like {kind}")


class EnvironmentFileKept(Configuration):
    """No .env file with secrets is committed."""

    id = "CF102"
    reason = "A .env is one person's; with secrets in it, it is everybody's."
    mend = "Ignore it, and commit .env.example with names and no values."
    command = "git rm --cached .env && echo .env >> .gitignore"
    reads = frozenset({CONFIGURATION})
    EXAMPLES = re.compile(r"example|sample|template|dist|test|defaults?\b|ci$")

    def applies(self, repo: Audited) -> bool:
        """Return whether the code has settings of its environment."""
        return bool(repo.files.named(".env", ".env.*", "*.env"))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return values whose names say that they are secrets."""
        for path in repo.files.named(".env", ".env.*", "*.env"):
            if not self.EXAMPLES.search(path.rpartition("/")[2]):
                for line, name in assigned(repo.text(path, CONFIGURATION)):
                    yield Finding(path, line, f"has a value for {name}")


class ParametersInFile(Configuration):
    """What shapes a run is in a file or on the command line, not in the code alone."""

    id = "CF103"
    reason = "A parameter in the code is a commit for each trial, and no record of a run has it."
    mend = "Move the numbers into params.yaml, and record that with each run."
    command = "$EDITOR params.yaml"
    days = 1
    FILES = (
        *("*params*.y*ml", "*config*.y*ml", "*config*.toml", "*config*.json", "*settings*.toml"),
        *("conf/*", "*/conf/*", "config/*", "*/config/*", "configs/*", "*/configs/*", "params.*"),
        *("*.gin", "*hparams*", "*settings*.y*ml", "*.ini", "*parameters*.y*ml", "confs/*"),
    )
    OPTIONS = frozenset(
        {
            *(
                "argparse",
                "typer",
                "click",
                "hydra",
                "fire",
                "absl",
                "omegaconf",
                "tyro",
                "simple_parsing",
            ),
            *(
                "jsonargparse",
                "pydantic_settings",
                "docopt",
                "configargparse",
                "sacred",
                "gin",
                "dynaconf",
            ),
            *("ml_collections", "draccus", "plac", "configparser", "environs", "decouple"),
        }
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether modules train something; a notebook is its own record."""
        return any(_trains(one) for one in repo.code if one.path.endswith(".py"))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether there is neither such a file nor a library for options."""
        if not repo.files.has(*self.FILES) and not repo.imports & self.OPTIONS:
            yield Finding("", 0, "no file of parameters, and no options on a command line")


TRAINS = re.compile(r"(^|\.)(fit|fit_transform|backward|fit_generator|Trainer)$")


@fact
def _trains(module: Module) -> bool:
    """Return whether a module trains something."""
    return any(TRAINS.search(name) for name, _ in module.calls)


class EnvironmentDocumented(Configuration):
    """Each variable that the code needs is named where people or machines set it."""

    id = "CF104"
    reason = "A missing variable is an error that only its author understands."
    mend = "Name it in .env.example or in the README, with what it is for."
    command = "$EDITOR .env.example"
    # What systems, launchers and CI set by themselves.
    GIVEN = re.compile(
        r"^(HOME|PATH|USER|PWD|TMPDIR|TEMP|CI|LANG|SHELL|HOSTNAME|DISPLAY|VIRTUAL_ENV|APPDATA|"
        r"USERPROFILE|PYTHON\w*|XDG_\w+|LD_\w+|CUDA_\w+|NVIDIA_\w+|RANK|LOCAL_RANK|WORLD_SIZE|"
        r"MASTER_(ADDR|PORT)|SLURM_\w+|OMP_\w+|MKL_\w+|GITHUB_\w+|CI_\w+|RUNNER_\w+|SM_\w+|"
        r"AWS_\w+|AZUREML_\w+|AZUREML\w+|KUBERNETES_\w+|CONDA_\w+|TF_\w+|COLAB_\w+|AIP_\w+|"
        r"XLA_\w+|NCCL_\w+|RAY_\w+|LOCAL_WORLD_SIZE|GROUP_RANK|COLUMNS|TERM|OMPI_\w+|UV_\w+)$"
    )
    PLACES = (
        *("*.md", "*.rst", ".env*", "*.env", "env.example", "*.y*ml", "Dockerfile*", "*.sh"),
        *("*.toml", "Makefile", "*.tf", "*.json", "*.ini", "*.cfg", "Jenkinsfile", "*.txt"),
    )

    def applies(self, repo: Audited) -> bool:
        """Return whether the code cannot do without a variable."""
        return any(_required(module) for module in repo.code)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return variables without a default that no such file names."""
        texts = "\n".join(repo.text(path) for path in repo.files.named(*self.PLACES))
        for module in repo.code:
            for line, name in _required(module):
                if not self.GIVEN.match(name) and not re.search(rf"\b{re.escape(name)}\b", texts):
                    yield Finding(module.path, line, f"needs {name}, named nowhere")


@facts
def _required(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each read of `os.environ["NAME"]`.

    What a module sets itself is left out.
    """
    found, own = [], set()
    for node in module.of(ast.Subscript):
        if isinstance(node.slice, ast.Constant) and module.dotted(node.value) == "os.environ":
            name = str(node.slice.value)
            if isinstance(node.ctx, ast.Load):
                found.append((module.line(node), name))
            else:
                own.add(name)
    for compared in module.of(ast.Compare):
        if isinstance(compared.ops[0], ast.In | ast.NotIn) and isinstance(
            compared.left, ast.Constant
        ):
            own.add(str(compared.left.value))
    yield from (one for one in found if one[1] not in own)


class ConfigurationVersioned(Configuration):
    """Each file of configuration that the code opens by name is in the repository."""

    id = "CF105"
    reason = "A configuration that is on one machine is lost with it."
    mend = "Commit the file, or an example of it beside instructions."
    command = "git add --force CONFIG.yaml"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return names of files that are opened for reading and are not there."""
        known = {path.rpartition("/")[2] for path in repo.files.paths}
        for module in repo.code:
            text = repo.text(module.path)
            for line, path in _opened(module):
                base = path.replace("\\", "/").rpartition("/")[2]
                stem = base.rpartition(".")[0]
                example = any(one.startswith(stem) and "example" in one for one in known)
                # What the code writes somewhere else in the same file is its own.
                written = re.search(rf"{re.escape(base)}[\"'][^\n]*[\"'][wa]", text)
                if base not in known and not example and not written:
                    yield Finding(module.path, line, f"opens {path}, which is not there")


@facts
def _opened(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the path of each file of configuration that is opened for reading."""
    for name, call in module.calls:
        last = name.rpartition(".")[2]
        if last not in {"open", "read_text", "load"} or not (call.args or call.keywords):
            continue
        if last == "load" and name != "omegaconf.OmegaConf.load":
            continue
        first = call.args[0] if call.args else None
        mode = call.args[1] if len(call.args) > 1 else None
        if isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax"):
            continue
        value = first.value if isinstance(first, ast.Constant) else None
        if isinstance(value, str) and re.fullmatch(r"[\w./\\-]*\w\.(ya?ml|toml|ini|cfg)", value):
            yield module.line(call), value


CHECKS = (
    NoSecrets,
    EnvironmentFileKept,
    ParametersInFile,
    EnvironmentDocumented,
    ConfigurationVersioned,
)
