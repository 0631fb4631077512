# What is needed to push images, to deploy, and to point host names at.
output "repositories" {
  description = "Where images are pushed: of releases, and of MLflow's server"
  value       = { for name, one in aws_ecr_repository.this : name => one.repository_url }
}

output "balancers" {
  description = "What the host names of the service and of MLflow point at, by CNAME or alias records"
  value       = { for name, one in aws_lb.this : name => one.dns_name }
}

output "bucket" {
  description = "The bucket of MLflow's artifacts"
  value       = aws_s3_bucket.artifacts.bucket
}

output "deploy_policy" {
  description = "The policy of who runs scripts/deploy.sh aws"
  value       = aws_iam_policy.deploy.arn
}
