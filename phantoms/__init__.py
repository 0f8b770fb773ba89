"""Synthetic radiographs of dogs with exact ground truth. A phantom is no animal: it shows that the way of an image works."""
