"""What is not a bug: bad input from users."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message is one line that names the file, the field and what is allowed.

    The command-line scripts print it and exit with code 2.
    """
