# MLflow's PostgreSQL, reached by MLflow's task alone.
resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "PostgreSQL, for MLflow"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = aws_security_group.task["mlflow"].id
  description                  = "MLflow's task"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# The password is in the secrets manager alone: what is ephemeral or ends in `_wo` is in no state and
# in no plan. It is read back, so that the database gets the one that is kept there.
ephemeral "aws_secretsmanager_random_password" "database" {
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "database" {
  #checkov:skip=CKV2_AWS_57:a rotation behind MLflow's back would lock it out; database_password_version rotates
  name                    = "${var.name}-database"
  description             = "Password of MLflow's database"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.protect ? 30 : 0
}

resource "aws_secretsmanager_secret_version" "database" {
  secret_id                = aws_secretsmanager_secret.database.id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.database.random_password
  secret_string_wo_version = var.database_password_version
}

ephemeral "aws_secretsmanager_secret_version" "database" {
  secret_id = aws_secretsmanager_secret_version.database.secret_id
}

# PostgreSQL 17 refuses connections without TLS by default, and MLflow asks for it.
resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_118:Performance Insights shows load and waits, and needs no agent's role
  #checkov:skip=CKV2_AWS_30:Performance Insights shows the statements, and no log has the values in them
  #checkov:skip=CKV_AWS_161:MLflow has one password for its lifetime, and IAM's tokens end after 15 minutes
  identifier                      = var.name
  engine                          = "postgres"
  engine_version                  = "17"
  instance_class                  = var.database_class
  db_name                         = "mlflow"
  username                        = "mlflow"
  password_wo                     = ephemeral.aws_secretsmanager_secret_version.database.secret_string
  password_wo_version             = var.database_password_version
  allocated_storage               = 20
  max_allocated_storage           = 200
  storage_type                    = "gp3"
  storage_encrypted               = true
  kms_key_id                      = aws_kms_key.this.arn
  multi_az                        = true
  db_subnet_group_name            = aws_db_subnet_group.this.name
  vpc_security_group_ids          = [aws_security_group.database.id]
  publicly_accessible             = false
  backup_retention_period         = 14
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.this.arn
  copy_tags_to_snapshot           = true
  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  deletion_protection             = var.protect
  skip_final_snapshot             = !var.protect
  final_snapshot_identifier       = "${var.name}-final"
}
