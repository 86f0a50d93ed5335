"""``jobctl dead``: the jobs that failed for good."""
