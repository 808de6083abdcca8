"""Detection: a box and a class for every object; a file here for every method."""
