"""``jobctl work``: what a worker runs."""
