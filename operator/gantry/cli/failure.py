"""What a command cannot do, in one line for the person at the terminal."""


class Failure(Exception):
    """Ends the command with exit code 1; the message says what is wrong and what to do."""
