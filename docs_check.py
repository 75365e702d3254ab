"""Look at every page of the built documentation in headless Chromium: axe-core's rules, and its width on a phone.

    python docs_check.py build/site

Each page is looked at in the light on a desktop and on a phone, and for its colours in the dark. Opened from the
folder, the first page of each language has to find a word of its language, and to ask no other machine for anything.
The exit status is 1 where a page breaks a rule, is wider than a phone or finds nothing; a line on each names the page,
the rule and the selector. Where there is no Chromium, or no axe-core, a line says so, and nothing is looked at.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

PHONE = 390
LOOKS = ("light", 1280), ("light", PHONE), ("dark", 1280)
COLOUR_RULES = ["color-contrast", "link-in-text-block"]
"""The rules of axe-core that a change of colours can break."""

SEARCHES = {"index.html": "network", "zh/index.html": "网络"}
"""A word for each language's first page to find."""

FOUND_WITHIN = 30.0
"""Seconds until a search that finds nothing is a fault; the index is read in one or two."""

WIDER = """() => {
  const room = document.documentElement.clientWidth;
  const scrolls = (each) => {
    for (let box = each.parentElement; box && box !== document.body; box = box.parentElement)
      if (["auto", "scroll", "hidden"].includes(getComputedStyle(box).overflowX)) return true;
    return false;
  };
  const classes = (each) => [...each.classList].map((one) => "." + one).join("");
  const name = (each) => each.localName + (each.id ? "#" + each.id : "") + classes(each);
  const sticksOut = (each) => each.getBoundingClientRect().right > room + 1 && each.checkVisibility() && !scrolls(each);
  const found = [...document.querySelectorAll("body *")].filter(sticksOut);
  const outermost = found.filter((each) => !found.includes(each.parentElement));
  const width = document.scrollingElement.scrollWidth;
  const wide = width > room ? [`html is ${width} px`] : [];
  return [...wide, ...outermost.map((each) => `${name(each.parentElement)} > ${name(each)}`)];
}"""
"""The elements that stick out at the right and that nothing lets scroll: the theme hides what is too wide."""


def check_site(site: Path, browser: str) -> Iterator[str]:
    """Yield a line on each fault of each page of a built site, which a browser for every processor looks at."""
    at_once = os.cpu_count() or 1
    pages = sorted(each.relative_to(site).as_posix() for each in site.rglob("*.html"))
    shares = [pages[first::at_once] for first in range(min(at_once, len(pages)))]
    with served(site) as address, ThreadPoolExecutor(at_once) as pool:
        looks = [partial(look, browser, address, share, *each) for each in LOOKS for share in shares]
        for found in pool.map(lambda each: each(), looks):
            yield from found


def look(browser: str, address: str, pages: Sequence[str], colours: str, width: int) -> list[str]:
    """Give the faults of some pages in one look."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        # The theme remembers colours: each look has a context of its own.
        tab = opened.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)  # type: ignore[arg-type]
        for path in pages:
            tab.goto(f"{address}/{path}", wait_until="load")
            seen = faults(tab, phone=width == PHONE, all_rules=colours == "light")
            found += [f"{path} at {width} px, {colours}: {fault}" for fault in seen]
        opened.close()
    return found


def faults(tab: Any, *, phone: bool, all_rules: bool) -> Iterator[str]:
    """Yield the rules that an open page breaks, each with the selector of what breaks it, and on a phone what is too
    wide; without `all_rules` only those that colours decide."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]}  # what passes takes long to list
    if not all_rules:
        options["runOnly"] = {"type": "rule", "values": COLOUR_RULES}
    for rule in Axe().run(tab, options=options).response["violations"]:
        for node in rule["nodes"]:
            selector = " ".join(str(part) for part in node["target"])
            yield f"{rule['id']} ({rule['help']}): {selector}"
    if phone:
        for selector in tab.evaluate(WIDER):
            yield f"wider than the page: {selector}"


def search_faults(site: Path, browser: str, within: float = FOUND_WITHIN) -> Iterator[str]:
    """Yield what keeps the search of a site that is opened from its folder from finding a page, and the addresses that
    it asks elsewhere; nothing of a site without a search."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for path, word in SEARCHES.items() if (site / "search").is_dir() else ():
            tab = opened.new_page()
            asked = addresses_asked(tab)
            tab.goto((site / path).absolute().as_uri())
            tab.set_default_timeout(1_000 * within)
            try:
                tab.fill(".md-search__input", word)
                tab.press(".md-search__input", "End")  # the theme waits for a key
                tab.wait_for_selector(".md-search-result__item a", state="attached")
            except Error:
                yield f"{path} from the folder: its search finds no {word!r}"
            for url in asked:
                if not url.startswith(("file:", "data:", "blob:", "about:")):
                    yield f"{path} from the folder: it asks for {url}"
            tab.close()
        opened.close()


def addresses_asked(tab: Any) -> list[str]:
    """The addresses that a tab asks for from now on."""
    asked = list[str]()
    tab.on("request", lambda request: asked.append(request.url))
    return asked


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine while the block runs, and give its address: the page for a wrong address has
    addresses that begin at the root."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def main(site: Path) -> int:
    """Check a site, print what was found, and return the exit status."""
    count = len(list(site.rglob("*.html")))
    if not count:
        print(f"{site}: it has no pages; build them with `make docs`")
        return 2
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None or not (find_spec("axe_playwright_python") and find_spec("playwright")):
        print(f"{site}: its pages were not looked at: that needs Chromium, and `pip install axe-playwright-python`")
        return 0
    began, found = time.monotonic(), list[str]()
    for fault in chain(check_site(site, browser), search_faults(site, browser)):
        found.append(fault)
        print(fault, flush=True)
    looks = f"{count} pages, " + ", ".join(f"{colours} at {width} px" for colours, width in LOOKS)
    print(f"{site}: {len(found)} faults on {looks} ({time.monotonic() - began:.0f} s)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) if len(sys.argv) == 2 else __doc__)
