"""Own data in a real browser: drawn by mouse, finger and keyboard, uploaded, and trained on."""

import io
import re

import numpy as np
import pytest
from browser_helpers import (
    SECONDS,
    at_rest,
    button,
    download,
    open_data,
    picture,
    resting_box,
    says,
)
from playwright.sync_api import Page, expect

from flowlab.data import store, target

pytestmark = pytest.mark.browser


def open_board(page: Page, server: str, query: str = ""):
    page.goto(f"{server}/nice{query}")
    at_rest(page)
    open_data(page)
    button(page, "Own data: draw, upload").click()
    board = page.locator("canvas[role=application]")
    resting_box(board)  # the dialog has opened
    return board


def stroke(page: Page, board, *places: tuple[float, float]) -> None:
    """Draw with the mouse; places are shares of the board from its upper left corner."""
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=20)
    page.mouse.up()


def strokes(count: int) -> str:
    return f"{count} {'stroke' if count == 1 else 'strokes'}"


def board_holds(page: Page, count: int) -> None:
    """Wait until board and preview show so many strokes."""
    expect(page.locator("output")).to_have_text(strokes(count))
    says(page, f"^A drawing of {strokes(count)}, as a density")


@pytest.mark.thorough
def test_draw_undo_clear_and_train(server, page):
    board = open_board(page, server, "?epochs=3")
    expect(button(page, "Use these data")).to_be_disabled()
    expect(button(page, "Undo")).to_be_disabled()
    stroke(page, board, (0.2, 0.2), (0.8, 0.2))
    board_holds(page, 1)
    stroke(page, board, (0.2, 0.8), (0.8, 0.8), (0.8, 0.5))
    board_holds(page, 2)
    button(page, "Undo").click()
    board_holds(page, 1)
    button(page, "Clear").click()
    says(page, "Nothing yet")
    expect(page.locator("output")).to_have_text("0 strokes")
    stroke(page, board, (0.3, 0.3), (0.7, 0.7))
    board_holds(page, 1)
    button(page, "Use these data").click()
    page.wait_for_url(re.compile(r"data=own-[0-9a-f]{16}"))
    expect(board).not_to_be_attached()
    name = re.search(r"own-[0-9a-f]{16}", page.url)[0]
    points = target(name).sample(1000).numpy()
    # The stroke goes down to the right, within the brush's width of the diagonal.
    assert np.abs(points.sum(axis=1)).max() < 0.8 and np.corrcoef(points.T)[0, 1] < -0.9
    says(page, "A drawing of your own as a density")
    at_rest(page)
    button(page, "Train").click()
    says(page, "Finished Epoch 3 of 3")
    expect(picture(page)).to_be_visible()
    expect(page.get_by_test_id("stMetric").filter(has_text="KL to the truth")).to_contain_text(
        re.compile(r"\d\.\d"))


@pytest.mark.thorough
def test_a_drawing_survives_closing_and_another_way(server, page):
    board = open_board(page, server)
    stroke(page, board, (0.2, 0.5), (0.6, 0.5))
    board_holds(page, 1)
    page.get_by_text("Paste coordinates").click()
    expect(page.get_by_label("Coordinates", exact=True)).to_be_visible()
    page.get_by_text("Draw", exact=True).click()
    board_holds(page, 1)
    page.keyboard.press("Escape")
    expect(board).not_to_be_attached()
    at_rest(page)
    open_data(page)
    button(page, "Own data: draw, upload").click()
    expect(board).to_be_visible()
    board_holds(page, 1)


@pytest.mark.thorough
def test_the_keyboard_draws(server, page):
    board = open_board(page, server)
    board.focus()
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowUp", " "):
        page.keyboard.press(key)
    board_holds(page, 2)
    page.keyboard.press("Control+z")
    board_holds(page, 1)


@pytest.mark.thorough
def test_a_finger_draws_and_does_not_scroll(server, browser):
    context = browser.new_context(has_touch=True, viewport={"width": 1024, "height": 768})
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    board = open_board(page, server)
    box = resting_box(board)
    finger = context.new_cdp_session(page)
    for step in range(21):
        place = {"x": box["x"] + 50 + 10 * step, "y": box["y"] + 60 + 10 * step}
        finger.send("Input.dispatchTouchEvent", {
            "type": "touchMove" if step else "touchStart", "touchPoints": [place]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    board_holds(page, 1)
    assert resting_box(board) == box
    context.close()


@pytest.mark.thorough
def test_upload_a_csv_and_train(server, page):
    open_board(page, server, "?epochs=3")
    page.get_by_text("Upload a file").click()
    table = "x,y\n" + "\n".join(f"{i * 0.37 % 11:.2f},{i * i * 0.7 % 13:.1f}" for i in range(200))
    upload = page.locator("input[type=file]")
    upload.set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": b"x,y\n1,\n2,3\n"})
    says(page, "Line 2 has no value in column y")
    expect(button(page, "Use these data")).to_be_disabled()
    page.locator("input[type=file]").set_input_files(
        {"name": "good.csv", "mimeType": "text/csv", "buffer": table.encode()})
    says(page, "^200 points; x from")
    _, copy = download(page, "Keep a copy")
    copy = np.load(io.BytesIO(copy), allow_pickle=False)
    button(page, "Use these data").click()
    page.wait_for_url("**data=own-*")
    assert store.keep(copy) in page.url
    at_rest(page)
    button(page, "Train").click()
    says(page, "Finished Epoch 3 of 3")
    page.reload()
    open_data(page)
    says(page, "200 points of your own")


@pytest.mark.thorough
def test_the_dialog_and_the_drawing_stay_while_a_training_ends(server, page):
    page.goto(f"{server}/nice?epochs=400&points=500&hidden=8,8")
    at_rest(page)
    button(page, "Train").click()
    says(page, r"Epoch \d+ of 400")
    open_data(page)
    button(page, "Own data: draw, upload").click()
    board = page.locator("canvas[role=application]")
    resting_box(board)
    stroke(page, board, (0.2, 0.5), (0.6, 0.5))
    board_holds(page, 1)
    says(page, "Finished")
    expect(board).to_be_visible()
    board_holds(page, 1)
