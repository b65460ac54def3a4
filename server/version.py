"""What this server calls itself. The package is built with this version: to look up the installed one takes 10 ms."""

NAME = "pipeline-serve"
VERSION = "0.1.0"
