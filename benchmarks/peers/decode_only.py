"""Reads the clip and nothing else: what is in every other row too."""

from common import measure, options

arguments = options()
measure(arguments.clip, arguments.frames, lambda picture: None)
