"""Studies: a trained network under many settings, or trainings side by side, scored by the policy of `metrics`."""
