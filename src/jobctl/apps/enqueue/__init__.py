"""``jobctl enqueue``: jobs into a queue, at once or on a schedule."""
