"""The report in a browser: it opens without a word to console and network, sorts, searches, and shows every case."""

import shutil

import pytest

from noise2mask.report.page import write_report

from ..report.results import evaluation, segmentation, training
from .conftest import MARKS, emulated

pytestmark = MARKS


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Of an evaluation with its training, of volumes, and of a segmentation."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("scores", "volumes", "masks"):
        (folder / name).mkdir()
    evaluation(folder / "scores", count=12, shape=(32, 48), samples=4, steps=3)
    evaluation(folder / "volumes", shape=(20, 24, 6), structures=("head", "tail"), ending=".nii.gz")
    segmentation(folder / "masks")
    sources = {"scores": ["scores", "run"], "volumes": ["volumes"], "masks": ["masks"]}
    training(folder / "run")
    return {
        name: write_report([folder / own for own in parts], folder / f"{name}.html") for name, parts in sources.items()
    }


def test_a_page_opens_without_errors_and_asks_for_nothing(browser, pages):
    for path in pages.values():
        browser.open(path)
        browser.opened()
        assert browser.errors() == [] and browser.requests() == [path.as_uri()]


def test_the_policy_in_the_page_forbids_requests(browser, pages):
    browser.open(pages["scores"])
    code = "const done = arguments[0]; fetch('http://127.0.0.1:9/').catch(() => done('refused'))"
    assert browser.driver.execute_async_script(code) == "refused"
    assert any("Content Security Policy" in message for message in browser.errors())


def test_text_of_a_file_that_looks_like_code_is_text(browser, tmp_path, pages):
    evaluation(tmp_path, count=1)
    text = (tmp_path / "cases.csv").read_text().replace("p0", "<img src=x onerror=alert(1)>")
    (tmp_path / "cases.csv").write_text(text)
    browser.open(write_report([tmp_path], tmp_path / "page.html"))
    browser.opened()
    assert "<img src=x" in browser.one("#viewer-place").text and browser.errors() == []


def test_a_column_sorts_in_both_directions_and_says_so(browser, pages):
    browser.open(pages["scores"])
    dice = [float(cell.text) for cell in browser.all("#case-table tbody td:nth-child(4)")]
    assert dice == sorted(dice) and browser.one('[data-key="dice"]').get_attribute("aria-sort") == "ascending"
    browser.click('[data-key="dice"] button')
    assert [float(cell.text) for cell in browser.all("#case-table tbody td:nth-child(4)")] == sorted(dice)[::-1]
    assert browser.one('[data-key="dice"]').get_attribute("aria-sort") == "descending"
    browser.click('[data-key="name"] button')
    assert browser.row_names() == [f"case_{number}.png" for number in range(12)]  # 2 before 10
    assert len(browser.all("[aria-sort]")) == 1


def test_the_most_uncertain_come_first_when_they_are_asked_for(browser, pages):
    browser.open(pages["scores"])
    browser.click('[data-preset="uncertain"]')
    assert browser.row_names() == [f"case_{number}.png" for number in range(11, -1, -1)]
    assert browser.one('[data-preset="uncertain"]').get_attribute("aria-pressed") == "true"
    assert browser.one('[data-preset="worst"]').get_attribute("aria-pressed") == "false"


def test_the_search_leaves_rows_that_hold_every_word(browser, pages):
    browser.open(pages["scores"])
    browser.one("#search").send_keys("p1 case_3")
    assert browser.row_names() == ["case_3.png"] and browser.one("#count").text == "1 of 12 cases"
    browser.one("#search").send_keys("x")
    assert browser.row_names() == [] and browser.one("#count").text == "0 of 12 cases"


def test_every_view_and_every_slider_changes_the_picture(browser, pages):
    browser.open(pages["scores"])
    browser.opened()
    seen = [browser.pixels("right")]
    for view in ("errors", "probability", "std", "entropy", "sample", "step", "none"):
        browser.choose(view)
        seen.append(browser.pixels("right"))
    assert len(set(seen)) == 8
    samples = {(browser.move("sample", value), browser.pixels("right")) for value in range(4)}
    assert len(samples) == 4 and browser.one('input[value="sample"]').is_selected()
    noisy = {(browser.move("step", value), browser.pixels("left")) for value in range(3)}
    assert len(noisy) == 3 and "timestep 0" in browser.one("#step-words").text
    assert "timestep 0" in browser.one("#left-words").text and browser.errors() == []


def test_slices_of_a_volume_are_moved_through(browser, pages):
    browser.open(pages["volumes"])
    browser.opened()
    slices = {(browser.move("slice", value), browser.pixels("left")) for value in range(6)}
    assert len(slices) == 6 and "slice 5 of the volume" in browser.one("#slice-words").text
    assert "mask, head" in browser.one("#legend").text and "label, tail" in browser.one("#legend").text
    browser.choose("errors")
    assert "another structure" in browser.one("#legend").text


def test_a_picture_has_no_slices_and_a_case_without_label_no_errors(browser, pages):
    browser.open(pages["masks"])
    browser.opened()
    assert not browser.one("#slice-label").is_displayed() and browser.all('input[value="errors"]') == []
    assert browser.one("#legend").text == "mask"


def test_the_picture_is_as_wide_as_its_spacing_says(browser, tmp_path):
    evaluation(tmp_path, count=1, spacing=[1.0, 2.0])
    browser.open(write_report([tmp_path], tmp_path / "page.html"))
    browser.opened()
    assert browser.script("const c = document.getElementById('left'); return [c.width, c.height]") == [512, 256]


def test_next_and_previous_follow_the_table(browser, pages):
    browser.open(pages["scores"])
    browser.click('[data-key="name"] button')
    browser.opened(0)
    assert not browser.one("#previous").is_enabled()
    for number in range(1, 12):
        browser.click("#next")
        assert browser.one("#viewer-title").text == f"case_{number}.png"
    assert not browser.one("#next").is_enabled()
    browser.click("#previous")
    assert browser.one("#viewer-place").text == "11 of 12, patient p5"


def test_a_case_is_opened_turned_and_closed_by_the_keyboard_alone(browser, pages):
    from selenium.webdriver.common.keys import Keys

    browser.open(pages["scores"])
    browser.click('[data-key="name"] button')
    browser.script("document.querySelector('.open').focus()")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: browser.one("#viewer").get_attribute("open") is not None)
    browser.one("#viewer").send_keys(Keys.ARROW_RIGHT)
    assert browser.one("#viewer-title").text == "case_1.png"
    browser.one("#sample").send_keys(Keys.ARROW_RIGHT)
    assert browser.one("#viewer-title").text == "case_1.png" and browser.one("#sample").get_property("value") == "1"
    browser.one("#viewer").send_keys(Keys.ESCAPE)
    browser.until(lambda: browser.driver.switch_to.active_element.text == "case_1.png")
    assert not browser.one("#viewer").is_displayed()


def test_a_case_without_pictures_says_why_and_shows_its_numbers(browser, tmp_path):
    evaluation(tmp_path, count=2)
    shutil.rmtree(tmp_path / "cases")
    browser.open(write_report([tmp_path], tmp_path / "page.html"))
    browser.all(".open")[0].click()
    assert "does not exist" in browser.one("#viewer-missing").text and "Dice" in browser.one("#viewer-numbers").text
    assert not browser.one("#viewer-pictures").is_displayed() and browser.errors() == []


def colour_of_ground(browser):
    found = browser.script("return getComputedStyle(document.body).backgroundColor")
    return sum(map(int, found.removeprefix("rgb(").removesuffix(")").split(",")))


def test_the_page_follows_the_system_to_dark_and_the_button_back(browser, pages):
    browser.open(pages["scores"])
    assert colour_of_ground(browser) > 700
    emulated(browser, "dark")
    browser.open(pages["scores"])
    assert colour_of_ground(browser) < 100 and browser.one("#theme").text == "Light"
    browser.click("#theme")
    assert colour_of_ground(browser) > 700 and browser.one("#theme").text == "Dark"


def test_curves_calibration_and_triage_are_drawn(browser, pages):
    browser.open(pages["scores"])
    assert len(browser.all("#training svg")) == 2 and len(browser.all("#calibration svg")) == 2
    assert len(browser.all("#calibration figure:nth-child(2) circle")) == 12
    boxes = [chart.size for chart in browser.all("svg.chart")]
    assert all(box["width"] > 250 and box["height"] > 150 for box in boxes)


def test_everything_has_a_name_for_those_who_do_not_see_it(browser, pages):
    browser.open(pages["volumes"])
    browser.opened()
    unnamed = """return [...document.querySelectorAll("button, input, canvas[role], svg, select")].filter(
        (own) => !(own.getAttribute("aria-label") || own.textContent.trim() || own.labels?.length)).length"""
    levels = "return [...document.querySelectorAll('h1, h2, h3')].map((own) => Number(own.tagName[1]))"
    assert browser.script(unnamed) == 0
    found = browser.script(levels)
    assert found[0] == 1 and all(after - before <= 1 for before, after in zip(found, found[1:], strict=False))


def test_a_narrow_screen_needs_no_sideways_scrolling(browser, pages):
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        browser.open(pages["volumes"])
        browser.opened()
        assert browser.script("return document.documentElement.scrollWidth") <= 390
        assert browser.script("const v = document.getElementById('viewer'); return v.scrollWidth - v.clientWidth") <= 0
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_two_hundred_cases_stay_below_30_megabytes_and_open_within_3_seconds(browser, tmp_path):
    evaluation(tmp_path, count=200, shape=(128, 128), samples=5, steps=8)
    path = write_report([tmp_path], tmp_path / "page.html")
    assert path.stat().st_size < 30_000_000
    times = []
    for _ in range(4):  # the least of them is the page's; others tell of what else the machine does
        browser.open(path)
        assert len(browser.all("#case-table tbody tr")) == 200 and browser.one("#count").text == "200 of 200 cases"
        times.append(browser.script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert 0 < min(times) < 3000
    browser.opened()
    assert browser.errors() == []


def test_the_worst_structure_of_an_image_decides_what_is_worst(browser, pages):
    browser.open(pages["volumes"])
    head = browser.one('[aria-sort="ascending"]')
    assert head.get_attribute("data-key") == "dice_worst"
    worst = [float(cell.text) for cell in browser.all("#case-table tbody td:nth-child(5)")]
    assert worst == sorted(worst)


def test_edges_of_a_volume_have_letters_and_slices_their_axis_where_the_file_says_it(browser, tmp_path, pages):
    facts = {"axis": 1, "axcodes": "PLS", "slices": [0, 2, 4, 6, 8, 10]}
    evaluation(tmp_path, count=1, shape=(20, 24, 6), ending=".nii.gz", **facts)
    browser.open(write_report([tmp_path], tmp_path / "page.html"))
    browser.opened()
    browser.move("slice", 2)
    assert "3 of 6 (slice 4 of the file's y axis, from 0)" in browser.one("#slice-words").text
    assert browser.one("#slice-some").is_displayed() and browser.errors() == []
    edges = {"top": "A", "bottom": "P", "left": "R", "right": "L"}
    assert browser.script("return edgesOf('PLS')") == edges and browser.script("return edgesOf(null)") is None
    white = "const c = document.getElementById(arguments[0]); const d = c.getContext('2d').getImageData("
    white += "c.width - 28, c.height / 2 - 14, 28, 28).data; return d.some((v, k) => k % 4 === 0 && v === 255)"
    assert all(browser.script(white, name) for name in ("left", "right"))
    browser.open(pages["volumes"])
    browser.opened()
    assert not browser.one("#slice-some").is_displayed() and not browser.script(white, "left")
