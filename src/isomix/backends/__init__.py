"""Engines, each a plugin like a stranger's."""
