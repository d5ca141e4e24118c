"""dwv, a second viewer that others wrote, on a page of our own: it draws images, and reports over them.

Its packages and the DICOM files are handed to the browser in answer to its requests: there is no server.
"""

from __future__ import annotations

import io
import mimetypes
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route

from tests.viewer.browser import PATIENCE_MS, Shot
from tests.viewer.npm_package import NpmPackage, files_in

# dwv with what it imports; each as its module's name, its folder in the package, and its global where it is no module.
PACKAGES = {
    "dwv": NpmPackage(
        "dwv",
        "0.36.4",
        "sha512-kXGlujGcCKSJD6s0THa2z4Kn/aVCdltvbgrn8g2WcTA8TgLZJHp6Z0Tbu3gxkerIaMCrTC4TbaWJI0nq9tPAFg==",
    ),
    "konva": NpmPackage(
        "konva",
        "10.2.0",
        "sha512-JBoz0Xjbf49UPxCZegZ4WseqOzJ+C4AUDOtJ9eBve5RS5Fcq/u8TdBD5fDl/uPFInpC3a9uycm0sRyZpF4hheg==",
    ),
    "jszip": NpmPackage(
        "jszip",
        "3.10.1",
        "sha512-xXDvecyTpGLrqFrvkrUSoxxfJI5AH7U8zxxtVclpsUtMCq4JQ290LY8AW5c7Ggnr/Y/oK+bQMbqK2qmtk3pN4g==",
    ),
    "magic-wand-tool": NpmPackage(
        "magic-wand-tool",
        "1.1.7",
        "sha512-S4rHzCs/bAp7nhQGKeg+McWuqrdyZKpnu8Ahd8AU7NzuLTm/Hh8tkpv1tW91Kmm59foIrXzip1d+P9NDoyxrZA==",
    ),
}
ADDRESS = "http://dwv.test"
SIDE = 880
_PAGE = f"""<!doctype html>
<body style="margin: 0; background: black">
<script src="/konva/konva.min.js"></script>
<script src="/jszip/dist/jszip.min.js"></script>
<script src="/magic-wand-tool/dist/magic-wand.min.js"></script>
<script type="importmap">
{{"imports": {{"dwv": "/dwv/dist/dwv.min.js", "konva": "/of/Konva", "jszip": "/of/JSZip",
  "magic-wand-tool": "/of/MagicWand"}}}}
</script>
<div id="layers" style="position: relative; width: {SIDE}px; height: {SIDE}px"></div>
<script type="module">
import {{ App, AppOptions, ToolConfig, ViewConfig }} from "dwv";
const options = new AppOptions({{ "*": [new ViewConfig("layers")] }});
options.tools = {{ Draw: new ToolConfig(["Rectangle", "Roi"]) }};
const app = new App();
app.init(options);
const files = new URLSearchParams(location.search).getAll("file");
window.drawn = 0;
window.refused = [];
app.addEventListener("error", (event) => window.refused.push(String(event.error?.message)));
app.addEventListener("loadend", (event) => {{
  app.render(event.dataid);
  window.drawn += 1;
  if (window.drawn < files.length) app.loadURLs([files[window.drawn]]);
}});
app.loadURLs([files[0]]);
</script>
"""
# Words that are drawn over the image, in all layers.
_WORDS = "() => Konva.stages.flatMap((stage) => stage.find('Text').map((text) => text.text()))"


@dataclass
class Dwv:
    """The viewer in a page of a browser; `files` are what it can be asked for, by name."""

    page: Page
    files: dict[str, bytes]
    served: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Answers the page's requests from here on."""
        for name, package in PACKAGES.items():
            held = files_in(package.file(), "")
            self.served |= {f"/{name}{path}": data for path, data in held.items()}
        for name in ("Konva", "JSZip", "MagicWand"):
            self.served[f"/of/{name}"] = f"export default window.{name};".encode()
        self.served |= {"/": _PAGE.encode()}
        self.page.route(f"{ADDRESS}/**", self._answer)

    def show(self, *names: str) -> Shot:
        """An image, and what lies over it, in the order of their names; the shot's text is the words that are drawn."""
        asked = "&".join(f"file={ADDRESS}/file/{name}" for name in names)
        self.page.goto(f"{ADDRESS}/?{asked}", timeout=PATIENCE_MS)
        self.page.wait_for_function(f"window.drawn === {len(names)}", timeout=PATIENCE_MS)
        self.page.wait_for_timeout(500)
        picture = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        words = self.page.evaluate(_WORDS)
        return Shot(picture, (0.0, 0.0, float(SIDE), float(SIDE)), (), (), "\n".join(words))

    def refused(self) -> list[str]:
        """What it could not show, in its words."""
        return [str(one) for one in self.page.evaluate("window.refused")]

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/file/"):
            data: bytes | None = self.files.get(path.removeprefix("/file/"))
            kind = "application/dicom"
        else:
            data = self.served.get(path)
            kind = "text/html" if path == "/" else mimetypes.guess_type(path)[0] or "text/javascript"
        if data is None:
            route.fulfill(status=404)
        else:
            route.fulfill(body=data, content_type=kind)
