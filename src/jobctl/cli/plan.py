"""``jobctl plan``."""


def plan() -> None:
    """To come."""
