"""``jobctl bench``: open-loop load, counted and judged."""
