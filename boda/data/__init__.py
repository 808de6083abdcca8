"""Pictures and labels: readers of formats, checks, splits, and the way to batches of tensors."""
