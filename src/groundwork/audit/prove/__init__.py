"""Does what a repository promises, in a sandbox: installs, tests, trains twice and compares."""
