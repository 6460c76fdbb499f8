"""The floors of the code, drawn from its imports.

A room is a package or a loose file of ``flowlab``, a model's folder, or a program beside them. Its
name here is its path, inside ``flowlab`` without the folder and the ending. An arrow is drawn
where a file of one room imports from another, also within a function.

``python floors.py CHECKOUT FILE.svg`` draws another checkout.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx  # PyTorch requires it
from matplotlib import rc_context
from matplotlib.figure import Figure
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[3]
#: The order of the floors, the lowest first; no room imports from a floor above its own.
FLOORS = (
    "settings files former",
    "flow flow_files flow_input distribution bijections flowlab",
    "data",
    "training",
    "analysis figures web",
    "jobs",
    "live",
    "runs",
    "studies",
    "server",
    "commands ui sweep comparison explorable status limits",
    "models",
    "models.py",
    "app.py presentation.py lesson_plan.py tools/",
)
NO_ROOMS = ("tests", "docs", "benchmarks", "static")


class Code(nx.DiGraph):
    """Rooms, and an edge from each to every other that it imports from.

    Parameters
    ----------
    root : pathlib.Path
        A checkout.

    Attributes
    ----------
    files : dict
        The path of each module, by its name.
    lines : int
        Lines of all modules.
    """

    def __init__(self, root: Path = ROOT) -> None:
        super().__init__()
        paths = [path.relative_to(root) for path in sorted(root.glob("**/*.py"))]
        self.files = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): root / path
                      for path in paths if path.parts[0] not in NO_ROOMS
                      and not path.parts[0].startswith(".")}
        self.lines = sum(path.read_text("utf-8").count("\n") for path in self.files.values())
        for name in self.files:
            self.add_node(self.room(name))
            for imported in self.imports(name):
                if imported in self.files and self.room(imported) != self.room(name):
                    self.add_edge(self.room(name), self.room(imported))

    def imports(self, name: str) -> Iterator[str]:
        """The modules that a module imports, also within its functions."""
        path = self.files[name]
        package = name.split(".")[:None if path.name == "__init__.py" else -1]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[:len(package) - node.level + 1] if node.level else []
                module = ".".join([*above, *filter(None, [node.module])])
                for part in (f"{module}.{alias.name}" for alias in node.names):
                    yield part if part in self.files else module

    def room(self, name: str) -> str:
        """The room of a module."""
        first, *rest = name.split(".")
        if first == "flowlab":
            return rest[0] if rest else "flowlab"
        return f"{first}/" if rest or self.files[name].name == "__init__.py" else f"{first}.py"

    @property
    def loose(self) -> list[str]:
        """The files that lie in ``flowlab`` beside its packages."""
        return [path.stem for path in self.files.values() if path.parent.name == "flowlab"
                and path.stem != "__init__"]

    def ranks(self) -> list[list[str]]:
        """Rooms by the longest way down from them, the lowest first; a circle is one step."""
        steps = nx.condensation(self)
        return [sorted(room for step in rank for room in steps.nodes[step]["members"])
                for rank in nx.topological_generations(steps.reverse())]

    def circles(self) -> list[list[str]]:
        """The rooms that import each other, on whatever way."""
        return [sorted(c) for c in nx.strongly_connected_components(self) if len(c) > 1]

    def counts(self) -> str:
        """The size of the whole in a line."""
        return (f"{len(self.ranks())} floors, {len(self)} rooms, {len(self.loose)} loose files in "
                f"flowlab, {self.size()} arrows, {len(self.circles())} circles, "
                f"{self.lines:,} lines")


def floor(room: str) -> int:
    """The number of the floor that a room belongs to; a folder beside ``flowlab`` is a model's."""
    named = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
    return named["models" if room.endswith("/") and room not in named else room]


def draw(code: Code, title: str, floors: list[list[str]]) -> Figure:
    """Draw the rooms on floors; of two ways down the longer is stronger, and the way up is red."""
    widest = max(map(len, floors))
    place = {room: ((i + 0.5) * widest / len(rooms) + 0.2 * (height % 3 - 1), height)
             for height, rooms in enumerate(floors) for i, room in enumerate(rooms)}
    figure = Figure((11, 0.62 * len(floors) + 0.9), layout="constrained")
    axes = figure.add_subplot(title=f"{title}: {code.counts()}")
    axes.set(xlim=(-0.2, widest + 0.2), ylim=(-0.6, len(floors) - 0.4))
    axes.set_axis_off()
    direct = nx.transitive_reduction(code) if not code.circles() else code
    for start, end in code.edges:
        (_, top), (_, bottom) = place[start], place[end]
        axes.annotate("", place[end], place[start], arrowprops={
            "arrowstyle": "-|>", "color": "#c62828" if top < bottom else "#3d5a80",
            "alpha": 0.9 if direct.has_edge(start, end) else 0.15, "linewidth": 0.8,
            "shrinkA": 9, "shrinkB": 9,
            "connectionstyle": f"arc3,rad={0.25 if top == bottom else 0}"})
    for room, (x, y) in place.items():
        colour = "#fdf3e3" if room in code.loose or room.endswith(".py") else "#e3ecf7"
        axes.text(x, y, room, ha="center", va="center", fontsize=8.5, zorder=3, bbox={
            "boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#5b6675",
            "linewidth": 0.8})
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a drawing, the same for the same code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "floors"}):
        figure.savefig(path, metadata={"Date": None})


def _now(code: Code) -> Figure:
    floors = [[room for room in code if floor(room) == number] for number in range(len(FLOORS))]
    return draw(code, "Now", floors)


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw the floors before the pages are read."""
    app.connect("builder-inited", lambda app: save(
        _now(Code()), Path(app.srcdir) / "generated" / "floors.svg"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    code = Code(Path(sys.argv[1]))
    save(draw(code, "Before", code.ranks()), Path(sys.argv[2]))
