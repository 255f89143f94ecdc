"""Scores that mean what they say, one idea per file; `policy.py` says how they are made."""
