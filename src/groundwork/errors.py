"""The one exception that people see."""


class UserError(Exception):
    """What is wrong and what to do about it, in one line."""
