"""Command lines: thin, they run bundles."""
