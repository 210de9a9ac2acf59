"""What goes wrong by the user's doing. Everything else is a bug and keeps its traceback."""


class UserError(Exception):
    """The input, a file or a setting is wrong: what is wrong, got, expected, what to do, in one sentence.

    The command line prints the sentence and exits with code 2.
    """
