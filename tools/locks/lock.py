"""Pins every package with the hashes of its files: ``make lock``.

From ``requirements.txt`` uv resolves what Linux, macOS and Windows need with any Python from 3.11:

- ``all.txt``: everything but PyTorch; ``app.txt``: the part of it that the lab needs to run;
- ``torch.txt``: PyTorch as PyPI has it, on Linux with CUDA;
- ``torch-cpu.txt``: PyTorch's small build for Linux, from an index of its own;
- ``versions.txt``: the same versions without hashes, for ``pip install -c``.

What is pinned stays as it is; ``--upgrade`` takes the newest versions that fit.
"""

import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parents[1] / "requirements.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu/torch/"
#: PyTorch, and what PyPI's build for Linux needs on an NVIDIA card.
CUDA = re.compile(r"(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")
#: A wheel of the CPU build, of a version that is put in, and its hash.
WHEEL = (r"torch-%s%%2Bcpu-cp3\d\d-cp3\d\d-manylinux\w+_(?:x86_64|aarch64)\.whl"
         r"#sha256=([0-9a-f]{64})")
HEADER = "# Made by `make lock`; do not change it by hand.\n"


def resolve(requirements: Path, *options: str | Path, start: str = "") -> str:
    """What uv makes of requirements, with hashes; versions in `start` are kept where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "lock.txt"
        out.write_text(start)
        # Neither settings of this machine nor its mirror get into the files.
        subprocess.run([sys.executable, "-m", "uv", "--no-config", "--quiet", "pip", "compile",
                        requirements, "--universal", "--python-version", "3.11", "--no-header",
                        "--generate-hashes", "--no-annotate", "--default-index",
                        "https://pypi.org/simple", *options, "--output-file", out], check=True)
        return out.read_text()


def entries(lock: str) -> list[str]:
    """The packages of a lock file, each with its hashes."""
    return re.findall(r"^[a-z0-9].*(?:\n +--hash.*)*\n", lock, re.MULTILINE)


def names(lock: str) -> dict[str, set[str]]:
    """The versions of each package of a lock file; several where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def app_requirements(text: str) -> str:
    """The first block of the requirements: what the lab needs to run."""
    return text.split("# The lab\n")[1].split("\n\n")[0]


def cpu_hashes(version: str) -> list[str]:
    """Hashes of PyTorch's CPU wheels, from its index; empty where that cannot be reached."""
    try:
        page = urllib.request.urlopen(CPU_INDEX, timeout=20).read().decode()
    except OSError:
        return []
    return sorted(set(re.findall(WHEEL % re.escape(version), page)))


def write(name: str, parts: list[str], comment: str = "") -> None:
    """One of the files."""
    (HERE / name).write_text(HEADER + comment + "".join(parts))


def main() -> None:
    """Write all files."""
    options = ["--upgrade"] if "--upgrade" in sys.argv else []
    before = "".join(path.read_text() for path in (HERE / "all.txt", HERE / "torch.txt")
                     if path.exists())
    lock = entries(resolve(REQUIREMENTS, *options, start=before))
    torch = [entry for entry in lock if CUDA.match(entry)]
    rest = [entry for entry in lock if not CUDA.match(entry)]
    write("torch.txt", torch, "# PyTorch from PyPI; on Linux with CUDA.\n")
    write("all.txt", rest, "# All that `make install` installs, PyTorch apart.\n")
    write("versions.txt", [re.sub(r" \\\n.*", "\n", entry, flags=re.DOTALL) for entry in lock])
    version, = names("".join(torch))["torch"]
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app.txt"
        app.write_text(app_requirements(REQUIREMENTS.read_text()))
        found = entries(resolve(app, "--constraints", HERE / "versions.txt"))
    write("app.txt", [entry for entry in found if not CUDA.match(entry)],
          "# What the lab needs to run, PyTorch apart.\n")
    hashes = cpu_hashes(version)
    if hashes:
        write("torch-cpu.txt", [f"torch=={version}+cpu"]
              + [f" \\\n    --hash=sha256:{value}" for value in hashes] + ["\n"],
              f"# PyTorch's build without CUDA for Linux, from {CPU_INDEX}\n")
    elif f"torch=={version}+cpu " in (HERE / "torch-cpu.txt").read_text():
        print(f"{CPU_INDEX} cannot be reached: torch-cpu.txt stays as it is.")
    else:
        sys.exit(f"{CPU_INDEX} cannot be reached, and torch-cpu.txt is of another version: run "
                 "this again where it can.")


if __name__ == "__main__":
    main()
