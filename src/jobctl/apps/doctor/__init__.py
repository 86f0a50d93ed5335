"""``jobctl doctor``: what was seen of a set-up, judged check by check."""
