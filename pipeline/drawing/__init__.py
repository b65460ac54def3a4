"""A graph as a picture: what is shown, where it stands, and how each format writes it; pure."""
