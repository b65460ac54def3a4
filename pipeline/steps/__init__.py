"""What a step can do, one file per kind; the file's ``KEYS`` are the words of the graph file it answers to."""
