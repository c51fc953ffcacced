"""OHIF as a person uses it: opens a study, double-clicks a series, steps through its findings. Every wait is for a condition, and ends.

What is on the screen is read from the page (the layer of drawings, the overlay with the image number, the text), never from pixels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page
from playwright.sync_api import TimeoutError as TookTooLong

LIMIT = 60_000
TOLERANCE = 0.5
"""Pixels of the image."""
SOON = 5_000
"""ms after which a click is taken for lost, as it is while the first image loads, and repeated."""
FLAGS = [
    "--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
]  # fmt: skip
FAULTS = ("OBLIQUE ELLIPSE NOT YET SUPPORTED", "Unsupported GraphicType", "Unable to apply reference viewable")
"""What the viewer says in its console of a report that it does not draw."""
SERIES = '[data-cy="study-browser-thumbnail-no-image"]'
THUMBNAIL = '[data-cy="study-browser-thumbnail"]'
PANE = '[data-cy="viewport-pane"]'
NUMBER = '[data-cy="viewport-overlay-bottom-right"]'
"""`I:9 (12/20)`, or `1/1` of images without a place in space."""
ARROWS = f"{PANE} div.cursor-pointer.shrink-0:has(> svg)"
SHAPES = "ellipse,polyline,polygon,path,circle,line,rect"

# [modality, number] -> the display set of that series
DISPLAY_SET = """([modality, number]) => window.services.displaySetService.activeDisplaySets.find(
  d => d.Modality === modality && String(d.SeriesNumber) === String(number))"""
SHOWN = f"""series => {{
  const viewport = [...window.services.viewportGridService.getState().viewports.values()][0];
  return Boolean(viewport?.displaySetInstanceUIDs.includes(({DISPLAY_SET})(series)?.displaySetInstanceUID));
}}"""
# What the pane shows: SOP Instance UID and frame of the image, the boxes of all shapes (dashed lines lead to texts) in pixels of the image, the lines of text.
ON_SCREEN = f"""() => {{
  const pane = document.querySelector('{PANE}'), layer = pane?.querySelector('svg.svg-layer');
  const service = window.services.cornerstoneViewportService;
  const id = [...window.services.viewportGridService.getState().viewports.keys()][0];
  const viewport = service.getCornerstoneViewport(id);
  const frame = layer?.getBoundingClientRect();
  const index = point => {{
    const data = viewport.getImageData(), [x, y] = data.imageData.worldToIndex(viewport.canvasToWorld(point));
    return [x + 0.5, y + 0.5];  // the corner of the first pixel is 0,0 in DICOM, its centre is 0,0 here
  }};
  const box = element => {{
    const b = element.getBoundingClientRect();
    const [left, top] = index([b.left - frame.left, b.top - frame.top]), [right, bottom] = index([b.right - frame.left, b.bottom - frame.top]);
    return [left, top, right, bottom];
  }};
  const [, image, number] = /instances\\/([\\d.]+)\\/frames\\/(\\d+)/.exec(viewport?.getCurrentImageId?.() ?? '') ?? [];
  const leader = e => e.tagName === 'line' && /[1-9]/.test(e.getAttribute('stroke-dasharray') ?? '');
  return {{
    image: `${{image}} ${{number}}`,
    shapes: layer && viewport ? [...layer.querySelectorAll('{SHAPES}')].map(e => ({{kind: e.tagName, dashed: leader(e), box: box(e)}})) : [],
    lines: layer ? [...layer.querySelectorAll('tspan')].map(t => t.textContent) : [],
    text: pane?.innerText ?? '',
  }};
}}"""


# OHIF tells its drawing tool which findings a report has once the viewport stands, and asks for no drawing then: when the image was painted before
# (one window in ten here), nothing is drawn until it is painted again, as by a person's wheel, zoom or change of size. So a painting is asked for.
PAINT = """() => {
  const id = [...window.services.viewportGridService.getState().viewports.keys()][0];
  window.services.cornerstoneViewportService.getCornerstoneViewport(id)?.render();
}"""
PAUSE = 250
"""ms between two looks at the screen, each after a painting."""
STARTS = "globalThis.__filename = location.href"
"""Before the page. A library of OHIF 3.12 looks for the script it is in, and for `__filename` when no script is running: so it is when a stylesheet
of the page is the last to arrive, and the page stays empty ("__filename is not defined")."""
PICTURE = f"""() => {{
  const pane = document.querySelector('{PANE}');
  return pane.querySelector('{NUMBER}')?.innerText + pane.querySelector('svg.svg-layer')?.innerHTML;
}}"""


@dataclass(frozen=True)
class Drawing:
    """What has to be on the screen for one finding: image, extent in pixels of the image (None: whatever it is), lines of text."""

    image: str
    """SOP Instance UID and frame."""
    extent: tuple[float | None, float | None, float | None, float | None]
    lines: tuple[str, ...]


class Viewer:
    """One window of the viewer."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.said: list[str] = []
        page.set_default_timeout(LIMIT)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(f"page error: {error}"[:300]))
        page.on("request", lambda request: self.said.append(f"asked {request.url}") if not request.url.startswith((address, "data:", "blob:")) else None)

    def _hear(self, message: ConsoleMessage) -> None:
        if any(words in message.text for words in FAULTS):
            self.said.append(f"{message.type}: {message.text}"[:300])

    def open(self, study: str) -> None:
        """Waits until the study's first image is there."""
        self.page.goto(f"{self.address}/viewer?StudyInstanceUIDs={study}")
        self.page.wait_for_selector(".cornerstone-canvas")
        self.page.wait_for_function(f"() => /\\d+\\/\\d+/.test(document.querySelector('{PANE} {NUMBER}')?.innerText ?? '')")
        self.page.wait_for_load_state("networkidle")  # a report opened while images load is at times not drawn

    def show(self, number: int, modality: str = "SR", *, pictured: bool = False) -> None:
        """Double-clicks the series of that number until it is what the viewport shows. `pictured`: it has a thumbnail."""
        entry = self.page.locator(THUMBNAIL if pictured else SERIES).filter(has_text=re.compile(rf"^{modality}\n.*\nS:{number}\b|^{modality}\D.*S:{number}", re.DOTALL)).first
        entry.wait_for()
        for _ in range(LIMIT // SOON):
            entry.dblclick()
            try:
                self.page.wait_for_function(SHOWN, arg=[modality, number], timeout=SOON)
                return
            except TookTooLong:
                continue
        raise AssertionError(f"{modality} series {number} was not opened by double clicks for {LIMIT // 1000} s; the page said {self.said}")

    def count_findings(self, number: int) -> int:
        """How many groups the viewer knows of."""
        return int(self.page.evaluate(f"series => (({DISPLAY_SET})(series).measurements ?? []).length", ["SR", number]))

    def next(self) -> None:
        """The arrow to the next finding; pressed again when nothing moves, as a click is lost while an image loads."""
        before = self.page.evaluate(PICTURE)
        for _ in range(LIMIT // SOON):
            self.page.locator(ARROWS).nth(1).click()
            try:
                self.page.wait_for_function(f"before => ({PICTURE})() !== before", arg=before, timeout=SOON)
                return
            except TookTooLong:
                continue
        raise AssertionError(f"the arrow led nowhere; the page said {self.said}")

    def on_screen(self) -> dict[str, Any]:
        """What the pane shows."""
        result: dict[str, Any] = self.page.evaluate(ON_SCREEN)
        return result

    def at(self, image: str) -> None:
        """Waits until the pane shows this image: its SOP Instance UID and frame."""
        try:
            self.page.wait_for_function(f"image => ({ON_SCREEN})().image === image", arg=image)
        except TookTooLong:
            raise AssertionError(f"not shown: {image}\non the screen: {self.on_screen()}\nthe page said: {self.said}") from None

    def drawn(self, wanted: Drawing) -> None:
        """Waits until the finding is drawn: on its image, in its place, with its numbers. Raises AssertionError with what is there instead."""
        here = f"""wanted => {{
          ({PAINT})();
          const screen = ({ON_SCREEN})(), close = (a, b) => a.every((value, at) => b[at] === null || Math.abs(value - b[at]) <= wanted.tolerance);
          return screen.image === wanted.image && wanted.lines.every(line => screen.lines.includes(line))
            && screen.shapes.some(shape => close(shape.box, wanted.extent));
        }}"""
        arguments = {"image": wanted.image, "extent": list(wanted.extent), "lines": list(wanted.lines), "tolerance": TOLERANCE}
        try:
            self.page.wait_for_function(here, arg=arguments, polling=PAUSE)
        except TookTooLong:
            raise AssertionError(f"not drawn: {wanted}\non the screen: {self.on_screen()}\nthe page said: {self.said}") from None

    def says(self, words: Sequence[str]) -> None:
        """Waits until the pane shows all of these as text."""
        there = f"words => {{ const text = document.querySelector('{PANE}')?.innerText ?? ''; return words.every(word => text.includes(word)); }}"
        try:
            self.page.wait_for_function(there, arg=list(words))
        except TookTooLong:
            text = self.on_screen()["text"]
            raise AssertionError(f"not shown: {[word for word in words if word not in text]}\nthe pane: {text!r}\nthe page said: {self.said}") from None

    def segments(self, names: Sequence[str]) -> None:
        """Waits until these segments lie over the images: the viewer has them, and the pane shows an image."""
        there = """names => {
          const all = window.services.segmentationService.getSegmentations().flatMap(each => Object.values(each.segments).map(segment => segment.label));
          const id = [...window.services.viewportGridService.getState().viewports.keys()][0];
          return names.every(name => all.includes(name)) && window.services.segmentationService.getSegmentationRepresentations(id).length > 0;
        }"""
        try:
            self.page.wait_for_function(there, arg=list(names))
        except TookTooLong:
            raise AssertionError(f"no segments {names}; the page said: {self.said}") from None

    def picture(self, path: Path) -> None:
        """A picture of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
