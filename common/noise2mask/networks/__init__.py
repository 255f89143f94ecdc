"""The papers' networks, one paper per file, in the order of its figure."""
