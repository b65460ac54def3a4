"""A graph as its author declares it, and everything that can be wrong with it before it runs."""
