"""New pictures, like those of a folder."""
