"""What goes wrong by the user's doing. Everything else is a bug and keeps its traceback."""


class UserError(Exception):
    """The input, a file or a setting is wrong: what is wrong, got, expected, what to do, in one sentence.

    The command line prints the sentence and exits with code 2.
    """


class ContextError(UserError):
    """Prompt and answer together are longer than the model's context.

    num_left: how many tokens it has left to answer the prompt with; 0 or less where the prompt alone is too long.
    """

    def __init__(self, message: str, num_left: int = 0) -> None:
        super().__init__(message)
        self.num_left = num_left
