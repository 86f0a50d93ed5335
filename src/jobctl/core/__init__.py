"""Values in, values out: no input, output, clock, thread or driver."""
