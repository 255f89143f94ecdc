"""Ignite handlers: each has `attach(engine)` and stands in a config's list of handlers."""
