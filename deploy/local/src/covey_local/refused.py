"""What a person is told instead of a traceback."""


class Refused(Exception):
    """Something can't be done; the message is a sentence for whoever asked for it."""
