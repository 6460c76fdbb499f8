"""Exploring a flow in a real browser: layers, time, the way through the flow, a point."""

import re

import pytest
from browser_helpers import at_rest, button, picture, resting_box, says
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SMALL = "epochs=40&points=2000&hidden=16,16&couplings=2&data=moons"


def layer(page, name):
    return page.get_by_role("button", name=name, exact=True)


def view(page, name):
    page.get_by_role("radio", name=name, exact=True).click()


def slider(page, name):
    return page.get_by_role("slider", name=re.compile(name))


def source(page):
    return picture(page).get_attribute("src")


def changes(page, before):
    expect(picture(page)).not_to_have_attribute("src", before)


def size(page):
    box = picture(page).bounding_box()
    return box["width"], box["height"]


def number(page, name):
    return float(page.get_by_role("spinbutton", name=name).input_value())


def settled(page):
    """The picture's address once it stays."""
    at_rest(page)
    return source(page)


@pytest.mark.thorough
def test_layers_time_and_replay(server, page):
    page.goto(f"{server}/realnvp?{SMALL}")
    says(page, "Ready")
    button(page, "Train").click()
    says(page, "Finished Epoch 40 of 40")
    newest = settled(page)
    box = resting_box(picture(page))
    for name in ("Grid", "Contours", "Paths", "Learned − true", "Data"):
        before = settled(page)
        layer(page, name).click()
        changes(page, before)
        assert size(page) == (box["width"], box["height"])
    everything = settled(page)

    slider(page, "Moment of the training").focus()
    page.keyboard.press("Home")
    says(page, r"epoch \d of 40")
    changes(page, everything)
    page.keyboard.press("End")
    says(page, "epoch 40 of 40")
    expect(picture(page)).to_have_attribute("src", everything)
    for name in ("Grid", "Contours", "Paths", "Learned − true", "Data"):
        layer(page, name).click()
    expect(picture(page)).to_have_attribute("src", newest)

    at_rest(page)
    button(page, "Replay").click()
    expect(page.locator("[class*='-replay'] button").first).to_contain_text("Pause")
    says(page, r"epoch ([1-3]?\d) of 40")
    says(page, "epoch 40 of 40")
    expect(button(page, "Replay")).to_be_enabled()
    assert size(page) == (box["width"], box["height"])


def test_through_the_flow_with_a_click_and_play(server, page):
    page.goto(f"{server}/realnvp?{SMALL}")
    says(page, "Ready")
    expect(page.get_by_text("Paths", exact=True)).to_be_visible()  # the row above has its height
    box = resting_box(picture(page))
    view(page, "Through the flow")
    says(page, "Layer 3 of 3")
    assert resting_box(picture(page)) == box
    before, first = settled(page), number(page, "Point to follow, x₁")
    # The plane is 836 pixels of the picture's 1600, from 52 across and 84 down.
    scale = min(box["width"] / 1600, box["height"] / 960)
    left = box["x"] + (box["width"] - 1600 * scale) / 2

    def at(across):
        return round(left + across * scale), round(box["y"] + (84 + 418) * scale)

    page.mouse.click(*at(52 + 209))
    changes(page, before)
    page.wait_for_function("x => [...document.querySelectorAll('input[type=number]')]"
                           ".every(i => i.value !== x)", arg=f"{first:.3f}")
    chosen = number(page, "Point to follow, x₁")
    assert chosen != first

    def follows(across, expected):
        page.mouse.move(*at(across), steps=8)
        page.wait_for_function("([x, same]) => [...document.querySelectorAll('input[type=number]')]"
                               ".some(i => i.value === x) === same",
                               arg=[f"{chosen:.3f}", expected])

    page.mouse.down()  # a drag, there and back
    follows(52 + 500, False)
    follows(52 + 209, True)
    page.mouse.up()
    follows(52 + 500, True)  # no longer held

    before = settled(page)
    slider(page, "Layers passed").focus()
    page.keyboard.press("Home")
    changes(page, before)
    says(page, "Layer 1 of 3")
    at_rest(page)
    button(page, "Play").click()
    says(page, "Layer 3 of 3")
    expect(button(page, "Play")).to_be_visible()
    expect(slider(page, "Layers passed")).to_have_value("3")
    assert size(page) == (box["width"], box["height"])
