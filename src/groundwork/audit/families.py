"""The families of checks, in the order of the checklist."""

FAMILIES = {
    "audit": ("The audit itself", "Is everything read, and is each exception explained?"),
    "rebuild": ("Rebuild", "Can anyone rebuild the environment?"),
    "locks": ("Locks", "Are all versions explicit, locked, hashed and in sync?"),
    "tests": ("Tests", "Are data, model and pipeline tested?"),
    "exactness": ("Exactness", "Does the same commit give the same result?"),
    "configuration": ("Configuration", "Is it documented, versioned and free of secrets?"),
    "deployment": ("Rollback and deployment", "Is it known what runs, and how to go back?"),
    "containers": ("Containers", "Does the same Dockerfile give the same image?"),
    "ci": ("CI", "Does a machine check every change, the same way each time?"),
    "notebooks": ("Notebooks", "Do they run from top to bottom?"),
}
