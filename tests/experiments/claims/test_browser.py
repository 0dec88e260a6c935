"""The page in a browser: nothing is asked of a network, nothing complained of, all is seen on a phone, too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from . import toy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toy.written(tmp_path_factory.mktemp("page")).as_uri()


def show(browser: Any, page: str, width: int) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(page)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_fetched_and_every_figure_is_seen(browser: Any, page: str, width: int) -> None:
    browser.get_log("performance")
    show(browser, page, width)
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("data:", "file:"))} == set()
    assert browser.get_log("browser") == []
    images = browser.execute_script(
        "return [...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width, i.alt])"
    )
    assert images
    assert all(natural > 0 and 0 < seen <= width and alt for natural, seen, alt in images)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_table_is_sorted_and_filtered_by_keyboard(browser: Any, page: str) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, page, 1280)
    button = browser.find_elements("css selector", "#claims th button")[1]
    orders = []
    for _ in range(2):
        button.send_keys(Keys.ENTER)
        orders.append([cell.text for cell in browser.find_elements("css selector", "#claims td:nth-child(2)")])
    assert orders[0] == sorted(orders[0])
    assert orders[1] == orders[0][::-1]
    browser.find_element("id", "words").send_keys("rocket")
    shown = [row for row in browser.find_elements("css selector", "#claims tbody tr") if row.is_displayed()]
    assert len(shown) == 1
    assert browser.find_element("id", "shown").text == "1 of 3 claims"
