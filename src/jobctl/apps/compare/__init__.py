"""The verb ``compare``: results of a bench against those of another."""
