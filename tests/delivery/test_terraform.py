"""deploy/terraform and the driver `aws`: checked, applied to a stand-in of AWS, deployed to, gone.

One stack is applied, by the provider as it is, to moto with stand_ins/aws.py; every plan here is
one against it, so that nothing in it is unknown.
"""

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import copytree, which
from time import monotonic, sleep
from typing import Any

import pytest

from tests.conftest import PRESENT_PYTHON, ROOT, copy_template
from tests.projects import COMMAND, MINUTES, Project, free_port, install, replace, tools

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]

FILES = "deploy/terraform"
STAND_IN = ROOT / "tests/delivery/stand_ins/aws.py"
# Where the provider lies on a machine that reaches no registry.
PLUGINS = Path(os.environ.get("TERRAFORM_PLUGINS", "/opt/tf-plugins"))
IMAGES = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/my-ml-project-release@sha256:"
GOOD = [f"{IMAGES}{digit * 64}" for digit in "1234"]
BAD = f"{IMAGES}bad{'0' * 61}"
OVERRIDE = """
terraform {
  backend "local" {}
}

provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}
"""


@dataclass(frozen=True)
class Stack:
    """A copy of a project's deploy/terraform, and the environment of an account."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=10 * MINUTES,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def planned(self, *options: str) -> "Plan":
        self.ok("plan", "-out=plan", "-input=false", *options)
        return Plan(json.loads(self.ok("show", "-json", "plan")))

    def another(self, folder: Path, files: Path) -> "Stack":
        """Return one with other files and the same state."""
        copytree(files, folder)
        for name in ("override.tf", "test.auto.tfvars.json", "terraform.tfstate"):
            if (self.folder / name).exists():
                (folder / name).write_bytes((self.folder / name).read_bytes())
        stack = Stack(folder, self.environment)
        where = [f"-plugin-dir={PLUGINS}"] if PLUGINS.exists() else []
        stack.ok("init", "-input=false", *where)
        return stack


@dataclass(frozen=True)
class Plan:
    """What a plan makes, each resource as its values by type and name."""

    told: dict[str, Any]

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.told["planned_values"]["root_module"]["resources"]
        return found

    def of(self, kind: str, name: str = "") -> dict[str, dict[str, Any]]:
        """Return the resources of a kind by name or key; at least one."""
        found = {
            str(one.get("index", one["name"])): one["values"]
            for one in self.resources
            if one["type"] == kind and name in {"", one["name"]}
        }
        assert found, kind
        return found

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        (found,) = self.of(kind, name).values()
        return found

    def container(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self.one("aws_ecs_task_definition", name)["container_definitions"])
        return dict(found)

    def statements(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        return [
            statement
            for one in self.of(kind, name).values()
            for statement in json.loads(one["policy"])["Statement"]
        ]


@dataclass(frozen=True)
class Property:
    """What a stack has to be, and the change of its files that has to be noticed."""

    name: str
    holds: Callable[[Plan], bool]
    file: str
    changes: dict[str, str] = field(default_factory=dict)


def listed(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def least(plan: Plan) -> bool:
    """No right is a pattern, and none is for everything where AWS lets it be for something."""
    everywhere = {
        "ecr:GetAuthorizationToken",
        "ecs:DeregisterTaskDefinition",
        "ecs:DescribeTaskDefinition",
        "ecs:ListTaskDefinitions",
    }
    given = [*plan.statements("aws_iam_role_policy"), *plan.statements("aws_iam_policy")]
    return all(
        one["Effect"] == "Allow"
        and not any("*" in action for action in listed(one["Action"]))
        and ("*" not in listed(one["Resource"]) or {*listed(one["Action"])} <= everywhere)
        for one in given
    )


def only_tls(plan: Plan) -> bool:
    (one,) = plan.statements("aws_s3_bucket_policy")
    refused = {"Bool": {"aws:SecureTransport": "false"}}
    return (one["Effect"], one["Action"], one["Condition"]) == ("Deny", "s3:*", refused)


def confined(plan: Plan) -> bool:
    return all(
        one["readonlyRootFilesystem"]
        and one["user"] == "10001:10001"
        and one["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        for one in map(plan.container, ("service", "mlflow"))
    )


def inside(plan: Plan) -> bool:
    """The subnets that tasks and database are in lead out through the NAT gateway alone."""
    private = {one["id"] for one in plan.of("aws_subnet", "private").values()}
    networks = [
        subnet
        for one in plan.of("aws_ecs_service").values()
        for network in one["network_configuration"]
        if not network["assign_public_ip"]
        for subnet in network["subnets"]
    ]
    database = plan.one("aws_db_subnet_group")["subnet_ids"]
    (route,) = plan.one("aws_route_table", "private")["route"]
    joined = {
        one["subnet_id"] for one in plan.of("aws_route_table_association", "private").values()
    }
    return {*networks} == {*database} == joined == private and not route["gateway_id"]


def sources(plan: Plan, name: str) -> set[str | None]:
    group = plan.of("aws_security_group", "task")[name]["id"]
    return {
        one["referenced_security_group_id"]
        for one in plan.of("aws_vpc_security_group_ingress_rule").values()
        if one["security_group_id"] == group
    }


def guarded(plan: Plan) -> bool:
    """Only its load balancer reaches a task, and only MLflow the database."""
    balancers, tasks = (plan.of("aws_security_group", one) for one in ("balancer", "task"))
    rule = plan.one("aws_vpc_security_group_ingress_rule", "database")
    return rule["referenced_security_group_id"] == tasks["mlflow"]["id"] and all(
        sources(plan, name) == {balancers[name]["id"]} for name in tasks
    )


def rolled_back(plan: Plan) -> bool:
    breaker = [{"enable": True, "rollback": True}]
    services = plan.of("aws_ecs_service").values()
    return all(one["deployment_circuit_breaker"] == breaker for one in services)


def on_gpu(plan: Plan) -> bool:
    return any(one["type"] == "aws_launch_template" for one in plan.resources)


def asks_for_gpu(plan: Plan) -> bool:
    wanted = [{"type": "GPU", "value": "1"}]
    return plan.container("service").get("resourceRequirements") == wanted


def limited(plan: Plan) -> bool:
    one = plan.one("aws_budgets_budget")
    told = {(each["notification_type"], each["threshold"]) for each in one["notification"]}
    return (one["limit_amount"], told) == ("400", {("ACTUAL", 80), ("FORECASTED", 100)})


PROPERTIES = [
    Property(
        "tags of images never move",
        lambda plan: all(
            one["image_tag_mutability"] == "IMMUTABLE"
            for one in plan.of("aws_ecr_repository").values()
        ),
        "registry.tf",
        {'"IMMUTABLE"': '"MUTABLE"'},
    ),
    Property(
        "images are scanned",
        lambda plan: all(
            one["image_scanning_configuration"] == [{"scan_on_push": True}]
            for one in plan.of("aws_ecr_repository").values()
        ),
        "registry.tf",
        {"scan_on_push = true": "scan_on_push = false"},
    ),
    Property(
        "the bucket keeps versions",
        lambda plan: (
            plan.one("aws_s3_bucket_versioning")["versioning_configuration"][0]["status"]
            == "Enabled"
        ),
        "storage.tf",
        {'{\n    status = "Enabled"': '{\n    status = "Suspended"'},
    ),
    Property(
        "the bucket is encrypted with the stack's key",
        lambda plan: (
            [
                rule["apply_server_side_encryption_by_default"][0]["kms_master_key_id"]
                for rule in plan.one("aws_s3_bucket_server_side_encryption_configuration")["rule"]
            ]
            == [plan.one("aws_kms_key")["arn"]]
        ),
        "storage.tf",
        {'"aws:kms"\n      kms_master_key_id = aws_kms_key.this.arn': '"AES256"'},
    ),
    Property(
        "the bucket is not public",
        lambda plan: (
            [
                value
                for name, value in plan.one("aws_s3_bucket_public_access_block").items()
                if name.startswith(("block_", "ignore_", "restrict_"))
            ]
            == [True] * 4
        ),
        "storage.tf",
        {"block_public_policy     = true": "block_public_policy     = false"},
    ),
    Property("the bucket is reached by TLS", only_tls, "storage.tf", {'["false"]': '["true"]'}),
    Property(
        "the database is encrypted and not public",
        lambda plan: (
            plan.one("aws_db_instance")["storage_encrypted"]
            and not plan.one("aws_db_instance")["publicly_accessible"]
        ),
        "database.tf",
        {"publicly_accessible             = false": "publicly_accessible = true"},
    ),
    Property(
        "tasks and database are in private subnets",
        inside,
        "database.tf",
        {"aws_subnet.private": "aws_subnet.public"},
    ),
    Property(
        "tasks and database are reached by nobody else",
        guarded,
        "database.tf",
        {'aws_security_group.task["mlflow"]': 'aws_security_group.balancer["mlflow"]'},
    ),
    Property(
        "ECS returns to the release before",
        rolled_back,
        "service.tf",
        {"rollback = true": "rollback = false"},
    ),
    Property(
        "containers can write nothing and are not root",
        confined,
        "mlflow.tf",
        {"readonlyRootFilesystem = true": "readonlyRootFilesystem = false"},
    ),
    Property("rights are the least", least, "roles.tf", {'"s3:ListBucket"': '"s3:*"'}),
    Property(
        "only TLS from 1.2 on is answered",
        lambda plan: all(
            (one["protocol"], one["ssl_policy"]) == ("HTTPS", "ELBSecurityPolicy-TLS13-1-2-2021-06")
            for one in plan.of("aws_lb_listener").values()
        ),
        "balancer.tf",
        {"TLS13-1-2-2021-06": "2016-08"},
    ),
    Property(
        "MLflow is not public, even where the service is",
        lambda plan: (
            {name: one["internal"] for name, one in plan.of("aws_lb").items()}
            == {"service": False, "mlflow": True}
        ),
        "balancer.tf",
        {"internal = true": "internal = !var.public"},
    ),
    Property(
        "logs are encrypted, and kept for a year",
        lambda plan: all(
            (one["retention_in_days"], one["kms_key_id"]) == (365, plan.one("aws_kms_key")["arn"])
            for one in plan.of("aws_cloudwatch_log_group").values()
        ),
        "logs.tf",
        {"retention_in_days = var.log_days": "retention_in_days = 0"},
    ),
    Property(
        "the key is rotated",
        lambda plan: plan.one("aws_kms_key")["enable_key_rotation"],
        "encryption.tf",
        {"enable_key_rotation     = true": "enable_key_rotation = false"},
    ),
    Property(
        "someone hears of cost",
        limited,
        "budget.tf",
        {"tostring(var.monthly_budget)": '"100000"'},
    ),
    Property(
        "there is no GPU without `cuda`",
        lambda plan: not on_gpu(plan) and not asks_for_gpu(plan),
        "capacity.tf",
        {"resources         = []": 'resources = [{ type = "GPU", value = "1" }]'},
    ),
]
named = pytest.mark.parametrize("wanted", PROPERTIES, ids=lambda wanted: wanted.name)


@dataclass(frozen=True)
class Account:
    """The stand-in of AWS, with the stack of a project that has a champion."""

    project: Project
    stack: Stack
    address: str

    def aws(self, *arguments: str) -> Any:  # noqa: ANN401
        told = self.project.ok("aws", "--output", "json", *arguments)
        return json.loads(told) if told.strip() else None

    def deploy(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return self.project.run("scripts/deploy.sh", "aws", *arguments, **changed)

    def status(self, **changed: str) -> dict[str, str]:
        done = self.deploy("status", **changed)
        assert done.returncode == 0, done.stderr
        return {
            key: value.strip()
            for key, value in (one.split(maxsplit=1) for one in done.stdout.splitlines())
        }

    def history(self) -> list[dict[str, Any]]:
        path = self.project.root / "var/deploy/aws/history.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def refused(self, reason: str, *arguments: str, **changed: str) -> None:
        """A deployment that must fail with one line, which the history has too."""
        before = self.history()
        done = self.deploy(*arguments, **changed)
        assert done.returncode == 1
        assert re.fullmatch(f"error: .*{reason}.*\n", done.stderr), done.stderr
        *kept, last = self.history()
        assert kept == before
        assert last["outcome"] == "failed"
        assert done.stderr == f"error: {last['reason']}\n"

    @contextmanager
    def enforcing(self) -> Iterator[None]:
        """Have every request need a right, as on AWS."""
        self.ask_for_rights(b"0")
        try:
            yield
        finally:
            self.ask_for_rights(b"inf")

    def ask_for_rights(self, after: bytes) -> None:
        reset = f"{self.address}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(reset, after, plain, method="POST")  # noqa: S310
        with urllib.request.urlopen(asked, timeout=MINUTES):  # noqa: S310
            pass

    def user(self, name: str) -> dict[str, str]:
        """Make a user; return what its programs have in their environment."""
        self.aws("iam", "create-user", "--user-name", name)
        key = self.aws("iam", "create-access-key", "--user-name", name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }


Applying = tuple[Account, "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def applying(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applying]:
    """An account whose stack is being applied, which is mostly waiting, by this process."""
    if not which("terraform"):
        pytest.skip("not installed: terraform")
    folder = tmp_path_factory.mktemp("terraform")
    programs = tools(folder / "tools", "moto[server]==5.2.5", "awscli==1.46.3")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"
    } | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": address,
        "AWS_MAX_ATTEMPTS": "1",
    }
    root = folder / "project"
    copy_template(template, root, deploy=["terraform"], python_version=PRESENT_PYTHON)
    with (folder / "moto.log").open("wb") as log:
        command = [programs / "python", STAND_IN, port]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = monotonic() + MINUTES
        while not reached(address):
            assert server.poll() is None, (folder / "moto.log").read_text("utf-8")
            assert monotonic() < until
            sleep(0.2)
        account = Account(Project(root, environment), Stack(folder, environment), address)
        certificate = account.aws("acm", "request-certificate", "--domain-name", "example.com")
        values = {"certificate_arn": certificate["CertificateArn"], "protect": False}
        (folder / "override.tf").write_text(OVERRIDE, "utf-8")
        (folder / "test.auto.tfvars.json").write_text(json.dumps(values), "utf-8")
        stack = account.stack.another(folder / "stack", root / FILES)
        command = ["terraform", "apply", "-auto-approve", "-input=false", "-parallelism=40"]
        with (
            (stack.folder / "apply.log").open("wb") as log,
            subprocess.Popen(
                command, cwd=stack.folder, env=environment, stdout=log, stderr=log
            ) as process,
        ):
            yield Account(account.project, stack, address), process
    finally:
        server.terminate()
        server.wait(MINUTES)


WRONG = {
    "name": "A name",
    "certificate_arn": "change-me",
    "tracking_image": "mlflow:latest",
    "network": "10.0.0.0/24",
    "client_cidrs": ["everybody"],
    "team_cidrs": ["0.0.0.0/0"],
    "replicas": 0,
    "log_days": 1,
    "monthly_budget": 0,
    "budget_email": "nobody",
}


def test_a_wrong_value_is_refused_with_what_it_needs(applying: Applying, tmp_path: Path) -> None:
    values = tmp_path / "wrong.tfvars.json"
    values.write_text(json.dumps(WRONG), "utf-8")
    stack = applying[0].stack.another(tmp_path / "stack", applying[0].project.root / FILES)
    done = stack.run("plan", "-input=false", "-no-color", f"-var-file={values}")
    assert done.returncode == 1
    assert {*re.findall(r"^(\w+) needs ", done.stderr.replace("│ ", ""), re.MULTILINE)} == {*WRONG}


@pytest.mark.parametrize("accelerator", [pytest.param("cpu", marks=pytest.mark.rare), "cuda"])
def test_the_files_are_formatted_valid_and_pass_checkov(
    applying: Applying,
    checkov: Path,
    template: Path,
    tmp_path: Path,
    accelerator: str,
) -> None:
    answers = {"framework": "xgboost", "accelerator": accelerator, "deploy": ["terraform"]}
    files = copy_template(template, tmp_path / accelerator, **answers) / FILES
    stack = applying[0].stack.another(tmp_path / "stack", files)
    Stack(files, stack.environment).ok("fmt", "-check", "-diff")
    stack.ok("validate")
    assert checked(checkov, files) == set()
    replace(files / "storage.tf", {'{\n    status = "Enabled"': '{\n    status = "Suspended"'})
    assert "CKV_AWS_21" in checked(checkov, files)


@pytest.fixture(scope="module")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tools(tmp_path_factory.mktemp("checkov") / "tools", "checkov==3.3.30") / "checkov"


def checked(checkov: Path, files: Path) -> set[str]:
    """Return the checks that fail; each of the files' exceptions has its reason beside it."""
    command = [checkov, "--directory", files, "--framework", "terraform", "--skip-download",
               "--output", "json", "--quiet"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert told["summary"]["passed"] > 150
    for path in files.glob("*.tf"):
        for line in re.findall(r"#checkov:.*", path.read_text("utf-8")):
            assert re.fullmatch(r"#checkov:skip=CKV2?_AWS_\d+:\w.{6,}", line), line
    return {one["check_id"] for one in told["results"]["failed_checks"]}


@pytest.fixture(scope="module")
def account(applying: Applying) -> Account:
    """The account with the applied stack, and a project that has a champion."""
    account, process = applying
    install(account.project.root, PRESENT_PYTHON)
    for command in ("prepare", "train", "promote"):
        account.project.ok(COMMAND, command)
    code = process.wait(10 * MINUTES)
    assert code == 0, (account.stack.folder / "apply.log").read_text("utf-8")[-8000:]
    return account


def reached(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def plan(account: Account) -> Plan:
    """The stack as it is, with a public service."""
    found = account.stack.planned("-var=public=true")
    assert len(found.statements("aws_iam_role_policy")) == 12
    return found


@pytest.fixture(scope="module")
def broken(account: Account, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Plan]:
    """The same with all changes that are to be noticed: those of roles, and the others.

    Terraform reads policies after all changes that they refer to, so roles are changed alone.
    """
    plans = {}
    for roles in (True, False):
        folder = tmp_path_factory.mktemp("broken")
        files = copytree(account.project.root / FILES, folder / "files")
        for one in PROPERTIES:
            if (one.file == "roles.tf") is roles:
                replace(files / one.file, one.changes)
        stack = account.stack.another(folder / "stack", files)
        plans[roles] = stack.planned("-var=public=true", "-refresh=false")
    return plans


@named
def test_the_stack_is_as_it_has_to_be(plan: Plan, wanted: Property) -> None:
    assert wanted.holds(plan)


@named
def test_a_change_of_that_is_noticed(broken: dict[bool, Plan], wanted: Property) -> None:
    assert not wanted.holds(broken[wanted.file == "roles.tf"])


def test_on_cuda_a_task_of_the_service_has_a_gpu(
    account: Account, plan: Plan, template: Path, tmp_path: Path
) -> None:
    """As a change of the same stack; a task that asks for none, and other machines, are noticed."""
    answers = {"framework": "xgboost", "accelerator": "cuda", "deploy": ["terraform"]}
    files = copy_template(template, tmp_path / "cuda", **answers) / FILES
    stack = account.stack.another(tmp_path / "stack", files)
    found = stack.planned("-refresh=false")
    assert on_gpu(found)
    assert asks_for_gpu(found)
    assert not asks_for_gpu(plan)
    machine = found.one("aws_launch_template")
    assert machine["metadata_options"][0]["http_tokens"] == "required"
    assert machine["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    definition = found.one("aws_ecs_task_definition", "service")
    assert definition["requires_compatibilities"] == ["EC2"]
    assert found.one("aws_ecs_task_definition", "mlflow")["requires_compatibilities"] == ["FARGATE"]


def test_a_second_plan_has_no_changes_and_the_state_no_password(account: Account) -> None:
    account.stack.ok("plan", "-detailed-exitcode", "-input=false")
    secret = account.aws("secretsmanager", "get-secret-value", "--secret-id",
                         "my-ml-project-database")["SecretString"]  # fmt: skip
    assert len(secret) == 40
    assert secret not in (account.stack.folder / "terraform.tfstate").read_text("utf-8")


@pytest.mark.parametrize(("served", "code"), [("d" * 64, 0), ("e" * 64, 1)])
def test_a_task_is_healthy_only_with_its_release_s_model(
    plan: Plan, served: str, code: int
) -> None:
    """The health check's own command, against a service that says which model it has."""
    word, *command = plan.container("service")["healthCheck"]["command"]
    assert word == "CMD"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"model_digest": served}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command[0] = sys.executable
        command[2] = command[2].replace(":8000", f":{server.server_port}")
        environment = os.environ | {"RELEASE_DIGEST": "d" * 64}
        assert subprocess.run(command, env=environment, check=False).returncode == code
    finally:
        server.shutdown()
        server.server_close()


def test_releases_are_rolled_out_and_back(account: Account, tmp_path: Path) -> None:
    for image in GOOD[:2]:
        done = account.deploy(ML_IMAGE=image)
        assert done.returncode == 0, done.stderr
    status = account.status()
    assert (status["state"], status["release"], status["previous"]) == ("answering", "2", "1")
    assert (status["image"], status["tasks"]) == (GOOD[1], "2 of 2")

    account.refused("release 3 is not rolled out: .*circuit breaker", ML_IMAGE=BAD)
    status = account.status()
    assert (status["release"], status["kept"], status["image"]) == ("2", "[1, 2]", GOOD[1])

    # Another machine has no history of these, and knows them by the account.
    done = account.deploy("rollback", ML_VAR_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert account.status()["image"] == GOOD[0]
    assert account.deploy("rollback", "2").returncode == 0
    account.refused("there is no release 9; kept are 1, 2", "rollback", "9")

    assert account.deploy("stop").returncode == 0
    assert account.status()["state"] == "stopped"
    assert account.deploy("rollback").returncode == 0
    status = account.status()
    assert (status["state"], status["release"]) == ("answering", "2")
    account.stack.ok("plan", "-detailed-exitcode", "-input=false")  # nothing that Terraform undoes
    tried = [(one["action"], one["outcome"], one.get("release")) for one in account.history()]
    assert tried == [
        ("deploy", "ok", 1),
        ("deploy", "ok", 2),
        ("deploy", "failed", 3),
        ("rollback", "ok", 2),
        ("rollback", "failed", None),
        ("stop", "ok", None),
        ("rollback", "ok", 2),
    ]


@pytest.mark.parametrize("image", ["release:3", f"{IMAGES}123"])
def test_an_image_without_its_digest_is_refused(account: Account, image: str) -> None:
    account.refused("ML_IMAGE needs the pushed image, repository@sha256:…, not", ML_IMAGE=image)


def test_what_is_not_reached_is_one_line(account: Account) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    account.refused("Could not connect to the endpoint", ML_IMAGE=GOOD[2], AWS_ENDPOINT_URL=nowhere)
    account.refused("Cluster not found", ML_IMAGE=GOOD[2], ML_CLUSTER="another")
    account.refused("aws cannot be run", ML_IMAGE=GOOD[2], PATH="/usr/bin:/bin")


# Takes the place of `aws`, and reaches nothing from the moment on at which a rollout has begun.
CUT_OFF = """#!/bin/sh
if [ -e "$0.begun" ]; then
    echo "Could not connect to the endpoint URL" >&2
    exit 255
fi
case $* in *update-service*) touch "$0.begun" ;; esac
exec "{aws}" "$@"
"""


@pytest.mark.rare
def test_a_rollout_that_is_lost_sight_of_is_left_to_ecs(account: Account, tmp_path: Path) -> None:
    path = account.project.environment["PATH"]
    cut_off = tmp_path / "aws"
    cut_off.write_text(CUT_OFF.format(aws=which("aws", path=path)), "utf-8")
    cut_off.chmod(0o755)
    before = account.status()["release"]
    account.refused("Could not connect", ML_IMAGE=GOOD[2], PATH=f"{tmp_path}:{path}")
    until = monotonic() + MINUTES
    while (status := account.status())["release"] == before or status["state"] != "answering":
        assert monotonic() < until
    assert status["image"] == GOOD[2]
    assert account.deploy("rollback").returncode == 0


def test_the_deploy_policy_is_what_a_deployment_needs(account: Account, plan: Plan) -> None:
    """A user with its actions may deploy; one without may not, and changes nothing.

    moto asks for each action whether it is allowed for everything, so here they are.
    """
    able, unable = account.user("able"), account.user("unable")
    given = plan.statements("aws_iam_policy")
    actions = [action for one in given for action in listed(one["Action"])]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    account.aws("iam", "put-user-policy", "--user-name", "able", "--policy-name", "deploy",
                "--policy-document", policy)  # fmt: skip
    before = account.status()
    with account.enforcing():
        account.refused("AccessDenied", ML_IMAGE=GOOD[3], **unable)
        done = account.deploy(ML_IMAGE=GOOD[3], **able)
    assert done.returncode == 0, done.stderr
    assert account.status()["image"] == GOOD[3]
    assert before["image"] != GOOD[3]


def test_nothing_is_left_in_the_end(account: Account) -> None:
    options = ("-auto-approve", "-input=false", "-parallelism=40", "-refresh=false")
    account.stack.ok("destroy", *options)
    assert account.stack.ok("state", "list") == ""
    assert account.aws("ecr", "describe-repositories")["repositories"] == []
    assert account.aws("rds", "describe-db-instances")["DBInstances"] == []
    assert account.aws("s3api", "list-buckets")["Buckets"] == []
