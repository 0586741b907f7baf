"""The page: whole, closed in itself, in both languages, and as Chromium shows it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from loadtest.report import dossier, page
from loadtest.report.build import build
from loadtest.report.command import report
from loadtest.report.compare import before_after, compare
from loadtest.report.comparison import Comparison
from loadtest.report.model import DrillReport, Ending, Place
from tests.loadtest.chromium import Browser
from tests.loadtest.told_drill import add_unheard, play, seal

VOID = {"meta", "br"}
SHOTS = os.environ.get("KESSAI_SHOTS", "")
"""A folder to which the pictures of the pages go, for eyes."""


class Reader(HTMLParser):
    """Reads a page, and says which element was not closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: dict[str, int] = {}
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.languages: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] = self.names.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "lang" and value in ("en", "ja") and tag != "html":
                self.languages.append(value)
            if name in ("href", "src", "srcset", "action", "data", "poster", "xlink:href"):
                self.addresses.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}> at {self.getpos()}"
        self.open.pop()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> DrillReport:
    return build(dossier.read(play(tmp_path_factory.mktemp("played") / "leader-crash")))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> DrillReport:
    folder = play(tmp_path_factory.mktemp("played") / "leader-crash-again")
    add_unheard(folder)
    seal(folder)
    return build(dossier.read(folder))


def renewed(told: DrillReport, failed: DrillReport) -> Comparison:
    """The failed one as the old system's, beside the good one; and equipment the old one lacks."""
    assert told.grounds is not None
    old = replace(
        told.grounds,
        topology="legacy-2node",
        places=(
            Place("a", True, ("a1", "a2"), ("e1",), (), switches=1),
            Place("b", False, ("b1",), ("e2",), (), 1, 5.0, ("CREDIT",)),
            Place("witness", False, (), ("e3",), ()),
        ),
    )
    outcome = replace(
        failed.outcome, gap_ms=12_400.0, gap_ended=Ending.REPAIR, services=1, operator_steps=2
    )
    absent = replace(told.outcome, absent="site a has no switch-2: it has 1 of them")
    new = replace(told, outcome=replace(told.outcome, services=7))
    return before_after(
        [
            replace(failed, grounds=old, outcome=outcome),
            new,
            replace(_again(failed, "second"), name="other", grounds=old, outcome=absent),
            replace(_again(new, "third"), name="other"),
        ],
        ("legacy-2node", "one-site-3node"),
        command="kessai compare --quick --seed 1",
        seed=1,
        unplayed=(("demo on legacy-2node", "etcd <did not> start"),),
    )


def _again(report: DrillReport, folder: str) -> DrillReport:
    return replace(report, origin=replace(report.origin, folder=folder))


@pytest.fixture(scope="module")
def pages(
    told: DrillReport, failed: DrillReport, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    comparisons = {
        "renewal": renewed(told, failed),
        "one": compare([told]),
        "two": compare([told, failed]),
        "beside": compare([told, failed], ("legacy-2node", "one-site-3node")),
    }
    found = {}
    for name, comparison in comparisons.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(page.html(comparison), encoding="utf-8")
    return found


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


@pytest.mark.parametrize("name", ["one", "two", "beside", "renewal"])
def test_the_page_is_well_formed_and_needs_nothing_else(pages: dict[str, Path], name: str) -> None:
    reader = read(pages[name])
    assert not reader.open
    assert reader.names["h1"] == 1
    assert len(reader.ids) == len(set(reader.ids))
    assert all(address.startswith("#") for address in reader.addresses)
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)
    text = pages[name].read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)


def test_pictures_are_sound_and_say_what_they_are(pages: dict[str, Path]) -> None:
    text = pages["two"].read_text(encoding="utf-8")
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) >= 7
    for picture in pictures:
        drawn = ElementTree.fromstring(picture)
        assert drawn[0].tag == "title"
        assert " / " in (drawn[0].text or "")


def test_words_of_the_evidence_are_quoted_and_never_markup(pages: dict[str, Path]) -> None:
    text = pages["one"].read_text(encoding="utf-8")
    assert "&lt;made up&gt; for tests &amp; nothing else" in text
    assert "<made up>" not in text


def test_each_word_stands_in_both_languages(pages: dict[str, Path]) -> None:
    languages = read(pages["two"]).languages
    assert len(languages) > 200
    assert languages == ["en", "ja"] * (len(languages) // 2)


def test_before_and_after_stand_on_top(pages: dict[str, Path]) -> None:
    text = pages["renewal"].read_text(encoding="utf-8")
    top = text[: text.index("<article")]
    for words in (
        "After the renewal 2 of 2 drills passed, nothing lost; before: 0 of 1 drills passed",
        "12.40 s<small>",
        "until the repair",
        "復旧まで",
        "1 of 7",
        "Only after the renewal",
        "no such equipment: site a has no switch-2: it has 1 of them",
        "demo on legacy-2node</code>: etcd &lt;did not&gt; start",
        "kessai compare --quick --seed 1",
        "batches, every 5 s",
        "offers, while active: CREDIT",
    ):
        assert words in top, words
    assert top.count("<tbody>") == 2
    assert 'class="verdict pass"' in top  # the old system's failures are a finding


def test_the_command_writes_page_and_json(tmp_path: Path) -> None:
    folder = play(tmp_path / "evidence")
    out = tmp_path / "out" / "report.html"
    done = CliRunner().invoke(report, [str(folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    document = json.loads(out.with_suffix(".json").read_bytes())
    (line,) = document["comparison"]["lines"]
    assert line["cells"][0]["reports"][0]["outcome"]["lost"] == 0
    missing = CliRunner().invoke(report, [str(tmp_path), "--out", str(out)])
    assert missing.exit_code == 2


# --- as a browser shows it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def sizes(browser: Browser, selector: str) -> list[list[float]]:
    script = (
        f"[...document.querySelectorAll('{selector}')].map(each => each.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    found: list[list[float]] = browser.ask(script)
    return found


def kept(browser: Browser, name: str) -> None:
    if SHOTS:
        browser.shot(Path(SHOTS) / f"{name}.png")


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "two", "renewal"])
def test_it_opens_offline(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str, language: str
) -> None:
    address = pages[name].as_uri()
    browser.open(f"{address}#lang={language}", scheme=scheme)
    kept(browser, f"{name}-{scheme}-{language}")
    assert browser.complaints == []
    assert [each.partition("#")[0] for each in browser.requests] == [address]
    for selector in ("table", "svg", "svg .step", "svg .nodes"):
        boxes = sizes(browser, selector)
        assert boxes, selector
        assert all(width > 0 and height > 0 for width, height in boxes), (selector, boxes)
    bars = sizes(browser, ".timeline .settled")
    assert sum(height > 1 for _, height in bars) >= 0.9 * len(bars)  # none while nobody settled
    assert browser.ask("document.documentElement.lang") == language
    other = "ja" if language == "en" else "en"
    hidden = sizes(browser, f"body [lang={other}]")
    assert all(box == [0, 0] for box in hidden)
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 22, 29)")
    wide = browser.ask("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


def test_the_switches_switch(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"].as_uri(), scheme="light")
    for name, value in (("lang", "ja"), ("theme", "dark")):
        button = f"document.querySelector('[data-set-{name}={value}]')"
        browser.ask(f"{button}.click()")
        assert browser.ask(f"{button}.getAttribute('aria-pressed')") == "true"
    assert browser.ask("document.documentElement.lang") == "ja"
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(17, 22, 29)"
    assert browser.complaints == []


_CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const own = [...element.childNodes].some(each => each.nodeType === 3 && each.data.trim());
    if (!own || element.closest("svg") || !element.getClientRects().length) continue;
    const pair = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < 4.5) poor.push(`${element.textContent.trim().slice(0, 40)}: ${contrast}`);
  }
  return poor;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["two", "renewal"])
def test_words_stand_out_enough(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    browser.open(pages[name].as_uri(), scheme=scheme)
    assert browser.ask(_CONTRAST) == []


def test_it_prints(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"].as_uri(), scheme="dark")
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert sizes(browser, ".switches") == [[0, 0]]
        paper = browser.ask("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        printed = browser.call("Page.printToPDF", preferCSSPageSize=True)["data"]
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    assert len(printed) > 20_000
