"""Whether a picture is the same as the one before it. Knows no source; keeps a small part of one picture."""

from realtime.frames import Picture


class Repeats:
    """Notices the same picture twice, by every 16th row and 8th column: no two pictures of a camera are alike."""

    def __init__(self) -> None:
        self._last: bytes | None = None

    def same_again(self, image: Picture) -> bool:
        """Whether a picture uint8 [h, w, 3] equals the one before it."""
        looked_at = image[::16, ::8].tobytes()
        same = looked_at == self._last
        self._last = looked_at
        return same
