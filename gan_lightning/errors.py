"""The one exception for mistakes a user can mend: a wrong key, value, path or file."""


class UserError(Exception):
    """What the user gave is wrong. The message is one paragraph that names the key, the value and what was expected.

    The command line prints it without a traceback and exits with status 2; from Python it is raised as it is.
    """
