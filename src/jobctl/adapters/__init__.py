"""The outside world: one system per module, built from plain arguments."""
