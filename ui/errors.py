"""The one exception for bad input from users."""


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the field and what is allowed.

    The command-line scripts print it and exit with code 2.
    """
