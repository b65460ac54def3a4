"""Bytes to messages and back, one protocol a file; pure, and the same for server, client and remote steps."""
