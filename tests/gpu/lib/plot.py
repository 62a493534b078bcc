"""Curves over a logarithmic axis as an SVG, without a library."""
import math
from html import escape

COLOURS = ["#2274a5", "#d1495b", "#4c956c", "#e9a820"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 60, 110, 40, 50


def curves(title, x_name, y_name, series):
    """`series`: name to points (x > 0, y in percent)."""
    xs = sorted({x for points in series.values() for x, _ in points})
    low = min(y for points in series.values() for _, y in points)
    # Zero stays in sight unless everything is far from it.
    low = 0 if low < 40 else math.floor(low / 10) * 10
    wide = math.log(xs[-1] / xs[0]) or 1
    at_x = lambda x: LEFT + math.log(x / xs[0]) / wide * (WIDTH - LEFT - RIGHT)
    at_y = lambda y: TOP + (100 - y) / (100 - low) * (HEIGHT - TOP - BOTTOM)
    text = lambda x, y, words, more="": f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'
    parts = [text(LEFT, 20, title, 'font-weight="bold"')]
    for y in range(low, 101, 10 if low else 20):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, at_y(y) + 4, str(y), 'text-anchor="end"'))
    for x in xs:
        parts.append(text(at_x(x), HEIGHT - BOTTOM + 18, f"{x:g}", 'text-anchor="middle"'))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name, 'text-anchor="middle"'))
    parts.append(text(14, HEIGHT / 2, y_name, f'text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})"'))
    # Names stand at the curves' ends, and not on each other.
    named, below = {}, TOP - 14
    for name, points in sorted(series.items(), key=lambda one: -one[1][-1][1]):
        named[name] = below = max(at_y(points[-1][1]) + 4, below + 14)
    for colour, (name, points) in zip(COLOURS, series.items()):
        line = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in points:
            parts.append(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"><title>{escape(name)}: {x:g}, {y:.1f} %</title></circle>')
        parts.append(text(WIDTH - RIGHT + 10, named[name], name, f'fill="{colour}"'))
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {style}>\n' + "\n".join(parts) + "\n</svg>\n"
