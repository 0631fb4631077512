# The service on ECS. What is here is all of a release's task but the release itself: scripts/deploy.sh
# copies this task definition, with an image by its digest, and ECS rolls the copy out.
resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "service" {
  family                   = var.name
  requires_compatibilities = [local.launch_type]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.start["service"].arn
  task_role_arn            = aws_iam_role.task["service"].arn

  volume {
    name = "var"
  }

  container_definitions = jsonencode([{
    name                   = "service"
    image                  = "${aws_ecr_repository.this["release"].repository_url}:none"
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    portMappings           = [{ containerPort = 8000 }]
    mountPoints            = [{ sourceVolume = "var", containerPath = "/app/var" }]
    stopTimeout            = 30
    resourceRequirements   = local.resources
    linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }

    environment = [
      { name = "HOME", value = "/app/var" },            # the only folder that can be written
      { name = "ML_LOG_PREDICTIONS", value = "false" }, # it would end with the task
      { name = "TMPDIR", value = "/app/var" },
    ]

    # Healthy is a task that is ready with the model of its release: it has replayed its golden rows.
    healthCheck = {
      command = ["CMD", "python", "-c", join("\n", [
        "import json, os",
        "from urllib.request import *",
        "got = build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/readyz', timeout=4)",
        "raise SystemExit(json.load(got)['model_digest'] != os.environ['RELEASE_DIGEST'])",
      ])]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 120
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["service"].name
        awslogs-region        = var.region
        awslogs-stream-prefix = "service"
      }
    }
  }])
}

resource "aws_ecs_service" "service" {
  name                               = "service"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.service.arn
  launch_type                        = local.capacity_provider == null ? local.launch_type : null
  desired_count                      = 0 # until the first release
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 180
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  depends_on                         = [aws_lb_listener.this]

  # What scripts/deploy.sh has to know.
  tags = {
    replicas = tostring(var.replicas)
    address  = "https://${aws_lb.this["service"].dns_name}"
  }

  # If the tasks of a release do not get healthy, ECS returns to the one before.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "capacity_provider_strategy" {
    for_each = local.capacity_provider[*]

    content {
      capacity_provider = capacity_provider_strategy.value
      weight            = 1
    }
  }

  network_configuration {
    subnets         = aws_subnet.private[*].id
    security_groups = [aws_security_group.task["service"].id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this["service"].arn
    container_name   = "service"
    container_port   = 8000
  }

  lifecycle {
    ignore_changes = [desired_count, task_definition] # scripts/deploy.sh sets both
  }
}
