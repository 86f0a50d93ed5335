"""The verbs: one package each, speaking only core and ports."""
