"""``jobctl mock``."""


def mock() -> None:
    """To come."""
