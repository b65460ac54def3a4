"""Who asks the stores of clouds, and what they are shown: a file per cloud."""
