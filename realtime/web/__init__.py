"""The browser mirror: the picture with its overlay, keys and results rows for browsers and other programs."""
