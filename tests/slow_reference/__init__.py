"""Plain loops over Python numbers: slow, and short enough to be seen to be right."""
