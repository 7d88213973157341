"""Synthetic people for training: random plausible 3D poses, cameras, and pairs whose true difference is known."""
