"""The page for teachers in a real browser: a link is made, shown as a QR code, and opened."""

import base64
import io
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import segno
from browser_helpers import SECONDS, at_rest, button, says
from PIL import Image
from playwright.sync_api import expect

from flowlab.ui.teach.qr import SCALE

pytestmark = pytest.mark.browser

SETTINGS = "epochs=3&points=300&hidden=8,8&data=circles&seed=4"


def shown_link(page) -> str:
    return page.locator("pre", has_text="://").inner_text().replace("\n", "")


@pytest.mark.thorough
def test_a_teachers_link_is_made_opened_and_kept(server, page, browser):
    page.goto(f"{server}/nice?{SETTINGS}")
    says(page, "Ready")
    at_rest(page)
    button(page, "Share").click()
    page.get_by_role("link", name="Make a link for a class").click()
    expect(page.get_by_role("heading", name="Teach", level=1)).to_be_visible()
    at_rest(page)
    page.get_by_role("combobox", name="Hide controls").click()
    page.get_by_role("option", name="Training (all)").click()
    page.keyboard.press("Escape")
    at_rest(page)
    page.get_by_role("textbox", name="Title").fill("<b>Lesson</b> **1**")
    page.get_by_role("textbox", name="Task").fill(
        "What moves?\n<script>document.title='x'</script>")
    page.keyboard.press("Tab")
    expect(page.locator("pre", has_text="hide=training")).to_contain_text("task=")
    at_rest(page)
    url = shown_link(page)
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["hide"] == "training" and query["data"] == "circles"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == url

    student = browser.new_page()
    student.set_default_timeout(SECONDS)
    student.goto(url)
    expect(student.get_by_text("<b>Lesson</b> **1**")).to_be_visible()
    says(student, "What moves\\?")
    expect(student.get_by_text("<script>")).to_be_visible()
    assert student.title() != "x"
    says(student, "Ready")
    expect(student.get_by_text("Hidden layers", exact=True)).to_have_count(1)
    expect(student.get_by_text("Epochs", exact=True)).to_have_count(0)
    student.get_by_role("link", name="Glow").click()
    expect(student.get_by_role("heading", name="Glow")).to_be_visible()
    student.get_by_role("link", name="NICE").click()
    says(student, "What moves\\?")
    student.wait_for_url("**hide=training*")
    assert dict(parse_qsl(urlsplit(student.url).query)) == query
    student.close()


@pytest.mark.thorough
def test_a_link_with_answers_a_view_and_a_locked_setting_is_what_a_student_sees(server, page,
                                                                                browser):
    page.goto(f"{server}/teach?model=nice&{SETTINGS}&lock=couplings&show=flow&overlays=grid"
              "&expect=Yes|No&title=Guess")
    at_rest(page)
    see = page.get_by_role("link", name="See it as a student")
    assert see.get_attribute("href") == shown_link(page)
    with browser.new_page() as student:
        student.set_default_timeout(SECONDS)
        student.goto(see.get_attribute("href"))
        says(student, "What do you expect")
        at_rest(student)
        student.get_by_role("radio", name="Yes", exact=True).click()
        expect(student.get_by_role("slider", name="Couplings")).to_be_disabled()
        expect(student.get_by_role("radio", name="Through the flow")).to_be_checked()
        expect(student.get_by_role("slider", name="Layers passed")).to_be_visible()


@pytest.mark.thorough
def test_the_code_of_a_step_is_that_of_its_link_and_large(server, page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{server}/teach")
    at_rest(page)
    lab = "http://192.168.1.20:8501"
    page.get_by_role("textbox", name="Address of the lab").fill(lab)
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Watch a flow learn")
    expect(link).to_have_attribute("href", f"{lab}/realnvp?epochs=30"
                                   + link.get_attribute("href").partition("epochs=30")[2])
    at_rest(page)
    button(page.locator(".st-key-teach-step-7"), "QR code").click()
    code = page.get_by_role("dialog").get_by_role("img")
    expect(code).to_be_visible()
    assert code.bounding_box()["height"] >= 450
    content = base64.b64decode(code.get_attribute("src").partition(",")[2])
    modules = np.array(Image.open(io.BytesIO(content)).convert("L"))[::SCALE, ::SCALE] < 128
    wanted = segno.make_qr(link.get_attribute("href"), error="l")
    assert (modules == np.array([*wanted.matrix_iter(border=4)]).astype(bool)).all()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.thorough
def test_a_step_is_changed_and_the_page_comes_back_as_it_was_left(server, page):
    page.goto(f"{server}/teach")
    at_rest(page)
    button(page.locator(".st-key-teach-step-32"), "Change").first.click()
    expect(page.get_by_role("textbox", name="Title")).to_have_value("The lowest KL wins")
    page.wait_for_url("**/teach?model=realnvp*")
    at_rest(page)
    page.get_by_role("textbox", name="Title").fill("The highest")
    page.keyboard.press("Tab")
    page.wait_for_url("**highest**")
    page.reload()
    expect(page.get_by_role("textbox", name="Title")).to_have_value("The highest")
    query = dict(parse_qsl(urlsplit(shown_link(page)).query))
    assert (query["data"], query["lock"]) == ("pinwheel", "data,training")


def test_help_leads_to_the_documentation_or_says_how_to_get_it(server, page):
    page.goto(f"{server}/teach")
    at_rest(page)
    there = page.request.get(f"{server}/app/static/docs/index.html").ok
    if there:
        expect(page.get_by_role("link", name="Help")).to_have_attribute(
            "href", f"{server}/app/static/docs/index.html")
    else:
        button(page, "Help").click()
        says(page, "run make docs")
