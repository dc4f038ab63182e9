"""What all pictures share: looks, axes with units, output files, the command line.

A picture is a Picture of Panels; a Panel draws on one axes. A script turns a result into pictures and
knows nothing of files; report.py puts the same pictures on a page. Series are told apart by colour,
line style and marker, parts by colour and hatch, so that everything reads in black and white. Output
is the same bytes for the same input.
"""

import argparse
import contextlib
import io
import logging
import math
import os
import re
import sys
import tempfile
import textwrap
import warnings

import ringresult
from ringresult import Bad, Nothing

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # drawing has no use for more, and they cost time

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import (FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter,
                                   NullLocator)
except ImportError as missing:
    sys.exit(f"{missing}: Debian's python3-matplotlib and python3-numpy are needed; run with /usr/bin/python3")

# Okabe and Ito's colours without yellow: apart for colour-blind eyes; "Color Universal Design", 2008.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
FILLS = ("full", "left", "top", "right", "bottom")
# Parts of the energy: (colour, hatch).
PART_LOOKS = {"idle": ("#E3E3E3", ""), "compute": ("#D55E00", "//"), "network": ("#56B4E9", ".."),
              "switch": ("#404040", ""), "total": ("#FFFFFF", "xx")}
GREY = "#666666"


def _configure():
    matplotlib.rcdefaults()  # not what the user's matplotlibrc says: the same bytes for everyone
    matplotlib.rcParams.update({
        "svg.hashsalt": "ringtmp", "svg.fonttype": "path", "font.family": "DejaVu Sans",
        "text.parse_math": False, "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8.5, "lines.linewidth": 1.5,
        "lines.markersize": 5, "hatch.linewidth": 0.6, "axes.grid": True, "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.spines.top": False,
        "axes.spines.right": False, "savefig.dpi": 150, "figure.facecolor": "white",
    })
    # Labels in scripts that DejaVu lacks come out as boxes; that is not worth a warning each.
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    # Absurd numbers (an iteration of 1e-300 s) make axes overflow before their limits are set.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="matplotlib")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


_configure()


class Panel:
    """One axes. draw(axes) does all but the title; legend: entries that only this panel needs."""

    def __init__(self, title, draw, height=2.6, legend=()):
        self.title, self.draw, self.height, self.legend = title, draw, height, list(legend)


class Picture:
    """Panels with one legend. together: they share their x axis and are drawn one above the other;
    wide: they need the width of a desk, a phone scrolls. width: inches, None: by the
    columns. notes: sentences about what is missing."""

    def __init__(self, key, title, meaning, panels, legend=(), origin="", notes=(), together=False,
                 wide=False, columns=2, width=None):
        self.key, self.title, self.meaning, self.panels = key, title, meaning, panels
        self.legend, self.origin, self.notes = list(legend), origin, list(notes)
        self.together, self.wide, self.columns, self.width = together, wide, columns, width


# ---- looks ----

class Looks:
    """The look and the place of each series. A strategy has one colour and one marker in all pictures of its
    files, whichever of them they show: both go by its place among all labels there. No two of 77 strategies have the
    same pair, and the line style, that of print and of colour-blind eyes, tells 385 apart. The series of one strategy
    (points of a sweep, worlds) differ by line style, then by which part of the marker is filled."""

    def __init__(self, labels, series):
        """labels: all strategies in order; series: (label, name) of every line, in order."""
        places = {label: i for i, label in enumerate(labels)}
        self.place = {}  # name -> (strategy, how-manieth of its series)
        taken = {}
        for label, name in dict.fromkeys(series):
            if name not in self.place:
                self.place[name] = (places[label], taken.setdefault(label, 0))
                taken[label] += 1

    def line(self, name, **other):
        i, k = self.place[name]
        look = {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[(i + k) % len(LINES)],
                "marker": MARKERS[i % len(MARKERS)], "fillstyle": FILLS[k // len(LINES) % len(FILLS)]}
        look.update(other)
        return look

    def entry(self, name, **other):
        return legend_line(name, **self.line(name, **other))

    def sorted(self, names):
        return sorted(dict.fromkeys(names), key=self.place.get)


def looks_of(result, series=None):
    """The looks of all pictures of a result. series: (label, name) of the lines, where a picture gives them other
    names than the result does."""
    return Looks(result.all_labels, series or [(run.label, result.series(run)) for run in result.runs])


def entries_of(result, looks, names):
    """Legend entries of lines, and of what has none because its training diverged, in order."""
    own = looks_of(result)
    found = [(looks.place[name], looks.entry(name)) for name in names]
    found += [(own.place[run_name], legend_line(f"{run_name}: {word}", **own.line(run_name, linestyle="none")))
              for run_name, word in ((result.series(run), word) for run, word in result.diverged())]
    return [entry for _, entry in sorted(found, key=lambda item: item[0])]


def legend_line(name, **look):
    return Line2D([], [], **look), name


def legend_patch(name, colour, hatch=""):
    return Patch(facecolor=colour, hatch=hatch, edgecolor="black", linewidth=0.5), name


def short(name, width=34):
    """A name for a legend or an axis: of a long one both ends, as points of a sweep differ in the last.
    matplotlib leaves out names that begin with "_"."""
    if len(name) > width:
        end = (width - 2) // 2
        name = name[: width - 2 - end] + ".." + name[-end:]
    return " " + name if name.startswith("_") else name


# ---- axes ----

def formatter(unit):
    return FuncFormatter(lambda value, _: ringresult.tick(value, unit))


def scale_axis(axes, which, values, unit, label=None, wide=4.0):
    """An axis of positive quantities: logarithmic where they differ more than `wide`-fold, else from
    0; ticks are never so dense that they touch, and carry the unit."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    values = [v for v in values if v is not None and v > 0]
    low, high = (min(values), max(values)) if values else (1, 1)
    low = max(low, 1e-12 * high)  # no axis shows more
    if high > wide * low:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        decades = math.log10(high / low)
        fine = which == "y"  # its labels are low and many fit
        subs = ((1, 1.2, 1.5, 2, 3, 5, 7) if decades < 0.7 else (1, 2, 5) if decades < (2 if fine else 1.3)
                else (1, 3) if decades < 3.2 and fine else (1,))
        axis.set_major_locator(LogLocator(subs=subs, numticks=7))
        axis.set_minor_locator(LogLocator(subs=range(2, 10), numticks=30) if decades < 4 else NullLocator())
        pad = (high / low) ** 0.06
        limits = (low / pad, high * pad)
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, steps=(1, 2, 5, 10)))
        limits = (0, 1.12 * high)
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    axis.set_major_formatter(formatter(unit))
    axis.set_minor_formatter(NullFormatter())
    if label:
        (axes.set_xlabel if which == "x" else axes.set_ylabel)(label)


def nodes_axis(axes, counts):
    """Nodes, by doublings, with a tick at each count that was run as far as there is room."""
    counts = sorted(set(counts))
    axes.set_xscale("log", base=2)
    kept = []
    room = math.log2(counts[-1] / counts[0]) / 9 if counts[-1] > counts[0] else 1
    for count in reversed(counts):
        if not kept or math.log2(kept[-1] / count) >= room:
            kept.append(count)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    pad = (counts[-1] / counts[0]) ** 0.05 if len(counts) > 1 else 1.5
    axes.set_xlim(counts[0] / pad, counts[-1] * pad)
    axes.set_xlabel("nodes")


# ---- figures ----

def _legend(axes, entries, width):
    axes.axis("off")
    if entries:
        axes.legend([handle for handle, _ in entries], [short(name) for _, name in entries], loc="center",
                    ncol=_legend_columns(entries, width), frameon=False, handlelength=3.2,
                    columnspacing=1.4, borderaxespad=0)


def _legend_columns(entries, width):
    inches = 0.65 + 0.072 * max((len(short(name)) for _, name in entries), default=1)
    return max(1, min(len(entries), int(width / inches)))


def figure(picture, panels=None, columns=None, width=None, heading=True):
    """The panels (all of them) in columns, the legend below, or in the place they leave free."""
    panels = panels or picture.panels
    columns = 1 if picture.together else min(columns or picture.columns, len(panels))
    width = width or picture.width or (10 if picture.wide else 5 if columns == 1 else 4.3 * columns)
    rows = -(-len(panels) // columns)
    heights = [max(p.height for p in panels[r * columns:(r + 1) * columns]) for r in range(rows)]
    legend = picture.legend + [entry for panel in panels for entry in panel.legend]
    legend = list({name: (handle, name) for handle, name in legend}.values())
    room = rows > 1 and len(panels) % columns  # a free place beside the last panels
    legend_rows = -(-len(legend) // _legend_columns(legend, width)) if legend and not room else 0
    if legend_rows:
        heights.append(0.21 * legend_rows + 0.08)
    titles = textwrap.wrap(picture.title, int(width * 10)) + textwrap.wrap(picture.origin, int(width * 12))
    total = sum(heights) + (0.2 * len(titles) + 0.1 if heading else 0)
    fig = Figure(figsize=(width, total), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06, h_pad=0.04, hspace=0.02, wspace=0.03)
    grid = fig.add_gridspec(len(heights), columns, height_ratios=heights)
    first = None
    for i, panel in enumerate(panels):
        axes = fig.add_subplot(grid[i // columns, i % columns], sharex=first if picture.together else None)
        first = first or axes
        panel.draw(axes)
        if panel.title:
            axes.set_title("\n".join(textwrap.wrap(panel.title, int(width / columns * 12))), loc="left")
        if picture.together and i + 1 < len(panels):
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
    if legend_rows:
        _legend(fig.add_subplot(grid[-1, :]), legend, width)
    elif legend:
        _legend(fig.add_subplot(grid[rows - 1, room:]), legend, width / columns * (columns - room))
    if heading:
        fig.suptitle("\n".join(titles), fontsize=10.5)
    return fig


def svg(fig):
    stream = io.BytesIO()
    fig.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    lines = re.sub(rb"<!--.*?-->", b"", stream.getvalue(), flags=re.S).split(b"\n")
    return b"\n".join(stripped for stripped in map(bytes.strip, lines) if stripped) + b"\n"


def png(fig):
    stream = io.BytesIO()
    fig.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def write_file(path, data):
    """Whole and on the disk, or not at all; a device or a pipe is written to, not replaced."""
    if ringresult.is_input(path):
        raise Bad(f"{path}: that is what was read: another file is wanted to write")
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as stream:
                stream.write(data)
        else:
            _replace(path, data)
    except OSError as error:
        raise Bad(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path, data):
    """By a file beside it of a name that nobody guesses, which is new: no link is followed."""
    folder = os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(prefix="." + os.path.basename(path)[:40] + ".", dir=folder)
    try:
        with open(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)  # as any other file
            os.fsync(handle)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    place = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some file systems cannot
        os.fsync(place)
    os.close(place)


def write_pictures(pictures, out):
    """OUT.png and OUT.svg, or the one that OUT ends with; OUT-KEY where there are several pictures."""
    base, ending = os.path.splitext(out)
    if ending.lower() not in (".png", ".svg"):
        base, ending = out, ""
    names = []
    for picture in pictures:
        name = f"{base}-{picture.key}" if len(pictures) > 1 else base
        for kind, convert in ((".png", png), (".svg", svg)):
            if ending.lower() in ("", kind):
                write_file(name + kind, convert(figure(picture)))
                names.append(name + kind)
    return names


# ---- command line ----

def parser(doc, inputs="result"):
    """A parser whose help is the script's text: first paragraph, options, then the examples."""
    about, _, examples = doc.partition("\nExamples:\n")
    p = argparse.ArgumentParser(description=about, epilog="examples:\n" + examples if examples else None,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    if inputs == "result":
        p.add_argument("result", nargs="+", metavar="RESULT.json",
                       help="what ringsim or ringnode wrote with --json; several are drawn together")
        p.add_argument("--only", action="append", metavar="KEY=VALUE", help="only these runs: label, kind, "
                       "nodes or a key of the sweep (repeatable)")
    return p


def guarded(body, argv):
    """Run a script's body: exit status 0 or what it returns, or 2 with one line on bad input."""
    try:
        status = body(argv)
    except (Bad, Nothing) as error:
        print(f"{os.path.basename(sys.argv[0]) or 'analysis'}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 2
    return status or 0


def command(doc, key, pictures, argv=None, options=None):
    """The whole of a picture script: options(parser) adds some, pictures(result, args) draws."""

    def body(argv):
        p = parser(doc)
        p.add_argument("-o", "--out", metavar="OUT", help="write OUT.png and OUT.svg, or only the one that "
                       "OUT ends with (default: RESULT-%s)" % key)
        if options:
            options(p)
        args = p.parse_args(argv)
        result = ringresult.load(args.result).only(args.only)
        try:
            drawn = pictures(result, args)
        except Nothing as error:
            raise Bad(f"{', '.join(args.result)}: " + "; ".join([str(error)] + result.unfinished())) from None
        finish(drawn, args.out or f"{result.name}-{key}")

    return guarded(body, argv)


def finish(drawn, out):
    for name in write_pictures(drawn, out):
        print(name)
    for note in dict.fromkeys(note for picture in drawn for note in picture.notes):
        print(f"note: {note}")
