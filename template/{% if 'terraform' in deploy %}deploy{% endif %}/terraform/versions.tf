# Where the state is kept, and which providers read these files.
terraform {
  required_version = ">= 1.11, < 2.0" # write-only arguments: no password is in the state

  # Its values are in a file of its own, as no variable may stand here: see state.s3.tfbackend.
  backend "s3" {}

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name, managed-by = "terraform" }
  }
}

data "aws_caller_identity" "current" {}
