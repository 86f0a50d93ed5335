"""``jobctl mock``: an OpenRouter of one's own."""
