"""Tensors, graphs and their execution. Knows neither ``server`` nor ``storage``."""
