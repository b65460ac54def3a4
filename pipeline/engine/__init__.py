"""What a request does: plans, the sans-io run, and the trio driver of it."""
