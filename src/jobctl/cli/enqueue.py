"""``jobctl enqueue``."""


def enqueue() -> None:
    """To come."""
