# Who may do what: a role for each program, with the rights that it uses.
locals {
  tasks    = toset(["service", "mlflow"])
  arn_ecs  = "arn:aws:ecs:${var.region}:${data.aws_caller_identity.current.account_id}"
  families = [for family in [var.name, "${var.name}-release"] : "${local.arn_ecs}:task-definition/${family}:*"]
}

data "aws_iam_policy_document" "assume" {
  for_each = toset(["ec2", "ecs-tasks", "vpc-flow-logs"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

# ECS itself, to start a task: pull its image, write its log, hand it its password.
resource "aws_iam_role" "start" {
  for_each = local.tasks

  name               = "${var.name}-${each.key}-start"
  assume_role_policy = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

resource "aws_iam_role_policy" "start" {
  for_each = local.tasks

  name   = "start"
  role   = aws_iam_role.start[each.key].id
  policy = data.aws_iam_policy_document.start[each.key].json
}

data "aws_iam_policy_document" "start" {
  for_each = { service = "release", mlflow = "tracking" }

  statement {
    actions   = ["ecr:GetAuthorizationToken"] # has no resource
    resources = ["*"]
  }

  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.this[each.value].arn]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
  }

  dynamic "statement" {
    for_each = each.key == "mlflow" ? {
      "secretsmanager:GetSecretValue" = aws_secretsmanager_secret.database.arn
      "kms:Decrypt"                   = aws_kms_key.this.arn
    } : {}

    content {
      actions   = [statement.key]
      resources = [statement.value]
    }
  }
}

# The programs. The service needs nothing of the account, MLflow its artifacts.
resource "aws_iam_role" "task" {
  for_each = local.tasks

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume["ecs-tasks"].json
}

resource "aws_iam_role_policy" "artifacts" {
  name   = "artifacts"
  role   = aws_iam_role.task["mlflow"].id
  policy = data.aws_iam_policy_document.mlflow.json
}

data "aws_iam_policy_document" "mlflow" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.artifacts.arn]
  }

  statement {
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.artifacts.arn}/*"]
  }

  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]
  }
}

# Who runs scripts/deploy.sh aws: attach it to the role of CI or of a person.
resource "aws_iam_policy" "deploy" {
  name   = "${var.name}-deploy"
  policy = data.aws_iam_policy_document.deploy.json
}

data "aws_iam_policy_document" "deploy" {
  statement { # these have no resource
    actions   = ["ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"]
    resources = ["*"]
  }

  statement {
    actions   = ["ecs:RegisterTaskDefinition"]
    resources = local.families
  }

  statement {
    actions   = ["ecs:DescribeServices", "ecs:UpdateService"]
    resources = ["${local.arn_ecs}:service/${var.name}/service"]
  }

  statement {
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.start["service"].arn, aws_iam_role.task["service"].arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement { # push images
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = [for repository in aws_ecr_repository.this : repository.arn]
  }
}
