"""Pages in headless Chromium, with its driver: Debian's packages chromium and chromium-driver."""

import json
import shutil

import pytest

PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(None in PROGRAMS.values(), reason="needs chromium and chromedriver: tox -e browser"),
]
ARGUMENTS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --window-size=1280,900""".split()


class Browser:
    """`driver` is selenium's; `open` forgets what was said before."""

    def __init__(self, folder):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = PROGRAMS["chromium"]
        for argument in (*ARGUMENTS, f"--user-data-dir={folder}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(PROGRAMS["chromedriver"]))

    def open(self, path):
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(path.as_uri())

    def script(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        self.one(selector).click()

    def until(self, true, seconds=10):
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.02).until(lambda _: true())

    def errors(self):
        """All that the console was told, warnings too."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """What was asked for, data URIs apart."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        urls = [params["request"]["url"] for params in asked]
        return [url for url in urls if not url.startswith("data:")]

    def pixels(self, canvas):
        """Everything on a canvas, as a data URI."""
        return self.script("return document.getElementById(arguments[0]).toDataURL()", canvas)

    def opened(self, row=0):
        """Open a case by its row, and wait until it is drawn."""
        self.script("document.querySelector('#legend').replaceChildren()")
        [button for button in self.all(".open") if button.is_displayed()][row].click()
        self.until(lambda: self.one("#legend").get_property("childElementCount") > 0)

    def choose(self, view):
        self.click(f'input[name="view"][value="{view}"]')

    def move(self, slider, value):
        """As a hand does."""
        code = "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        code += "s.dispatchEvent(new Event('input'))"
        self.script(code, slider, value)

    def row_names(self):
        return [button.text for button in self.all(".open") if button.is_displayed()]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium):
    """Its size as at first, the system's colours light."""
    emulated(chromium, "light")
    chromium.driver.set_window_size(1280, 900)
    return chromium


def emulated(browser, colours):
    features = [{"name": "prefers-color-scheme", "value": colours}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
