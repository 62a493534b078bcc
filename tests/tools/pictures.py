"""Pictures of what nvshare shows, from the real programs: a scheduler, tenants on simulated GPUs, and `nvsharectl top` on a
terminal of its own, whose screen is drawn as SVG.

usage: pictures.py PROGRAMS LIBRARY DIRECTORY     PROGRAMS: where nvshare-scheduler, nvsharectl, load, several and
libfakecuda.so are; LIBRARY: libnvshare.so. Needs pyte.
"""

import fcntl
import html
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pyte

COLUMNS, LINES = 120, 32
# Of a terminal that is dark, by pyte's names.
COLOURS = {
    "default": "#d0d0d0",
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#ffffff",
    "brightblack": "#7f848e",
    "brightwhite": "#ffffff",
}
GROUND = "#1e1e1e"
CELL, ROW = 8.4, 18


def colour(name, otherwise):
    if name == "default":
        return otherwise
    return COLOURS.get(name.replace("bright", "") if name not in COLOURS else name, f"#{name}")


def svg(screen, title):
    """The screen, a run of equal cells at a time."""
    width, height = screen.columns * CELL + 24, screen.lines * ROW + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="6" fill="{GROUND}"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
    ]
    for line in range(screen.lines):
        cells, column = screen.buffer[line], 0
        while column < screen.columns:
            first, begin = cells[column], column
            text = ""
            while column < screen.columns and style(cells[column]) == style(first):
                text += cells[column].data
                column += 1
            front, back, bold = style(first)
            x, y = 12 + begin * CELL, 12 + line * ROW
            if back != GROUND:
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{(column - begin) * CELL:.1f}" height="{ROW}" fill="{back}"/>'
                )
            weight = ' font-weight="bold"' if bold else ""
            # Words by themselves, for not every reader keeps blanks; exactly as wide as their cells, whatever the font is.
            for words in re.finditer(r"\S+(?: \S+)*", text):
                parts.append(
                    f'<text x="{x + words.start() * CELL:.1f}" y="{y + 13.5}" textLength="{len(words[0]) * CELL:.1f}" '
                    f'lengthAdjust="spacingAndGlyphs" fill="{front}"{weight}>{html.escape(words[0])}</text>'
                )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def style(cell):
    front, back = colour(cell.fg, COLOURS["default"]), colour(cell.bg, GROUND)
    return (back, front, cell.bold) if cell.reverse else (front, back, cell.bold)


class World:
    """A scheduler, and tenants on two simulated cards."""

    def __init__(self, programs, library, place):
        self.programs, self.library, self.place, self.started = programs, library, place, []
        os.mkdir(place / "lib")
        os.mkdir(place / "card")
        os.symlink((programs / "libfakecuda.so").resolve(), place / "lib" / "libcuda.so.1")
        self.runtime = place / "run"
        (place / "config.toml").write_text('[limits]\nweight = 4\npriority = "high"\n[memory]\nnvml = ""\n')
        self.start(
            [programs / "nvshare-scheduler", "--runtime-dir", self.runtime, "--config", place / "config.toml"], {}
        )

    def start(self, words, more):
        with open(self.place / "log", "a") as log:
            self.started.append(
                subprocess.Popen(
                    [str(word) for word in words],
                    env={**os.environ, **more},
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                )
            )

    def tenant(self, words, **more):
        self.start(
            words,
            {
                "LD_PRELOAD": str(self.library),
                "NVSHARE_SOCKET": str(self.runtime / "tenants" / "scheduler.sock"),
                "LD_LIBRARY_PATH": str(self.place / "lib"),
                "FAKECUDA_DIR": str(self.place / "card"),
                "FAKECUDA_DEVICES": "2",
                "FAKECUDA_BYTE_SCALE": "512",
                "FAKECUDA_TIME_SCALE": "25",
                **more,
            },
        )

    def ctl(self, *words):
        return [str(self.programs / "nvsharectl"), "--runtime-dir", str(self.runtime), *words]

    def until(self, what, holds):
        """Waits for a status of which this holds."""
        for _ in range(600):
            done = subprocess.run(self.ctl("status", "--json"), check=False, capture_output=True, text=True)
            if done.returncode == 0 and holds(json.loads(done.stdout)):
                return
            time.sleep(0.05)
        sys.exit(f"never seen: {what}; {(self.place / 'log').read_text()[-2000:]}")

    def end(self):
        for process in reversed(self.started):
            process.kill()
            process.wait()


def watch(words, until, seconds):
    """What a program has on its screen, once `until` holds of its text; it then ends as a user ends it, with q."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
        os.execv(words[0], words)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    os.kill(child, signal.SIGWINCH)
    last, seen = time.monotonic() + seconds, False
    while time.monotonic() < last and not seen:
        if select.select([terminal], [], [], 0.3)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                break
        else:
            # A whole picture: nothing more comes for now.
            seen = until("\n".join(screen.display))
    os.write(terminal, b"q")
    os.waitpid(child, 0)
    return screen if seen else sys.exit("the screen never was as it must be:\n" + "\n".join(screen.display))


def worth_a_picture(text):
    """Every tenant is there, somebody waits, and the graphs have a past."""
    there = text.count("load") >= 4 and "several" in text and "waiting" in text and "running" in text
    return there and sum(text.count(bar) for bar in "▁▂▃▄▅▆▇█") > 300


def main(programs, library, directory):
    programs, library, directory = pathlib.Path(programs), pathlib.Path(library).resolve(), pathlib.Path(directory)
    with tempfile.TemporaryDirectory() as place:
        world = World(programs, library, pathlib.Path(place))
        try:
            world.until("a scheduler", lambda status: True)
            load = programs / "load"
            # Two that do not fit together, one that mostly sleeps, one with a limit and of low priority; one on both cards.
            for _ in range(2):
                world.tenant([load, "--bytes", str(20 << 20)])
            world.tenant([load, "--bytes", str(4 << 20), "--rest-ms", "700"], NVSHARE_WEIGHT="2")
            world.tenant([load, "--bytes", str(6 << 20)], NVSHARE_MEM_LIMIT="16MiB", NVSHARE_PRIORITY="low")
            world.tenant([programs / "several", "--devices", "1", "--bytes", str(6 << 20), "--seconds", "600"])
            world.until("five tenants", lambda status: len(status["tenants"]) == 5)
            world.until("hand-overs", lambda status: any(gpu["handovers"] >= 4 for gpu in status["gpus"]))
            screen = watch(world.ctl("top", "-d", "0.5"), worth_a_picture, 90)
        finally:
            world.end()
    directory.mkdir(parents=True, exist_ok=True)
    picture = directory / "top.svg"
    picture.write_text(svg(screen, "nvsharectl top: five tenants on two GPUs"))
    print(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
