"""The page as one document that asks for nothing else: HTML with its style and script in it. Knows no server."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
STYLE, SCRIPT = "/* mirror.css */", "/* mirror.js */"


@dataclass(frozen=True)
class Page:
    """A document, and the policy that lets a browser run its own style and script and load nothing from elsewhere."""

    html: str
    policy: str


def whole_page() -> Page:
    """The page of `page/`, in one piece."""
    html, style, script = ((FOLDER / f"mirror.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.replace(STYLE, style).replace(SCRIPT, script), policy)


def digest(text: str) -> str:
    """The hash by which a policy names a style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
