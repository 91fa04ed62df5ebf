"""The frame of every page that minitorch writes: one self-contained HTML file, light and dark, for phone and laptop."""
from __future__ import annotations

import html
import json
from typing import Any

# Text and what is drawn with it has a contrast of 4.5 at least on `bg` and `panel`, the categorical colours one of 3.
# These eight were chosen so that any two stay apart under protanopia, deuteranopia and tritanopia (the matrices of
# Machado and others, "A physiologically-based model for simulation of color vision deficiency", 2009).
LIGHT = {"bg": "#ffffff", "panel": "#f4f6f9", "text": "#1b1f27", "muted": "#545c69", "line": "#d3d9e2",
         "strong": "#7f8998", "accent": "#0b57b0", "mark": "#fff0b8", "good": "#18713f", "bad": "#b3261e",
         "c1": "#0c53a4", "c2": "#ed430b", "c3": "#058e87", "c4": "#d260be",
         "c5": "#358bee", "c6": "#8a804d", "c7": "#59464d", "c8": "#631a77"}
DARK = {"bg": "#14171c", "panel": "#1d2128", "text": "#e8ebf0", "muted": "#a3acba", "line": "#343b46",
        "strong": "#6d7787", "accent": "#7db4ff", "mark": "#4c4218", "good": "#6fd194", "bad": "#ff9a90",
        "c1": "#0ec5fa", "c2": "#f2730b", "c3": "#38af73", "c4": "#fa8abc",
        "c5": "#a5ecf7", "c6": "#975a1e", "c7": "#48767b", "c8": "#a868d0"}


def page(title: str, body: str, css: str = "", script: str = "") -> str:
    """A whole HTML document that loads nothing: `body` (HTML) under a heading `title` (text), in our colours.

    Use the colours as `var(--text)`, `var(--c1)`, ...: the names in `LIGHT`. They follow the system's setting, and the
    button in the corner overrides it (`data-theme` of the root). `css` comes after the page's own, `script` runs at
    the end. Raises ValueError where one of them would close its own element.

    >>> text = page("Loss < 1", "<p>It is.</p>")
    >>> text.startswith("<!DOCTYPE html>"), "<title>Loss &lt; 1</title>" in text
    (True, True)
    """
    if "</script" in script.lower() or "</style" in css.lower():
        raise ValueError("page: css and script expect text without closing tags; write '<\\/script' within strings")
    heading = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<link rel="icon" href="data:,">
<style>
{colours()}
{_CSS}
{css}
</style>
</head>
<body>
<header><h1>{heading}</h1>
<button id="theme" type="button" title="Colours: as the system, light, dark"></button></header>
<main>
{body}
</main>
<script>
{_SCRIPT}
{script}
</script>
</body>
</html>
"""


def colours(root: str = ":root") -> str:
    """The rules of CSS that define the colours at `root`, for light and dark; an SVG of its own takes them too."""
    light, dark = ("".join(f"--{name}:{value};" for name, value in theme.items()) for theme in (LIGHT, DARK))
    return (f"{root}{{color-scheme:light;{light}}}\n"
            f"@media (prefers-color-scheme:dark){{{root}:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
            f"{root}[data-theme=dark]{{color-scheme:dark;{dark}}}")


def data(name: str, value: Any) -> str:
    """A `<script>` that holds `value` as JSON; read it by `JSON.parse(document.getElementById(name).textContent)`.

    >>> print(data("rows", ["</script>"]))
    <script type="application/json" id="rows">["\\u003c/script>"]</script>
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{html.escape(name)}">{text}</script>'


_CSS = """\
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{display:flex;align-items:center;gap:12px;justify-content:space-between;padding:12px clamp(12px,3vw,32px);
 border-bottom:1px solid var(--line)}
h1{font-size:20px;margin:0;overflow-wrap:anywhere}
h2{font-size:17px;margin:28px 0 8px}
main{padding:0 clamp(12px,3vw,32px) 32px;max-width:1400px;margin:0 auto}
a{color:var(--accent)}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.92em}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:8px 10px;overflow-x:auto}
button,input,select{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--strong);border-radius:6px;
 padding:4px 10px;min-height:32px}
button{cursor:pointer}
button:hover{border-color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--muted);font-weight:600}
.wide{overflow-x:auto}
.muted{color:var(--muted)}
@media (prefers-reduced-motion:reduce){*{animation:none!important;transition:none!important}}
@media print{header button{display:none}}
"""

# Each click goes on to the next of the three themes. Where a page may keep nothing (a frame without an origin of its
# own), `localStorage` raises, and the choice lasts as long as the page.
_SCRIPT = """\
{
  const themes = ["auto", "light", "dark"], signs = {auto: "◐ auto", light: "☀ light", dark: "☾ dark"};
  const button = document.getElementById("theme");
  let theme = "auto";
  try { theme = localStorage.getItem("minitorch-theme") || theme; } catch (error) { /* no storage here */ }
  const show = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = signs[theme];
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % 3];
    try { localStorage.setItem("minitorch-theme", theme); } catch (error) { /* no storage here */ }
    show();
  });
  show();
}
"""
