"""``jobctl work``."""


def work() -> None:
    """To come."""
