"""For the operator of the lab: its counters, its version on every page, and the diagnostics."""

import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import streamlit as st
import torch

from flowlab import __version__
from flowlab.jobs import Engine
from flowlab.jobs.local import cores
from flowlab.runs import Store
from flowlab.server import log as events
from flowlab.server import status
from flowlab.ui.app.documentation import draw_help
from flowlab.ui.app.state import session
from flowlab.ui.app.visitor import leave

PACKAGES = ("streamlit", "torch", "numpy", "matplotlib", "scikit-learn", "scipy", "pydantic",
            "safetensors", "pillow", "ray")
#: Values of the lab's variables that diagnostics show; of others they show only that they are set.
PUBLIC = re.compile(r"[0-9.]{1,12}|local|ray|debug|info|warning|error|on|off|yes|no|true|false")
MOST_LOGGED = 100  # refused inputs of a session
OPTIONS = ("server.maxUploadSize", "server.disconnectedSessionTTL", "client.showErrorDetails")

log = logging.getLogger(__name__)


def started(engine: Engine) -> None:
    """Log that the lab has started."""
    log.info("lab started", extra={"facts": {
        "version": __version__, "engine": _name(engine), "cores": cores(),
        "python": platform.python_version(), "torch": torch.__version__}})


def counters(engine: Engine, store: Store) -> dict[str, Any]:
    """The counters of this process, and those that only a server has."""
    return {"version": __version__} | status.numbers(
        engine.states(), sessions=_sessions(), disk_used_bytes=store.used(),
        disk_budget_bytes=store.quota, disk_free_bytes=shutil.disk_usage(store.folder).free)


class Refresher:
    """Writes the counters to the folder of runs.

    Parameters
    ----------
    engine : Engine
    store : Store
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store, self._well = engine, store, True

    def write(self) -> None:
        """Write them; a failure is logged, and further ones only after a success."""
        try:
            status.write(self.store.folder, counters(self.engine, self.store))
            self._well = True
        except Exception:
            if self._well:
                log.exception("The counters could not be written")
            self._well = False


def refused(kind: str, sentence: str) -> None:
    """Log a refused input, once for each sentence that a session sees."""
    logged = session().refused
    if len(logged) < MOST_LOGGED and (kind, sentence) not in logged:
        logged.add((kind, sentence))
        log.info("input refused", extra={"facts": {"kind": kind}})


def diagnostics(engine: Engine, store: Store) -> str:
    """What helps to find a fault, as JSON.

    It has no user's data: no names, titles, texts, paths, addresses, nor an id that opens a run.
    """
    return json.dumps({
        "flow-lab": __version__, "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cores": cores(), "torch_threads": torch.get_num_threads(),
        "engine": _name(engine),
        "settings": settings(os.environ),
        "options": {name: st.get_option(name) for name in OPTIONS},
        "local_only": st.get_option("server.address") in ("127.0.0.1", "localhost", "::1"),
        "counters": counters(engine, store),
        "log": [json.loads(line) for line in events.recent()],
    }, indent=1)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The lab's variables; a folder, a name or a secret is shown only as ``(set)``."""
    return {name: value if PUBLIC.fullmatch(value.lower()) and not re.search(
                "KEY|SECRET|TOKEN|PASS", name) else "(set)"
            for name, value in sorted(environment.items()) if name.startswith("FLOWLAB_")}


def about(engine: Engine, store: Store) -> None:
    """Draw the version at the end of the sidebar; the diagnostics open from it."""
    with st.sidebar.container(horizontal=True, vertical_alignment="center", key="foot"):
        draw_help()
        foot = st.container(width="content")
    with foot.popover(f"Flow Lab {__version__}", type="tertiary", key="about"):
        st.markdown(f"**Flow Lab {__version__}**  \nPython {platform.python_version()}, "
                    f"PyTorch {torch.__version__}, Streamlit {st.__version__}")
        st.download_button(
            "Diagnostics", lambda: diagnostics(engine, store),
            f"flowlab-{__version__}-diagnostics.json", "application/json",
            icon=":material/download:", on_click="ignore", key="diagnostics",
            help="For the person who looks after this lab: versions, settings, counters and the "
            "newest log lines. It contains nothing of yours: no names, data, links or addresses.")
        leave()


def _name(engine: Engine) -> str:
    return type(engine).__name__.lower()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _sessions() -> int | None:
    """Open pages, as Streamlit counts them; None outside a server."""
    if not st.runtime.exists():
        return None
    family = "active_sessions"
    found = st.runtime.get_instance().stats_mgr.get_stats([family]).get(family, ())
    return int(sum(getattr(stat, "value", 0) for stat in found))
