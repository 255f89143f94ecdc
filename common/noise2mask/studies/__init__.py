"""Studies: one trained network under many settings, scored by the policy of `metrics`."""
