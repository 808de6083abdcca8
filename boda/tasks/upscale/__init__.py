"""Super-resolution: a small picture becomes a large one."""
