"""The one error that is the user's to mend: printed as a single line, never as a traceback.

What others say is passed on by `clean` alone: an address that they repeat may hold a password.
"""

import os
import re

# The user and the password of an address, a parameter that says what it is, a variable that does.
_USER = re.compile(r"(\w://)(?:[^\s/?#@:]*:\S*|[^\s/?#@]*)@")
_NAME = r"(?:passw|pwd|token|secret|api_?key|access_?key)"
_GIVEN = re.compile(rf"(?i)(\b\w*{_NAME}\w*=)[^\s&;,'\")]+")
# A shell's PWD is a folder; a value of less than six characters may stand anywhere.
_VARIABLE = re.compile(rf"(?is)(?!(?:OLD)?PWD=)[^=]*{_NAME}[^=]*=......")


class UserError(Exception):
    """What is wrong, then what to do about it."""

    def __str__(self) -> str:
        """Return it in one line, without passwords."""
        return clean(super().__str__())


def clean(said: object) -> str:
    """Return foreign text in one line, without passwords."""
    return " ".join(without_secrets(str(said)).split())


def without_secrets(text: str) -> str:
    """Return a text without the passwords of addresses, parameters and this environment."""
    for name, value in os.environ.items():
        if _VARIABLE.match(f"{name}={value}"):
            text = text.replace(value, "***")
    return _GIVEN.sub(r"\1***", _USER.sub(r"\1", text))
