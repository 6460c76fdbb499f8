"""What a table keeps: rows and columns that can be left out, names, and sentences on the rest."""

import json

import numpy as np
import pytest
from pages_helpers import opened, run, upload, use

from flowlab.commands import compare as comparison
from flowlab.commands import train
from flowlab.commands.sweep import main as sweep_main
from flowlab.data import store, target
from flowlab.data.uploads.caveats import caveats, outliers
from flowlab.data.uploads.files import keep_file, read_file
from flowlab.data.uploads.leaving import points
from flowlab.data.uploads.table import read_text
from flowlab.live.cameras import camera
from flowlab.studies import sweep
from models import RECIPES
from nice import train_nice

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(2000, 2)).round(6)


def text(rows, heading="length,width\n") -> str:
    return heading + "\n".join(",".join(map(str, row)) for row in rows)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "own"))


def written(tmp_path, content: str) -> str:
    path = tmp_path / "table.csv"
    path.write_text(content)
    return str(path)


WITH_GAPS = text(NORMAL[:60].tolist() + [["", 1.5], [2.5, "NA"], ["#N/A", "#REF!"]])
WITH_OUTLIER = text(NORMAL.tolist() + [[1e6, 0]])
INDEXED = text([[i, *row] for i, row in enumerate(NORMAL[:60].tolist())], ",length,width\n")
KINDS = {"gaps": (WITH_GAPS, 60), "outliers": (WITH_OUTLIER, 2000)}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_left_out_on_the_command_line(kind, tmp_path):
    content, count = KINDS[kind]
    path = written(tmp_path, content)
    name, sentences = keep_file(path, leave_out=f"index,{kind}")
    assert target(name).sample(10_000).shape == (count, 2)
    assert any(s.startswith("Left out: ") for s in sentences)
    np.testing.assert_allclose(store.load(name), NORMAL[:count], rtol=1e-6)


def test_the_command_line_offers_what_it_does_not_leave_out(tmp_path):
    with pytest.raises(ValueError, match="these 3 rows out with --leave-out index,gaps.$"):
        read_file(written(tmp_path, WITH_GAPS))
    _, sentences = keep_file(written(tmp_path, WITH_OUTLIER))
    assert "Line 2,002 stretches the scale: 1e+06 in column length" in " ".join(sentences)
    assert sentences[-1] == "--leave-out index,outliers leaves this outlier out."


def test_the_index_is_left_out_unless_asked_for(tmp_path):
    path = written(tmp_path, INDEXED)
    name, sentences = keep_file(path)
    assert store.load(name).shape == (60, 2) and target(name).names == ("length", "width")
    assert "Left out: the first column" in " ".join(sentences)
    name, sentences = keep_file(path, leave_out="nothing")
    assert store.load(name).shape == (60, 3)
    assert sentences[-1] == "--leave-out index leaves the first column out."
    with pytest.raises(ValueError, match="leave_out is 'x'"):
        keep_file(path, leave_out="x")


def test_every_command_reads_files_and_leaves_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLOWLAB_RUNS", str(tmp_path / "runs"))
    path = written(tmp_path, WITH_GAPS)
    options = ["--data", path, "--leave-out", "gaps", "--epochs", "1", "--no-keep"]
    assert train.main(train_nice.Run, train_nice.train, "nice.train_nice", options) == 0
    assert "Left out: 3 rows" in capsys.readouterr().out
    assert comparison.main(["--data", path]) == 2
    assert "--leave-out index,gaps" in capsys.readouterr().err
    plan = tmp_path / "sweep.toml"
    plan.write_text(f'model = "nice"\n[settings]\ndata = {json.dumps(path)}\n[sweep]\n'
                    "couplings = [2, 4]\n")
    assert sweep_main([str(plan), "--dry"]) == 2
    assert "--leave-out index,gaps" in capsys.readouterr().err
    assert sweep_main([str(plan), "--dry", "--leave-out", "gaps"]) == 1
    assert "own-" in capsys.readouterr().out
    assert sweep.SweepSettings.read(plan).settings["data"] == path


@pytest.mark.usefixtures("workers_end")
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_left_out_on_the_page(kind):
    content, count = KINDS[kind]
    app = upload(opened("file"), "a.csv", content.encode())
    box = app.checkbox(key=f"own.leave.{kind}")
    assert box.label == f"Leave {'these 3 rows' if kind == 'gaps' else 'this outlier'} out"
    assert bool(app.error) == (kind == "gaps") and not box.value
    box.set_value(True)
    run(app)
    assert not app.error and any(f"{count:,} points" in c.value for c in app.caption)
    name = use(app)
    assert len(store.load(name)) == count and target(name).names == ("length", "width")


@pytest.mark.usefixtures("workers_end")
def test_the_index_is_left_out_on_the_page_and_comes_back():
    app = upload(opened("file"), "a.csv", INDEXED.encode())
    assert any("length from" in c.value for c in app.caption)
    app.checkbox(key="own.leave.index").set_value(False)
    run(app)
    assert app.selectbox(key="own.x.3").options[0] == "index"


def test_heavy_tails_and_rare_clusters_are_no_outliers():
    for column in (RNG.normal(size=2000), RNG.exponential(size=2000), RNG.standard_t(3, size=2000),
                   RNG.uniform(size=2000), np.r_[RNG.normal(size=1900), RNG.normal(8, 1, 100)],
                   np.arange(20.0), np.r_[np.zeros(99), 1]):
        assert not outliers(np.stack([column, column], 1)).any()


@pytest.mark.parametrize("count", [12, 100, 2000])
@pytest.mark.parametrize("value", [1e6, -1e30, 1e3])
def test_what_stretches_the_scale_is_found(count, value):
    values = RNG.normal(size=(count, 3))
    values[count // 2, 1] = value
    found = outliers(values)
    assert found.sum() == 1 and found[count // 2, 1]


def said(*columns) -> str:
    values = np.stack(columns, axis=1)
    return " ".join(caveats(values, tuple("abc"[:len(columns)])))


X, Y = RNG.normal(size=(2, 2000))


@pytest.mark.parametrize(("columns", "words"), [
    ((X, RNG.integers(0, 5, 2000)), "Column b takes only 5 different values"),
    ((X, Y.round(1)), "Column b takes only"), ((X, X), "Column a follows from b"),
    ((X, 1.8 * X + 32), "Column a follows from b"), ((X, Y, X - Y), "a follows from b and c"),
    ((X, np.where(X > 0, Y, 0)), "Column b is 0 in"),
])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_columns_whose_density_has_no_end_get_a_sentence(columns, words, kind):
    assert words in said(*(np.asarray(c, dtype=kind) for c in columns))


def test_ordinary_columns_get_none():
    assert said(X, X + 0.1 * Y) == "" and said(X.round(3), Y.round(3)) == ""
    assert said(X[:12], Y[:12]) == ""


def test_the_sentences_stand_beside_the_points():
    content = text([[x, i % 3] for i, x in enumerate(NORMAL[:60, 0].tolist())])
    _, notes = points(read_text(content.encode()), (0, 1), lambda *_: False)
    assert "Column width takes only 3 different values" in " ".join(notes)


NAMES = ("length (cm)", "price $ of $5", "_a_", "a name that is much longer than all others")


@pytest.mark.quick("3")
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_columns_keep_their_names_in_pictures(columns):
    name = store.keep(RNG.normal(size=(60, columns)).astype(np.float32), NAMES[:columns])
    for model, recipe in RECIPES.items():
        taking = camera(recipe.Run.from_flat({"data": name}), "light")
        shown = {text.get_text() for axes in taking.picture.figure.axes for text in axes.texts}
        for given in NAMES[:columns]:
            assert any(given[:12] in text for text in shown), (model, given)
        assert taking.picture.png()


def test_names_are_kept_beside_the_data_and_do_not_rename_them():
    array = RNG.normal(size=(60, 2)).astype(np.float32)
    name = store.keep(array)
    assert target(name).names == ()  # as those that are kept already
    assert store.keep(array, ("a", "b")) == name and target(name).names == ("a", "b")
    assert store.keep(array) == name and target(name).names == ("a", "b")
    assert store.keep(array, ("c", "d")) == name and target(name).names == ("c", "d")
    for wrong in ("[]", "{", '{"columns": [1, 2]}', '{"columns": ["a"]}'):
        (store.folder() / f"{name}.json").write_text(wrong)
        assert target(name).names == ()


def test_names_go_with_the_data(monkeypatch):
    monkeypatch.setattr(store, "MAX_FILES", 2)
    for _ in range(4):
        store.keep(RNG.normal(size=(60, 2)).astype(np.float32), ("a", "b"))
    assert len(list(store.folder().iterdir())) == 4


def test_a_training_says_it_with_the_columns_names():
    array = np.stack([X[:60], np.arange(60) % 3], axis=1).astype(np.float32)
    run = train_nice.Run.from_flat({"data": store.keep(array, ("length", "kind")), "epochs": 1,
                                    "hidden": (8,), "couplings": 2})
    *_, last = train_nice.train(run)
    assert last.reason.startswith("Column kind takes only 3 different values")
