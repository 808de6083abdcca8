"""Translation: a picture of one kind becomes the same of another kind."""
