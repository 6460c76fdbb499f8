"""Good files and evil ones, small, made in code."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from functools import cache

import numpy as np
import runs_helpers as made
import torch
from helpers import small
from PIL import Image
from safetensors.torch import save

from flowlab.flow_files import FORMAT as FLOW
from flowlab.training import Snapshot
from flowlab.training.checkpoint import FORMAT as CHECKPOINT
from models import RECIPES

ROWS = "\n".join(f"{i}.5,{i * i % 7},{-i}e-1" for i in range(14))


def csv() -> list[bytes]:
    """Tables as text."""
    rng = np.random.default_rng(0)
    tiny = "\n".join(f"{x}e-200,{y}e200" for x, y in rng.normal(size=(12, 2)))
    denormal = "\n".join(f"{i % 3 - 1}e-320,{i}" for i in range(12))
    texts = [ROWS, "x,y,z\n" + ROWS, ROWS.replace(",", ";").replace(".", ","), tiny, denormal,
             ROWS.replace(",", "\t"), ROWS.replace(",", "  "), "# a\n\n" + ROWS, ROWS + "\n1,,2",
             '"x","y","z"\r\n' + ROWS.replace("\n", "\r\n"), "a,b\n" + "x,y\n" * 12, "1,2\n" * 12,
             ",".join("1" * 70), '"' + ROWS, ROWS.replace("\n", "\r"), "nan,inf\n" * 12]
    return [t.encode() for t in texts] + [ROWS.encode("utf-16"), ROWS.encode("utf-8-sig"), b"\0"]


def csv_large() -> list[bytes]:
    """Tables at the limits of size."""
    wide = ",".join(["1"] * 100_000).encode()
    return [b"1,2\n" * 200_001, b"1,2\n" * 1_200_000, b",".join([b"1"] * 100_000) + b"\n", wide,
            b"\n".join([b",".join([b"12"] * 64)] * 52_000), b",".join([b"1.5", b"2"] * 2_400_000),
            b"1.25,-3.5e2\n" * 200_000, b'"' * 9_000_000, b"\n" * 9_900_000, b"1 " * 4_900_000,
            b"\n".join([b"1234567.5 0.25"] * 199_999), (b",".join([b""] * 64) + b"\n") * 156_000,
            b"a," * 30 + b"\n" + (b"\xc3\xa9" * 20 + b",1\n") * 100_000]


def npy_of(array: np.ndarray, **options: bool) -> bytes:
    """An array's file."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy_header(header: str, content: bytes = b"", version: int = 1) -> bytes:
    """A NumPy file with a header that may lie."""
    text = header.encode("utf-8")
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + content


def npy() -> list[bytes]:
    """Arrays: tables and images."""
    rng = np.random.default_rng(0)
    told = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}\n".format
    images = rng.integers(0, 256, (20, 6, 6))
    good = [rng.normal(size=(20, 2)), rng.normal(size=(20, 5)).astype("f4"), images.astype("u1"),
            np.asfortranarray(rng.normal(size=(20, 3))), images[:, None].astype("u1"),
            images / 255, images[..., None].astype("i8"), rng.normal(size=(20, 2)).astype("f2"),
            images > 99, rng.normal(size=(20, 2)).astype(">f8"), np.zeros((20, 2)), np.zeros(5),
            np.zeros((12, 2)) + [[1e-200, 1e200]], np.full((20, 2), np.nan), images * 1j,
            rng.normal(size=(20, 2)) * 1e-200, np.zeros((0, 2)), np.zeros((3, 3, 3, 3))]
    return [*map(npy_of, good), npy_of(np.array([{}] * 20), allow_pickle=True),
            npy_header(told("'<f8'", "(10**9, 2)")), npy_header(told("'<f8'", "(-4, -5)"),
                                                                bytes(160)),
            npy_header(told("'|O'", "(20, 2)"), pickle.dumps(print)),
            npy_header(told("'<f8'", "(4611686018427387904, 4)")),
            npy_header(told("'<f8'", "(0x" + "f" * 6000 + ", 2)")),
            npy_header(told("'<f8'", f"({'1,' * 3000})"), bytes(8)),
            npy_header(told("'<f8'", "(" * 3000 + ")" * 3000)),
            npy_header(told("[('a', '<f8'), ('b', 'O')]", "(20,)"), bytes(320)),
            npy_header("{'descr': '<f8'}" + " " * 60_000, bytes(80), 2),
            npy_header(told("'<f8'", "(True, 2)"), bytes(16)), npy_header("a" * 9000, b"", 3)]


def picture(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], bits: int = 8, kind: int = 0,
        rows: bytes = b"", interlaced: int = 0) -> bytes:
    """A PNG that claims a size, and holds what it is given."""
    def chunk(name: bytes, body: bytes) -> bytes:
        return (struct.pack(">I", len(body)) + name + body
                + struct.pack(">I", zlib.crc32(name + body)))
    size = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def jpeg_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    rng = np.random.default_rng(0)
    content = picture(rng.integers(0, 256, (side, side)).astype("u1"), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    table = content.rindex(b"\xff\xc4", 0, last)
    return content[:-2] + content[table:-2] * scans + b"\xff\xd9"


def pictures() -> list[bytes]:
    """Pictures, good and bad."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (24, 20)).astype("u1")
    rgba = rng.integers(0, 256, (9, 9, 4)).astype("u1")
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = io.BytesIO()
    Image.fromarray(rgba[..., :3]).quantize(8).save(palette, "PNG", transparency=1)
    return [picture(grey), picture(rgba), picture(rgba[..., :3]), picture(grey, "JPEG"),
            picture(rgba[..., :3], "JPEG", progressive=True), picture(grey > 99),
            picture(grey, "JPEG", exif=exif), picture(grey.astype("u2") * 257), palette.getvalue(),
            moving(grey), picture(grey, "GIF"), picture(np.zeros((9, 9), "u1")),
            png(60_000, 60_000), png(0, 0), png(9, 9, rows=bytes(50)), png(2**31 - 1, 2),
            png(4000, 4000, rows=bytes(1000)), png(8, 8, (b"eXIf", b"MM\0*" + b"\xff" * 40),
                                                    rows=(b"\0" + bytes(range(8))) * 8),
            png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7))),
                rows=(b"\0" + bytes(range(8))) * 8), png(8, 8, bits=16, kind=6, rows=bytes(600)),
            picture(rgba, "TIFF"), b"<svg/>", b"%!PS", jpeg_scans(16, 4)]


def moving(grey: np.ndarray) -> bytes:
    """A PNG that moves."""
    file = io.BytesIO()
    frames = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def pictures_large() -> list[bytes]:
    """Pictures at the limits of size, and those that take long for their size."""
    rows = (b"\0" + bytes(4000)) * 4000
    return [png(4000, 4000, rows=rows), png(5000, 5000, rows=bytes(10**6)),
            png(3999, 4000, rows=(b"\1" + bytes(range(250)) * 64)[:15_997] * 4000, kind=6),
            png(4000, 4000, bits=16, rows=(b"\0" + bytes(range(250)) * 32) * 4000),
            png(4000, 4000, rows=rows, interlaced=1), jpeg_scans(3900, 20), jpeg_scans(3900, 800),
            png(4000, 4000, rows=bytes(10**8))]


def packed(files: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    """A zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name.partition("\0")[0] or "empty", content)
    return file.getvalue()


@cache
def album() -> dict[str, bytes]:
    """Names and contents of a good zip of pictures."""
    rng = np.random.default_rng(0)
    return {f"{i}.png": picture(rng.integers(0, 256, (5, 6)).astype("u1")) for i in range(21)}


def lying(content: bytes, name: bytes, size: int) -> bytes:
    """A zip that says of one file, in its directory, that it has another size unpacked."""
    entry = content.rindex(b"PK\1\2", 0, content.rindex(name))
    return content[:entry + 24] + struct.pack("<I", size) + content[entry + 28:]


def zips() -> list[bytes]:
    """Zips of pictures."""
    good = album()
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        for name, content in good.items():
            archive.writestr(name, content)
    return [packed(good), packed(good, zipfile.ZIP_DEFLATED), packed(good, zipfile.ZIP_BZIP2),
            packed(good, zipfile.ZIP_LZMA), linked.getvalue(), packed({}), b"PK\5\6" + bytes(18),
            packed({f"../{n}": c for n, c in good.items()}), packed({**good, "/etc/x.png": b""}),
            packed({**good, "in.zip": packed(good)}), packed({**good, ".png": b"", "a/": b""}),
            packed({**good, "__MACOSX/._1.png": b"x", "a.txt": b"y"}),
            packed({**good, "z.png": png(60_000, 60_000)}), packed({**good, "\ud83d\ude00.png"
                                                            .encode("utf-16", "surrogatepass")
                                                            .decode("utf-16"): b""})]


def zips_large() -> list[bytes]:
    """Bombs, and zips at the limits of size."""
    bomb = bytes(300_000_000)
    flat = packed({**album(), "z.png": bomb}, zipfile.ZIP_DEFLATED)
    bzip = packed({**album(), "z.png": bomb}, zipfile.ZIP_BZIP2)
    squeezed = packed({**album(), "z.png": bomb}, zipfile.ZIP_LZMA)
    big = png(4000, 4000, rows=(b"\0" + bytes(4000)) * 4000)
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000)).astype("u1")
    return [flat, lying(flat, b"z.png", 1000), lying(bzip, b"z.png", 1000),
            lying(squeezed, b"z.png", 1000), packed({f"{i}.png": big for i in range(40)}),
            packed({f"{i}.png": b"" for i in range(300_000)}),
            packed({f"{i}.png": album()["1.png"] for i in range(19_999)}),
            packed({f"{i}.png": picture(noise) for i in range(45)}),
            packed({f"{i}.jpg": picture(noise, "JPEG", quality=30) for i in range(160)}),
            packed({f"{i}.jpg": jpeg_scans(2000, 400) for i in range(22)})]


@cache
def flows() -> tuple[dict[str, bytes], ...]:
    """Good safetensors: a flow of each model, and a checkpoint."""
    found = []
    for name, recipe in RECIPES.items():
        run = made.settings(name, **small(name) | {"hidden": (4,)})
        flow = recipe.model(**dict(run.flow))
        found.append((flow.to_bytes(), run, flow))
    return tuple(found)


def safetensors() -> list[bytes]:
    """Files of flows and checkpoints, good and lying."""
    content, run, flow = flows()[1]
    numbers = {"epoch": 1, "step": 2, "stale": 0, "best": 1.0, "seconds": 0.5,
               "learning_rate": 1e-3, "train_nll": 1.5}
    start = Snapshot.fresh(flow, 1e-3)
    tensors = {"optimiser": start.optimiser, **{f"weights.{n}": w for n, w in
                                                start.weights.items()}}

    def checkpoint(told: object) -> bytes:
        return save(tensors, {"format": CHECKPOINT, "numbers": told if isinstance(told, str)
                              else json.dumps(told)})
    meta = {"format": FLOW, "model": "RealNVP"}
    floats = {n: w.to(torch.float8_e4m3fn) for n, w in flow.state_dict().items()}
    return [*(c for c, _, _ in flows()), checkpoint(numbers), checkpoint("[" * 9000),
            checkpoint(numbers | {"epoch": "x"}), checkpoint(numbers | {"step": 10**400}),
            checkpoint([]), save({}), save(flow.state_dict()),
            huge(),
            save({"a": torch.ones(2)}, meta | {"settings": "[" * 9000}),
            save({"a": torch.ones(2)}, meta | {"model": "Flow", "settings": "{}"}),
            save(floats, meta | {"settings": run.flow.model_dump_json()}),
            save({n: w * float("nan") for n, w in flow.state_dict().items()},
                 meta | {"settings": run.flow.model_dump_json()}),
            b"\xff" * 8 + b"{}", struct.pack("<Q", 2) + b"{}", b"", b"\x80\x04.",
            struct.pack("<Q", 10) + b'{"a":{"dt'[:10],
            lie(content, b'"data_offsets":[0,', b'"data_offsets":[9,'),
            lie(content, b'"F32"', b'"F64"'), lie(content, b'"F32"', b'"I32"')]


def huge() -> bytes:
    """A small file whose settings ask for a flow of half a billion numbers."""
    told = {"event_shape": [4096], "hidden": [1024] * 6, "couplings": 64}
    return save({"a": torch.ones(2)}, {"format": FLOW, "model": "RealNVP",
                                       "settings": json.dumps(told)})


def lie(content: bytes, old: bytes, new: bytes) -> bytes:
    """A safetensors file with something in its header replaced."""
    size, = struct.unpack("<Q", content[:8])
    header = content[8:8 + size].replace(old, new)
    return struct.pack("<Q", len(header)) + header + content[8 + size:]

