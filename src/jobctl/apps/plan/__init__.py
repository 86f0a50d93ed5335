"""``jobctl plan``: a plan as a document."""
