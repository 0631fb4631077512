"""Texts that look like keys and passwords, and none that stands for one."""

import re
from collections.abc import Iterator

# Each is a form that an issuer gives to its keys, so that few other texts have it.
FORMS = {
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20}\b",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{34}\b",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a key of OpenAI": r"\bsk-(?:proj-)?[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b",
    "a token of Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}\b",
    "a key of Stripe": r"\b[sr]k_live_[0-9A-Za-z]{24,}\b",
    "a private key": r"-----BEGIN (?:RSA |EC |OPENSSH |DSA |PGP )?PRIVATE KEY(?: BLOCK)?-----\s*\n[A-Za-z0-9+/=\s]{60}",
    "an address with a password": r"\b[a-z][a-z0-9+]*://[^\s:/@\"'$<{%]+:[^\s:/@\"'$<{%]{6,}@[\w-]+\.[\w.-]+",
}
PATTERN = re.compile("|".join(f"(?P<f{n}>{form})" for n, form in enumerate(FORMS.values())))
# What no secret has in it: examples and words that stand for one.
PLACEHOLDER = re.compile(
    r"example|placeholder|change.?me|your|xxx|\*\*\*|dummy|fake|redacted|<|password@|:pass@|:pwd@|"
    r"user:|username:|test|localhost|sample|secret@|000000|123456",
    re.IGNORECASE,
)
# A name in a file of the environment whose value is to be nobody's business.
NAME = re.compile(r"(?im)^\s*(?:export\s+)?(\w*(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE)\w*)\s*=\s*[\"']?([^\s\"'#]+)")


def secrets(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of each text that looks like a secret."""
    names = list(FORMS)
    for found in PATTERN.finditer(text):
        if not PLACEHOLDER.search(found[0]):
            kind = names[int((found.lastgroup or "f0")[1:])]
            yield text.count("\n", 0, found.start()) + 1, kind


def assigned(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each value of an environment file that is a secret."""
    for found in NAME.finditer(text):
        if not PLACEHOLDER.search(found[2]) and not found[2].startswith(("$", "{")):
            yield text.count("\n", 0, found.start(1)) + 1, found[1]
