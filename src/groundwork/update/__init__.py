"""The standard's versions, and their merge into a project: all that scripts/update.sh runs."""
