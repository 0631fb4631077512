# What differs between projects and accounts: terraform.tfvars has the values.
variable "name" {
  description = "Begins the name of everything here; deploy.sh needs it as ML_CLUSTER where it is not the project's"
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name needs 2 to 24 lower-case letters, digits and hyphens, a letter first: load balancers have short names."
  }
}

variable "region" {
  description = "Region of the account"
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of the host names of the service and of MLflow"
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn needs the ARN of a certificate in AWS Certificate Manager."
  }
}

variable "tracking_image" {
  description = "Image of MLflow's server, repository@sha256:…; empty: MLflow does not run yet"
  type        = string
  default     = ""

  validation {
    condition     = var.tracking_image == "" || can(regex("^[^@]+@sha256:[0-9a-f]{64}$", var.tracking_image))
    error_message = "tracking_image needs an image by its digest: repository@sha256:…"
  }
}

variable "network" {
  description = "Addresses of the network, a /16 that no other network of yours uses"
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.network, 0)) && endswith(var.network, "/16")
    error_message = "network needs a range such as 10.20.0.0/16."
  }
}

variable "public" {
  description = "Whether the service's load balancer has public addresses; MLflow's never has"
  type        = bool
  default     = false
}

variable "client_cidrs" {
  description = "Who may send requests to the service, beside what is in the network"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(cidrhost(cidr, 0))])
    error_message = "client_cidrs needs ranges such as 203.0.113.0/24."
  }
}

variable "team_cidrs" {
  description = "Who may use MLflow, which asks for no password, beside what is in the network: your office or VPN"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.team_cidrs : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "team_cidrs needs ranges of at most a /8, such as 10.8.0.0/16."
  }
}

variable "replicas" {
  description = "Tasks of the service; a deployment applies another number"
  type        = number
  default     = 2

  validation {
    condition     = var.replicas >= 1 && floor(var.replicas) == var.replicas
    error_message = "replicas needs a whole number of at least 1."
  }
}

variable "cpu" {
  description = "Processor units of a task of the service; 1024 are one processor"
  type        = number
  default     = 1024
}

variable "memory" {
  description = "Memory of a task of the service, in MiB"
  type        = number
  default     = 4096
}

variable "database_class" {
  description = "Instance class of MLflow's database"
  type        = string
  default     = "db.t4g.small"
}

variable "database_password_version" {
  description = "A higher number gives MLflow's database another password"
  type        = number
  default     = 1
}

variable "log_days" {
  description = "Days for which logs are kept"
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "log_days needs a number that CloudWatch Logs accepts, such as 30, 90 or 365."
  }
}

variable "monthly_budget" {
  description = "Cost in US dollars a month at which budget_email gets a message: at 80 %, and when 100 % are forecast"
  type        = number
  default     = 400

  validation {
    condition     = var.monthly_budget > 0
    error_message = "monthly_budget needs an amount above 0."
  }
}

variable "budget_email" {
  description = "Who gets a message about cost"
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+$", var.budget_email))
    error_message = "budget_email needs an e-mail address."
  }
}

variable "protect" {
  description = "Whether `terraform destroy` is refused where it would lose data; false for a trial"
  type        = bool
  default     = true
}
