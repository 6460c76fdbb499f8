"""Own data on a page, driven by Streamlit's test harness."""

import numpy as np
import pytest
from files_helpers import ROWS, image, npy, ramp
from pages_helpers import SMALL, opened, page, run, status, until, upload, use

from flowlab.data import store, target
from flowlab.data.own import own
from flowlab.data.uploads.drawing import BOARD, BRUSHES, CORNER, MAX_CORNERS, drawn

pytestmark = pytest.mark.usefixtures("workers_end")


def test_a_csv_is_looked_at_chosen_from_and_trained_on():
    app = opened("file", **SMALL)
    assert app.button(key="own.use").disabled
    text = "name,a,b,c\n" + "\n".join(f"n,{i % 7},{i % 5},{i % 3}" for i in range(60))
    upload(app, "my points.csv", text.encode())
    assert any("60 points" in c.value for c in app.caption)
    app.selectbox(key="own.y.3").set_value(2)
    run(app)
    points = target(use(app)).sample(100)
    assert np.array_equal(np.unique(points[:, 1]), [0, 1, 2])
    assert not [b for b in app.button if b.key == "own.use"]  # the dialog is closed
    assert app.slider(key="nice.nonoise").disabled
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    assert {m.label: m.value for m in app.metric}["KL to the truth"] == "–"


def test_a_picture_and_a_numpy_file():
    app = upload(opened("file"), "PICTURE.PNG", image(ramp()))
    app.selectbox(key="own.dense").set_value("dark")
    run(app)
    assert any("12 × 8 pixels" in c.value for c in app.caption)
    assert np.array_equal(store.load(use(app)), 255 - ramp())
    app = upload(opened("file"), "points.npy", npy(np.arange(40.0).reshape(20, 2)))
    assert target(use(app)).columns == 2


def test_the_same_column_for_both_axes_gets_a_sentence():
    text = "\n".join(f"{i % 7},{i % 5},{i % 3}" for i in range(60))
    app = upload(opened("file"), "a.csv", text.encode())
    app.selectbox(key="own.y.3").set_value(0)
    run(app)
    assert "same column" in app.error[0].value and app.button(key="own.use").disabled


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.csv", b"x,y\n1,2\n", "1 point"), ("a.csv", b"\xff\xfe1", "UTF"), ("a.npy", b"no", "NumPy"),
    ("a.csv", ROWS.encode() + b"\n1,[x](y)", "\\[x\\]\\(y\\)"), ("a.png", ROWS.encode(), "picture"),
    ("a.jpeg", image(ramp())[:-20], "damaged"), ("../../etc/passwd.csv", b"a,b", "no numbers"),
])
def test_a_wrong_file_gets_its_sentence_and_cannot_be_used(name, content, words):
    app = upload(opened("file"), name, content)
    assert len(app.error) == 1 and words in app.error[0].value
    assert app.button(key="own.use").disabled


def test_pasted_coordinates():
    app = opened("paste")
    app.text_area(key="own.text").set_value(ROWS.replace(",", " "))
    run(app)
    name = use(app)
    again = run(page("nice", data=name))
    assert not again.error and again.session_state["nice.data"] == name
    assert any("20 points" in c.value for c in again.caption)


def test_a_link_to_own_data_that_are_not_here_gets_one_sentence():
    app = run(page("nice", data="own-0123456789abcdef", seed="5"))
    assert len(app.error) == 1 and "draw or upload them again" in app.error[0].value
    assert app.session_state["nice.data"] == "moons"
    assert app.number_input(key="nice.seed").value == 5


def test_own_data_that_vanish_while_the_page_is_open():
    name = store.keep(np.random.default_rng(5).normal(size=(30, 2)).astype(np.float32))
    app = run(page("nice", data=name))
    (store.folder() / f"{name}.npy").unlink()
    own.cache_clear()
    run(app)
    assert "again" in app.error[0].value and "Ready" in status(app)
    assert app.session_state["nice.data"] == "moons"


def test_all_columns_of_a_table_are_learned_together():
    app = opened("file", **SMALL)
    text = "a,b,c\n" + "\n".join(f"{i % 7},{i % 5},{i % 3}" for i in range(60))
    upload(app, "table.csv", text.encode())
    app.segmented_control(key="own.columns").set_value("All")
    run(app)
    assert any("of 3 numbers" in c.value for c in app.caption)
    assert target(use(app)).columns == 3
    assert not any(control.label == "View" for control in app.segmented_control)
    app.button(key="nice.train").click()
    run(app)
    until(app, "Finished")
    assert not app.error and not app.exception


def test_a_drawing_is_stored_as_its_strokes():
    corners = drawn([[BRUSHES[0], 0, 0, BOARD - 1, BOARD - 1], [BRUSHES[1], BOARD // 2, 0]])
    assert corners.dtype == CORNER
    assert corners.tolist() == [(0, BRUSHES[0], 0, 0), (0, BRUSHES[0], BOARD - 1, BOARD - 1),
                                (1, BRUSHES[1], BOARD // 2, 0)]


WIDE = BRUSHES[1]


@pytest.mark.parametrize(("strokes", "words"), [
    ("text", "damaged"), ([1, 2], "damaged"), ([[WIDE, 1.5, 2]], "damaged"),
    ([[WIDE, True, 2]], "damaged"), ([[WIDE, -1, 2]], "damaged"), ([[WIDE, BOARD, 2]], "damaged"),
    ([[WIDE, 1, 2, 3]], "damaged"), ([[WIDE], [WIDE]], "damaged"), ({"a": 1}, "damaged"),
    ([[WIDE, None, 1]], "damaged"), ([[WIDE, "1", "2"]], "damaged"), ([], "damaged"),
    ([[BRUSHES[0] - 1, 5, 5]], "damaged"), ([[WIDE + 1, 5, 5]], "damaged"),
    ([[WIDE, *[0, 0] * (MAX_CORNERS + 1)]], "damaged"),
    ([[WIDE, *[0, 0] * (2 * MAX_CORNERS)]], "too many"),
    ([[BRUSHES[0], *[0, 0, BOARD - 1, 0] * 20]], "broader brush"),
])
def test_a_broken_drawing_gets_its_sentence(strokes, words):
    with pytest.raises(ValueError, match=words):
        drawn(strokes)


def table(rows: int) -> bytes:
    return ("x,y\n" + "\n".join(f"{i % 17},{i % 13}" for i in range(rows))).encode()


@pytest.mark.parametrize(("query", "rows", "epochs", "words"), [
    ({}, 1354, 500, "40 epochs would be 200 steps: set to 500."),
    ({"batch_size": "64"}, 1354, 147, "40 epochs would be 680 steps: set to 147."),
    ({"epochs": "30"}, 1354, 30, "30 epochs are 150 steps: 500 would make about 2,500"),
    ({}, 30_000, 40, ""),
])
def test_few_own_points_get_epochs_enough_unless_somebody_set_them(query, rows, epochs, words):
    app = upload(opened("file", **query), "points.csv", table(rows))
    use(app)
    assert app.number_input(key="nice.epochs").value == epochs
    assert app.query_params.get("epochs", "40") == str(epochs)
    said = [c.value for c in app.caption if "epochs" in c.value]
    assert (words in said[0]) if words else not said
    if query:
        return
    app.button(key="nice.choose.spiral").click()  # other data have enough points again
    run(app)
    assert app.number_input(key="nice.epochs").value == 40


def test_a_link_to_own_points_keeps_the_epochs_it_says():
    name = store.keep(np.random.default_rng(6).normal(size=(1354, 2)).astype(np.float32))
    app = run(page("nice", data=name))
    assert app.number_input(key="nice.epochs").value == 40
    assert any("40 epochs are 200 steps" in c.value for c in app.caption)
