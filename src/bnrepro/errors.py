"""The one error that a person can cause."""


class BadInput(Exception):
    """Something given from outside is wrong: a key, a value, a file.

    The message says what is wrong, which key or file, what is allowed, and what to do. The command line prints it
    and exits with code 2.
    """
