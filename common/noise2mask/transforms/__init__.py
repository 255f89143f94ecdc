"""MONAI transforms for what MONAI lacks."""
