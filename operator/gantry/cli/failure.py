"""What a command cannot do, in one line for the person at the terminal."""


class Failure(Exception):
    """Ends the command with exit code 1, or `code`; the message says what is wrong, where, and what to do."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
