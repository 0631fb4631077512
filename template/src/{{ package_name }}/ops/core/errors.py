"""The one error that is the user's to mend: printed as a single line, never as a traceback."""


class UserError(Exception):
    """What is wrong, then what to do about it."""
