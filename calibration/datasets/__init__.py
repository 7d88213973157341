"""Readers of annotation files, one module a format. Each refuses malformed input by name; none knows an encoder."""
