"""The names that modules had in earlier versions: scripts that import them keep running."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Package: the modules that moved there. ``old=new`` where the name changed too.
_MOVED = {
    "bijections": "base bijection networks layers.batchnorm layers.coupling layers.elementwise "
                  "layers.images layers.linear layers.reshape=multiscale",
    "training": "checkpoint denormals epochs metrics parallel=distributed parts=split "
                "progress recipe",
    "analysis": "explain=equations explore=plane explore_images=images",
    "live": "cameras export reel=thinning shipped=pretrained stills=drawing tiles=thumbnails "
            "warm=warm_up",
    "figures": "figures.layers=overlays figures.live=plane figures.moving=animated "
               "figures.rivals=comparison figures.small=thumbnails "
               "figures.stretch=change_of_variables figures.through=inside figures.tiles=mosaic",
    "data.targets": "data.boards data.curves data.gaussians data.mixture data.pinwheel "
                    "data.quadrature data.rings data.warped",
    "data.uploads": "data.albums data.drawn=drawing data.files data.grey=picture data.tables=table",
    "jobs": "jobs.desk=queued jobs.fair=queue",
    "runs": "runs.kept=run runs.unwatched=direct",
    "server": "admission events=log",
    "commands": "cli=train",
}


def _moves() -> dict[str, str]:
    moves = {"flowlab.layers": "flowlab.bijections"}
    for package, modules in _MOVED.items():
        for module in modules.split():
            old, _, new = module.partition("=")
            moves[f"flowlab.{old}"] = f"flowlab.{package}.{new or old.rpartition('.')[2]}"
    return moves


#: Former name of a module: its name now.
MOVES = _moves()


class Former(MetaPathFinder, Loader):
    """Finds a module by its former name, and gives the module itself, not a copy."""

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVES else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(MOVES[module.__name__])


def install() -> None:
    """Make the former names importable."""
    sys.meta_path.insert(0, Former())
