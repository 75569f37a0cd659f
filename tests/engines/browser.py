"""A browser that nobody sees: Chromium, driven as a person would use it, by clicks and keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.engines.programs import program

_LONGEST = 30.0

_SELECTED = """
const data = new DataTransfer();
const event = new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true });
document.querySelector(".xterm-helper-textarea").dispatchEvent(event);
return data.getData("text/plain");
"""


class Browser:
    """Chromium without a window; a context manager that ends it.

    Args:
        folder: for its profile and downloads.
        width, height: of the page, in pixels.
    """

    def __init__(self, folder: Path, width: int = 1160, height: int = 720) -> None:
        self._folder = folder
        self._size = width, height
        self._driver: Any = None

    def __enter__(self) -> Self:
        options = webdriver.ChromeOptions()
        options.binary_location = program("chromium")
        downloads = self._folder / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        for argument in (
            "--headless=new",
            "--no-sandbox",  # which root has to do without
            "--disable-dev-shm-usage",
            "--enable-unsafe-swiftshader",  # the terminal draws with WebGL
            "--hide-scrollbars",
            f"--user-data-dir={self._folder / 'profile'}",
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        service = webdriver.ChromeService(executable_path=program("chromedriver"))
        self._driver = webdriver.Chrome(options, service)
        self.resize(*self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.quit()

    @property
    def driver(self) -> Any:
        """Selenium's."""
        return self._driver

    def open(self, url: str) -> None:
        """Go to an address."""
        self._driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in pixels."""
        about = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)

    def said(self) -> str:
        """The text of the page beside the terminal."""
        return str(self._driver.find_element(By.TAG_NAME, "body").text)

    def screen(self) -> str:
        """What the terminal shows: marked with the mouse from corner to corner, and copied."""
        area = self._driver.find_element(By.CSS_SELECTOR, ".xterm-screen")
        width, height = area.size["width"], area.size["height"]
        chain = ActionChains(self._driver, duration=0)
        chain.move_to_element_with_offset(area, -width // 2 + 1, -height // 2 + 2).key_down(Keys.SHIFT).click_and_hold()
        chain.move_to_element_with_offset(area, width // 2 - 2, height // 2 - 3).release().key_up(Keys.SHIFT)
        chain.perform()
        return str(self._driver.execute_script(_SELECTED))

    def press(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            ActionChains(self._driver).send_keys(key).perform()

    def click(self, text: str) -> None:
        """Click on a text that the terminal shows."""
        lines = self.screen().splitlines()
        row = next(number for number, line in enumerate(lines) if text in line)
        column = lines[row].index(text)
        rows, columns = len(lines), max(map(len, lines))
        area = self._driver.find_element(By.CSS_SELECTOR, ".xterm-screen")
        width, height = area.size["width"], area.size["height"]
        x = int((column + 1.5) * width / columns - width / 2)
        y = int((row + 0.5) * height / rows - height / 2)
        ActionChains(self._driver, duration=0).move_to_element_with_offset(area, x, y).click().perform()

    def wait_for(self, *texts: str) -> str:
        """Look until the terminal shows all `texts`; what it shows then.

        Raises:
            AssertionError: they do not come in time.
        """
        return self._until(self.screen, lambda shown: all(text in shown for text in texts), f"{texts} did not come")

    def wait_until_said(self, text: str) -> None:
        """Look until the page says something beside the terminal.

        Raises:
            AssertionError: it does not in time.
        """
        self._until(self.said, lambda said: text in said, f"{text!r} was not said")

    def wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        """Look until something is so.

        Raises:
            AssertionError: it does not come to be in time.
        """
        self._until(lambda: "x" if is_so() else "", bool, otherwise)

    def requests(self) -> list[str]:
        """Every address that it has asked for since the last call."""
        found = []
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return found

    def _until(self, look: Callable[[], str], is_there: Callable[[str], bool], otherwise: str) -> str:
        until = time.monotonic() + _LONGEST
        shown = ""
        while time.monotonic() < until:
            try:
                shown = look()
            except WebDriverException:
                continue  # the page is just being loaded
            if is_there(shown):
                return shown
        raise AssertionError(f"{otherwise}; there is\n{shown}")
