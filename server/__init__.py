"""Protocols and the process: HTTP in front of pipelines."""
