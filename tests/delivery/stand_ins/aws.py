"""AWS, as far as moto has it, and what moto lacks: run by a Python that has moto, with a port.

moto runs no containers, so nothing gets healthy or fails. Here ECS rolls out as it does on AWS: a
new deployment is under way when it is first looked at, and then complete; or, where the image's
digest begins with `bad`, its circuit breaker returns to the deployment before, if there is one.
The rest are values that moto takes and forgets, so that Terraform would set them again.
"""

import json
import sys
from typing import Any
from uuid import uuid4

from moto.budgets.responses import BudgetsResponse
from moto.core.responses import ActionResult
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.models import EC2ContainerServiceBackend as Ecs
from moto.ecs.models import Service
from moto.ecs.responses import EC2ContainerServiceResponse as EcsResponse
from moto.rds.models import DBInstance, RDSBackend
from moto.server import main

created, described, updated = Ecs.create_service, Ecs.describe_services, Ecs.update_service
answered, budgeted = EcsResponse.create_service, BudgetsResponse.create_budget
stored = RDSBackend.create_db_instance
FORGOTTEN = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}


def deployment(definition: str, count: int, state: str, reason: str = "") -> dict[str, Any]:
    return {
        "id": f"ecs-svc/{uuid4().int % 10**19}",
        "status": "PRIMARY",
        "taskDefinition": definition,
        "desiredCount": count,
        "runningCount": count if state == "COMPLETED" else 0,
        "rolloutState": state,
        "rolloutStateReason": reason,
    }


def create_service(self: Ecs, *given: object, **named: object) -> Service:
    service = created(self, *given, **named)
    definition, count = service.task_definition, service.desired_count
    service.deployments = [deployment(definition, count, "COMPLETED")]
    service.running_count, service.pending_count = count, 0
    return service


def answer(self: EcsResponse) -> ActionResult:
    given = answered(self)
    cluster, name = self._get_param("cluster"), self._get_param("serviceName")
    (service,), _ = described(self.ecs_backend, cluster, [name])
    for wanted, attribute in FORGOTTEN.items():
        setattr(service, attribute, self._get_param(wanted))
    return given


def update_service(self: Ecs, properties: dict[str, Any]) -> Service:
    forced = properties.pop("force_new_deployment", False)
    service = updated(self, properties)
    (before, *_) = service.deployments
    if service.task_definition == before["taskDefinition"] and not forced:
        before["desiredCount"] = before["runningCount"] = service.desired_count
        return service
    new = deployment(service.task_definition, service.desired_count, "IN_PROGRESS")
    service.deployments = [new, before | {"status": "ACTIVE"}]
    service.running_count = before["runningCount"]
    return service


def describe_services(self: Ecs, *given: object) -> tuple[list[Service], list[dict[str, str]]]:
    services, failures = described(self, *given)
    for service in services:
        if service.deployments[0]["rolloutState"] == "IN_PROGRESS":
            roll(self, service)
    return services, failures


def roll(backend: Ecs, service: Service) -> None:
    """Take the deployment that is under way one step further."""
    new, *old = service.deployments
    if not new.get("seen"):
        new["seen"] = True
        return
    (container,) = backend.describe_task_definition(new["taskDefinition"]).container_definitions
    if "@sha256:bad" not in container["image"]:
        new |= {"rolloutState": "COMPLETED", "runningCount": new["desiredCount"]}
        service.deployments, service.running_count = [new], new["desiredCount"]
        return
    reason = "ECS deployment circuit breaker: tasks failed to start."
    new |= {"rolloutState": "FAILED", "rolloutStateReason": reason}
    if old[0]["runningCount"]:
        service.task_definition = old[0]["taskDefinition"]
        back = deployment(service.task_definition, service.desired_count, "IN_PROGRESS")
        service.deployments = [back, new | {"status": "ACTIVE"}]


def subscribers(self: BudgetsResponse) -> str:
    budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
    wanted = self._get_param("Notification")
    for one in budget.notifications:
        if all(one.details.get(name) == value for name, value in wanted.items()):
            return json.dumps({"Subscribers": one.subscribers})
    return json.dumps({"Subscribers": []})


def description(self: SecurityGroupRule) -> str | None:
    return self.ip_range.get("Description") or self.source_group.get("Description")


def create_database(self: RDSBackend, given: dict[str, Any]) -> DBInstance:
    database = stored(self, given)
    database.performance_insights_enabled = given["enable_performance_insights"]
    database.performance_insights_kms_key_id = given["performance_insights_kms_key_id"]
    return database


TAGS: dict[str, list[dict[str, str]]] = {}


def create_budget(self: BudgetsResponse) -> str:
    name = self._get_param("Budget")["BudgetName"]
    TAGS[name] = self._get_param("ResourceTags")
    return budgeted(self)


def tags(self: BudgetsResponse) -> str:
    return json.dumps({"ResourceTags": TAGS[self._get_param("ResourceARN").rpartition("/")[2]]})


BudgetsResponse.create_budget = create_budget
BudgetsResponse.describe_subscribers_for_notification = subscribers
BudgetsResponse.list_tags_for_resource = tags
Ecs.create_service, Ecs.describe_services = create_service, describe_services
Ecs.update_service = update_service
EcsResponse.create_service = answer
RDSBackend.create_db_instance = create_database
SecurityGroupRule.description = property(description)
main(["-p", sys.argv[1]])
