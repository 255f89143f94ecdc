"""Pictures that show what a model saw and did."""
