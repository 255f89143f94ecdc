"""The papers' layers, one idea per file."""
