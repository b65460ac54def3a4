"""A graph as a picture: what is shown, where it stands, and how each format writes it. Pure, and the same every time."""
