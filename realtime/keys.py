"""The keys and what they do, as the help says it in a window and in a browser. Acts on none."""

Keys = tuple[tuple[str, str], ...]

WINDOW_KEYS: Keys = (
    ("h", "show or hide this help"),
    ("space", "pause and go on"),
    ("n", "next pose"),
    ("r", "start again"),
    ("c", "capture this pose as a target"),
    ("o, Tab", "score the other person"),
    ("m", "mirror"),
    ("l", "delay and dropped frames"),
    ("q, Esc", "leave"),
)
BROWSER_KEYS: Keys = (
    ("h", "show or hide this help"),
    ("space", "pause and go on, as p does"),
    ("n, r", "next pose, start again"),
    ("c", "capture this pose as a target"),
    ("o", "score the other person"),
    ("m, l", "mirror, show the delay"),
    ("f", "full screen"),
    ("q", "leave (asks once more)"),
)
"""Without Esc and Tab, which are the browser's own; and so few that they end above the page's row of buttons."""
