"""What opens model files, one file per runtime, named as the graph file's ``runtime`` writes it."""
