"""The burned-in-text example with its real models: seconds an image on two threads, its start, its memory."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.phantom.make_texts import Options
from tests.bench.figures import Figure, write
from tests.builders_texts import an_input

ROOT = Path(__file__).parents[2]
IMAGES = 6
SIZES = {"ultrasound 800 x 600": Options(kind="US", seed=1), "radiograph 1400 x 1200": Options(kind="DX", seed=1), "radiograph 3000 x 2500": Options(kind="CR", seed=1, rows=3000, columns=2500, smallest=24, largest=60)}


def seconds(python: str, folder: Path, options: Options) -> float:
    """One process on one study, from start to exit."""
    for name in ("input", "output"):
        (folder / name).mkdir(parents=True)
    an_input(folder / "input", {"one": options})
    places = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "none.json"}
    program = ROOT / "examples" / "algorithms" / "burned-in-text" / "find_text.py"
    begin = time.perf_counter()
    subprocess.run([python, program], env={**os.environ, **{name: str(path) for name, path in places.items()}}, check=True, capture_output=True)
    took = time.perf_counter() - begin
    assert len(json.loads((folder / "output" / "findings.json").read_text())["findings"]) >= options.texts - 1, "it looked"
    return took


def figures(folder: Path) -> Iterator[Figure]:
    """Seconds an image: the difference of one image and several, so that the start is not in it."""
    python = subprocess.run([ROOT / "cluster" / "algorithm-venv", "burned-in-text"], check=True, capture_output=True, text=True).stdout.strip()
    for number, (name, options) in enumerate(SIZES.items()):
        one = seconds(python, folder / f"{number}-one", options)
        several = seconds(python, folder / f"{number}-several", Options(**{**vars(options), "images": IMAGES}))
        if number == 0:
            yield Figure("burned-in text: start to exit, one ultrasound image", one, "s")
        yield Figure(f"burned-in text: an image more, {name}, 6 lines, 2 threads", (several - one) / (IMAGES - 1), "s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield Figure("burned-in text: memory at most (limit in the example 2048)", peak, "MB", 1536)


def main() -> int:
    with TemporaryDirectory(prefix="gantry-bench-") as folder:
        measured = []
        for figure in figures(Path(folder)):
            print(figure.line(), flush=True)
            measured.append(figure)
    write(measured, ROOT / "build" / "bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
