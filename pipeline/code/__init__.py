"""The user's own Python: finding it, reading its signatures, binding tensors to its parameters."""
