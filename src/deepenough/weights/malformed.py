"""The error of the readers of binary formats, which those who call them tell with the file's name."""


class MalformedError(ValueError):
    """Bytes that are not what their format says, or that ask for too much, with the reason."""
