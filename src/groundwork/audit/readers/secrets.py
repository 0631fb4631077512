"""Texts that look like keys and passwords, and none that stands for one."""

import re
from collections.abc import Iterator

# Each is a form that an issuer gives to its keys, so that few other texts have it. Such a text has
# one of these parts: most files have none, and are not searched further.
FORMS = {
    "a key of AWS": (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{60,}\b",
    ),
    "a token of GitLab": (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20}\b"),
    "a token of Hugging Face": (("hf_",), r"\bhf_[A-Za-z0-9]{34}\b"),
    "a key of Google": (("AIza",), r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a key of OpenAI": (("T3BlbkFJ",), r"\bsk-[\w-]{20,}T3BlbkFJ[\w-]{20,}"),
    "a token of Slack": (("xox",), r"\bxox[abprs]-[0-9A-Za-z-]{20,}\b"),
    "a key of Stripe": (("k_live_",), r"\b[sr]k_live_[0-9A-Za-z]{24,}\b"),
    "a private key": (
        ("PRIVATE KEY",),
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----\s*\n[A-Za-z0-9+/=\s]{60}",
    ),
    "an address with a password": (
        ("://",),
        r"://[^\s:/@\"'$<{%]+:[^\s:/@\"'$<{%]{6,}@[\w-]+\.[\w.-]+",
    ),
}
LONG = 4000
# What no secret has in it: examples and words that stand for one.
PLACEHOLDER = re.compile(
    r"example|placeholder|change.?me|your|xxx|change.?this|\*\*\*|dummy|fake|redacted|<|password@|:pass@|:pwd@|"
    r"user:|username:|test|localhost|sample|secret@|000000|123456",
    re.IGNORECASE,
)
# A name in a file of the environment whose value is to be nobody's business.
NAME = re.compile(
    r"(?im)^\s*(?:export\s+)?(\w*(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE)\w*)\s*=\s*[\"']?([^\s\"'#]+)"
)


def secrets(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of each text that looks like a secret."""
    forms = [
        (kind, form) for kind, (parts, form) in FORMS.items() if any(one in text for one in parts)
    ]
    if forms:
        # A picture in a notebook is a line of megabytes.
        text = "\n".join(line if len(line) < LONG else "" for line in text.split("\n"))
    for kind, form in forms:
        for found in re.finditer(form, text):
            if not PLACEHOLDER.search(found[0]):
                yield text.count("\n", 0, found.start()) + 1, kind


def assigned(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each value of an environment file that is a secret."""
    for found in NAME.finditer(text):
        if not PLACEHOLDER.search(found[2]) and not found[2].startswith(("$", "{")):
            yield text.count("\n", 0, found.start(1)) + 1, found[1]
