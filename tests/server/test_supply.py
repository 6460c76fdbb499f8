"""Locks, licences, the container and the service agree with the project and with each other."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flowlab import __version__
from models import RECIPES

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "tools/locks"
sys.path.append(str(LOCKS))

from licences import licence, names  # noqa: E402

ALL, APP, TORCH, CPU, VERSIONS = ((LOCKS / f"{name}.txt").read_text() for name in (
    "all", "app", "torch", "torch-cpu", "versions"))
WANTED = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines()
          if line and not line.startswith("#")]
#: Copyleft or unstated, and why that is no trouble: nothing of them is given away with the lab.
KNOWN = {"certifi": "MPL-2.0: holds for its own files", "tqdm": "MPL-2.0: holds for its own files",
         "hypothesis": "MPL-2.0; only tests use it",
         "pathspec": "MPL-2.0; only the type checker uses it",
         "docutils": "an editor's file in its source is GPL; only the documentation uses it",
         "cuda-toolkit": "names other packages and has no content"}


def listed():
    """Name, version and licence of each package on the page of licences."""
    page = (ROOT / "docs/source/inside/licences.rst").read_text()
    rows = re.findall(r"   \* - (\S+)\n     - (.+)\n     - (.+)\n", page)
    return {name: (set(versions.split(", ")), licence) for name, versions, licence in rows
            if name != "Package"}


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_what_is_required_is_locked(wanted):
    locked = names(TORCH if wanted.name == "torch" else ALL)
    assert locked[wanted.name] == {next(iter(wanted.specifier)).version}


def test_the_app_needs_no_more_than_the_project_says():
    import tomllib
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {Requirement(line).name for line in project["dependencies"]}
    block = (ROOT / "requirements.txt").read_text().split("# The lab\n")[1].split("\n\n")[0]
    assert {Requirement(line).name for line in block.splitlines()} == named
    assert named - {"torch"} <= names(APP).keys() < names(ALL).keys()


def test_all_locks_have_the_same_versions_and_every_package_its_hashes():
    every = names(ALL) | names(TORCH)
    assert names(VERSIONS) == every
    for name, versions in names(APP).items():
        assert versions == every[name], name
    assert names(CPU)["torch"] == {f"{version}+cpu" for version in every["torch"]}
    for text in (ALL, APP, TORCH, CPU):
        for entry in re.findall(r"^[a-z0-9].*(?:\n +--hash.*)*\n", text, re.MULTILINE):
            assert re.search(r" \\\n +--hash=sha256:[0-9a-f]{64}", entry), entry[:60]
    assert "--hash" not in VERSIONS and "torch==" not in ALL


def test_no_lock_names_where_a_package_came_from():
    for text in (ALL, APP, TORCH, VERSIONS):
        assert not re.search(r"https?:|file:|index|find-links|\s/\w", text)


def test_the_licence_of_every_locked_package_is_listed_and_no_surprise():
    every = names(VERSIONS)
    assert {name: versions for name, (versions, _) in listed().items()} == every
    strange = re.compile(r"GPL|GNU|AGPL|MPL|Mozilla|EUPL|CeCILL|SSPL|copyleft|not stated|"
                         r"Proprietary|Other", re.IGNORECASE)
    found = {name for name, (_, licence) in listed().items()
             if strange.search(licence) and not name.startswith("nvidia-")}
    assert found == KNOWN.keys()


@pytest.mark.parametrize(("metadata", "said"), [
    ({"license_expression": "MIT AND PSF-2.0", "license": "x"}, "MIT AND PSF-2.0"),
    ({"license": "BSD"}, "BSD"),
    ({"license": "Copyright (c) 2015, somebody",
      "classifier": ["License :: OSI Approved :: BSD License", "Topic :: x"]}, "BSD License"),
    ({"license": "A long\ntext"}, "not stated"),
    ({}, "not stated")])
def test_a_licence_is_taken_from_what_a_package_says(metadata, said):
    assert licence(metadata) == said


def test_an_audit_is_of_all_locked_packages_and_fails_where_one_cannot_be_looked_up():
    command = made_by_make("audit").splitlines()[-1].split()
    assert {"--strict", "--require-hashes", "tools/locks/all.txt", "tools/locks/torch.txt"} <= {
        *command}
    assert command[0].endswith("/pip-audit") and "||" not in command


def dockerfile():
    """Its instructions, each on one line, without comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return re.findall(r"^([A-Z]+) (.+)$", re.sub(r"\s*\\\n\s*", " ", text), re.MULTILINE)


def service():
    lines = (ROOT / "deploy/flowlab.service").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name: " ".join(v for n, v in pairs if n == name) for name, _ in pairs}


def made_by_make(target, *more):
    """The commands of a target, as make would run them, in one line."""
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "-B", target, *more], cwd=ROOT, check=True,
        capture_output=True, text=True,
        env={n: v for n, v in os.environ.items() if n not in ("MAKEFLAGS", "MAKELEVEL")}).stdout
    return re.sub(r"\s*\\\n\s*", " ", told)


def test_container_and_service_run_what_make_runs():
    command = made_by_make("run").splitlines()[-1].split()[1:]
    container = json.loads(dict(dockerfile())["CMD"])
    python, *options = service()["ExecStart"].split()
    assert container[1:len(command) + 1] == options[:len(command)] == command
    assert container[len(command) + 1:] == ["--server.address=0.0.0.0", "--server.port=8501"]
    assert options[len(command):] == ["--server.address=127.0.0.1", "--server.port=8501"]
    assert Path(python) == Path(service()["WorkingDirectory"]) / ".venv/bin/python"
    assert (ROOT / command[-1]).is_file()


def test_the_container_installs_as_make_does_with_hashes_only():
    runs = " && ".join(value for name, value in dockerfile() if name == "RUN")
    installs = re.findall(r"-m pip install (.+?)(?= &&|$)", runs)
    assert len(installs) == 2 and all("--require-hashes" in x for x in installs)
    makes = made_by_make("install", "LOCKED=1")
    assert installs[0] in makes and installs[1].replace("app", "all") in makes


def test_the_container_has_all_it_needs_and_no_more():
    instructions = dockerfile()
    names = [name for name, _ in instructions]
    assert names.index("USER") < names.index("CMD") and dict(instructions)["USER"] != "root"
    assert "/_stcore/health" in dict(instructions)["HEALTHCHECK"]
    for path in dict(instructions[:names.index("USER")])["COPY"].split()[:-1] + re.findall(
            r"COPY (.+) \S+\n", (ROOT / "Dockerfile").read_text())[0].split():
        assert (ROOT / path).exists(), path
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {path for line in lines if line.startswith("!") for path in ROOT.glob(line[1:])}
    gone = {path for line in lines[2:] if line[0] not in "!#" for path in ROOT.glob(line)}
    assert lines[1] == "*" and all(any(ROOT.glob(line[1:])) for line in lines if line[0] == "!")
    # The app, its pages and the models, and the modules beside it that they import.
    needed = {"app.py", "models.py", "presentation.py", "flowlab", "static",
              ".streamlit/config.toml", "tools/locks/app.txt", "tools/locks/torch-cpu.txt"}
    models = {path for recipe in RECIPES.values() for path in recipe.folder.iterdir()}
    models = {path for path in models if path.name != "__pycache__"}
    assert models | {ROOT / path for path in needed} <= kept - gone


def test_the_service_writes_only_where_it_may():
    told = service()
    assert told["DynamicUser"] == "yes" and told["ProtectSystem"] == "strict"
    settings = dict(pair.split("=", 1) for pair in told["Environment"].split())
    folders = {value for value in settings.values() if "/" in value}
    assert folders and all(folder.startswith("%S/flowlab") for folder in folders)
    assert told["StateDirectory"] == "flowlab"
    page = told["Documentation"].removeprefix(f"file://{told['WorkingDirectory']}/")
    assert (ROOT / page).is_file()


def test_variables_of_container_and_service_are_the_labs():
    code = "".join(path.read_text() for path in (ROOT / "flowlab").rglob("*.py"))
    told = "".join(v for _, v in dockerfile()) + service()["Environment"]
    for name in set(re.findall(r"FLOWLAB_\w+", told)):
        assert f'"{name}"' in code, name


def test_there_is_one_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert "attr = \"flowlab.__version__\"" in (ROOT / "pyproject.toml").read_text()
    assert __version__ in (ROOT / "docs/source/changelog.rst").read_text()
