"""Where models come from, one file per scheme; a file that serves several lists them in ``KEYS``."""
