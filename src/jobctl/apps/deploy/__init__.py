"""How a fleet runs on Railway, made from ``slo.toml``: ``railway.json`` and its successor ``.railway/railway.py``.

Everything here is a value or a text; :mod:`jobctl.wiring.deploy` reads and writes the files.
"""
