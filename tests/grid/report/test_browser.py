"""The page in headless Chromium: errors, widths, sorting, downloads, cards, print and accessibility.

Skipped where there is no Chromium; Debian's package `chromium` is enough.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import made_space
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from grid import report
from grid.report.chart_files import Figures

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
SCHEMES = ("light", "dark")
WIDTHS = (1440, 390)
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
TOO_WIDE = """() => [...document.querySelectorAll('main *')]
    .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter(each => !each.closest('.scroll, svg')).map(each => each.outerHTML.slice(0, 120))"""
BARE = """() => [...document.querySelectorAll('section')]
    .filter(each => ![...each.children].some(child => !/^H[1-4]$/.test(child.tagName) && child.innerText))
    .map(each => each.id)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Report a made space without the charts for download, which no browser reads."""
    out = tmp_path_factory.mktemp("browser")
    plan = made_space.plan(out)
    made_space.record_all(made_space.publish(plan, out, set(), {}), plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figures, "files", lambda _: {})
        return report.build("made", out, images=True).as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(address)
    yield opened
    opened.close()


def test_page_opens_without_an_error(browser: Browser, address: str) -> None:
    page, errors = browser.new_page(), list[str]()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(request.url))
    page.goto(address)
    assert page.title()
    assert errors == []
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_page_has_no_horizontal_scroll(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(OPEN_ALL)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_has_no_serious_accessibility_finding(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.evaluate(OPEN_ALL)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_table_is_sorted_by_its_heads(page: Page, how: str) -> None:
    table = page.locator("#shared table.sortable").first
    head = table.locator("thead button").first

    def names() -> list[str]:
        return table.locator("tbody tr td:first-child").all_inner_texts()

    for direction in ("ascending", "descending"):
        if how == "click":
            head.click()
        else:
            head.press(how)
        assert table.locator("thead th").first.get_attribute("aria-sort") == direction
        assert names() == sorted(names(), reverse=direction == "descending")
    assert len(set(names())) > 1


def test_tables_can_be_saved(page: Page, address: str) -> None:
    with page.expect_download() as waiting:
        page.locator('#results a[download="table.csv"]').first.click()
    folder = Path(address.removeprefix("file://")).parent
    assert Path(waiting.value.path()).read_bytes() == (folder / "table.csv").read_bytes()


@pytest.mark.parametrize(("kind", "start"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_charts_can_be_saved(page: Page, kind: str, start: bytes) -> None:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Save this chart as {kind}").first.click()
    saved = Path(waiting.value.path()).read_bytes()
    assert saved.startswith(start)
    assert b"var(--" not in saved
    assert waiting.value.suggested_filename.endswith(kind.lower())


def test_rows_of_wide_tables_are_cards_on_a_narrow_page(page: Page) -> None:
    cell = page.locator("#shared table.cards tbody td").nth(1)
    assert cell.evaluate("each => getComputedStyle(each).display") == "table-cell"
    page.set_viewport_size({"width": 390, "height": 900})
    assert cell.evaluate("each => getComputedStyle(each).display") == "block"
    assert cell.evaluate("each => getComputedStyle(each, '::before').content") == '"Training images"'
    assert cell.get_attribute("role") == "cell"


def test_print_keeps_light_colours_and_leaves_out_what_is_for_screens(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("nav").is_visible()
    assert not page.get_by_role("button", name="Save this chart as SVG").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 251, 248)"
    assert page.evaluate("getComputedStyle(document.body).printColorAdjust") == "exact"
    assert page.locator("details:not([open])").count()
    assert re.match(rb"%PDF", page.pdf())
    assert not page.locator("details:not([open])").count()  # whose content would not be printed


def test_print_loses_no_column_of_a_table(page: Page) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # between the margins of A4
    page.evaluate(OPEN_ALL)
    rights = page.eval_on_selector_all(
        ".scroll table", "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert max(rights) <= 718


def test_answer_shows_code_as_code(page: Page) -> None:
    assert page.locator("#answer dd code").first.inner_text() == 'initialization: ["ISIC2019"]'
    assert "`" not in page.locator("#answer").inner_text()


def test_no_section_is_empty(page: Page) -> None:
    page.evaluate(OPEN_ALL)
    assert page.evaluate(BARE) == []
