"""What watches a fleet, made from ``slo.toml``: Prometheus' rules, Alertmanager's routes, a dashboard's panels.

Everything here is a value; :mod:`jobctl.wiring.monitoring` makes files of it.
"""
