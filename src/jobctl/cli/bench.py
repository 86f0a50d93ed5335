"""``jobctl bench``."""


def bench() -> None:
    """To come."""
