"""How much code there is to read of NICE and RealNVP on vectors, here and in zuko.

Counted are the lines of the functions and classes through which a log-density and a sample go,
without docstrings, comments and empty lines. ``python benchmarks/length.py`` prints the two sums;
zuko must be installed (``make benchmark`` installs it), and none of its code is run.
"""

import ast
import io
import tokenize
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = {
    "flowlab/flow.py": "Flow",
    "flowlab/bijections/bijection.py": "Bijection",
    "flowlab/bijections/base.py": "normal_log_prob LOG_PROB SAMPLE",
    "flowlab/bijections/inner.py": "Shift Affine",
    "flowlab/bijections/coupling.py": "Coupling HalvesCoupling VectorCoupling AdditiveCoupling "
                                      "AffineCoupling",
    "flowlab/bijections/elementwise.py": "log_det_of Scaling Standardise",
    "flowlab/bijections/networks.py": "ACTIVATIONS Dense MLP with_class",
    "flowlab/bijections/multiscale.py": "Place",
    "nice/nice.py": "NICE",
    "realnvp/real_nvp.py": "RealNVP",
}
ZUKO = {
    "flows/coupling.py": "GeneralCouplingTransform NICE RealNVP",
    "lazy.py": "LazyDistribution LazyTransform LazyComposedTransform Flow Unconditional "
               "UnconditionalDistribution",
    "transforms.py": "ComposedTransform DependentTransform MonotonicAffineTransform "
                     "CouplingTransform _call_and_ladj",
    "distributions.py": "NormalizingFlow DiagNormal",
    "nn.py": "linear Linear MLP",
    "utils.py": "Partial broadcast unpack",
}


def length(path: Path, names: str) -> int:
    """The lines of code of these definitions of a file.

    Raises
    ------
    ValueError
        When one of them is not there.
    """
    source = path.read_text("utf-8")
    docstrings, wanted, missing = set(), set(), set(names.split())
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            docstrings.update(_lines(node.body[0]))
    for node in ast.parse(source).body:
        targets = getattr(node, "targets", [getattr(node, "target", node)])
        name = getattr(targets[0], "name", getattr(targets[0], "id", None))
        if name in missing:
            missing.remove(name)
            wanted.update(_lines(node))
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}.")
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
             tokenize.ENDMARKER)
    code = {line for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in blank for line in range(token.start[0], token.end[0] + 1)}
    return len((code & wanted) - docstrings)


def _lines(node: ast.AST) -> range:
    return range(node.lineno, node.end_lineno + 1)


def total(folder: Path, parts: dict[str, str]) -> int:
    """The lines of code of these definitions of a folder's files."""
    return sum(length(folder / path, names) for path, names in parts.items())


if __name__ == "__main__":
    print("Flow Lab", total(ROOT, OURS))
    zuko = find_spec("zuko")
    print("zuko", total(Path(zuko.origin).parent, ZUKO) if zuko else "is not installed")
