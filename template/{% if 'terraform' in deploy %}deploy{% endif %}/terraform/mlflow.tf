# MLflow's server: runs and versions in PostgreSQL, artifacts in the bucket.
resource "aws_ecs_task_definition" "mlflow" {
  family                   = "${var.name}-mlflow"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 2048
  execution_role_arn       = aws_iam_role.start["mlflow"].arn
  task_role_arn            = aws_iam_role.task["mlflow"].arn

  volume {
    name = "artifacts"
  }

  container_definitions = jsonencode([{
    name                   = "mlflow"
    image                  = coalesce(var.tracking_image, "${aws_ecr_repository.this["tracking"].repository_url}:none")
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    portMappings           = [{ containerPort = 5000 }]
    mountPoints            = [{ sourceVolume = "artifacts", containerPath = "/app/artifacts" }]
    stopTimeout            = 30
    linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }

    command = [
      "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1",
      "--artifacts-destination", "s3://${aws_s3_bucket.artifacts.bucket}/artifacts",
    ]

    environment = [
      { name = "HOME", value = "/app/artifacts" }, # the only folder that can be written
      { name = "MLFLOW_BACKEND_STORE_URI", value = "postgresql+psycopg2://mlflow@${aws_db_instance.this.endpoint}/mlflow?sslmode=require" },
      { name = "MLFLOW_SERVER_ALLOWED_HOSTS", value = "*" },
      { name = "TMPDIR", value = "/app/artifacts" },
    ]
    secrets = [{ name = "PGPASSWORD", valueFrom = aws_secretsmanager_secret.database.arn }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["mlflow"].name
        awslogs-region        = var.region
        awslogs-stream-prefix = "mlflow"
      }
    }
  }])
}

resource "aws_ecs_service" "mlflow" {
  name                              = "mlflow"
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.mlflow.arn
  launch_type                       = "FARGATE"
  desired_count                     = var.tracking_image == "" ? 0 : 1
  health_check_grace_period_seconds = 300 # a new database gets its tables
  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"
  depends_on                        = [aws_lb_listener.this]

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets         = aws_subnet.private[*].id
    security_groups = [aws_security_group.task["mlflow"].id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this["mlflow"].arn
    container_name   = "mlflow"
    container_port   = 5000
  }
}
