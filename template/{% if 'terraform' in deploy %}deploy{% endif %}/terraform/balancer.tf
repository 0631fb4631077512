# A load balancer for the service and one for MLflow. MLflow's has no public address: it asks for no
# password, so it is for people inside.
locals {
  balanced = {
    service = { port = 8000, path = "/readyz", internal = !var.public, from = var.client_cidrs }
    mlflow  = { port = 5000, path = "/health", internal = true, from = var.team_cidrs }
  }
  sources = merge([
    for name, one in local.balanced : {
      for cidr in concat([var.network], one.from) : "${name} ${cidr}" => { name = name, cidr = cidr }
    }
  ]...)
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:the service counts and logs its own requests; access logs need a bucket without our key
  #checkov:skip=CKV2_AWS_28:internal by default; a firewall has rules and a price that its owner chooses
  for_each = local.balanced

  name                       = "${var.name}-${each.key}"
  internal                   = each.value.internal
  subnets                    = each.value.internal ? aws_subnet.private[*].id : aws_subnet.public[*].id
  security_groups            = [aws_security_group.balancer[each.key].id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.protect
}

resource "aws_lb_listener" "this" {
  for_each = local.balanced

  load_balancer_arn = aws_lb.this[each.key].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}

resource "aws_lb_target_group" "this" {
  for_each = local.balanced

  name                 = "${var.name}-${each.key}"
  vpc_id               = aws_vpc.this.id
  target_type          = "ip"
  port                 = each.value.port
  protocol             = "HTTP"
  deregistration_delay = 30

  health_check {
    path                = each.value.path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_security_group" "balancer" {
  for_each = local.balanced

  name        = "${var.name}-${each.key}-balancer"
  description = "Load balancer of ${each.key}"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = local.sources

  security_group_id = aws_security_group.balancer[each.value.name].id
  description       = "Clients"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  for_each = local.balanced

  security_group_id            = aws_security_group.balancer[each.key].id
  referenced_security_group_id = aws_security_group.task[each.key].id
  description                  = "Its tasks"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_security_group" "task" {
  #checkov:skip=CKV2_AWS_5:service.tf and mlflow.tf attach them
  for_each = local.balanced

  name        = "${var.name}-${each.key}"
  description = "Tasks of ${each.key}"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  for_each = local.balanced

  security_group_id            = aws_security_group.task[each.key].id
  referenced_security_group_id = aws_security_group.balancer[each.key].id
  description                  = "Its load balancer"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "task" {
  for_each = merge(
    { for name in keys(local.balanced) : "${name} 443" => { name = name, port = 443, cidr = "0.0.0.0/0" } },
    { "mlflow 5432" = { name = "mlflow", port = 5432, cidr = var.network } },
  )

  security_group_id = aws_security_group.task[each.value.name].id
  description       = each.value.port == 443 ? "AWS, by TLS" : "Its database"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}
