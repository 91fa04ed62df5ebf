"""The pictures of the tour (minitorch/README.md): a graph as SVG, and the page of a GPT of 12 layers.

    python benchmarks/pictures.py

The page is a screenshot, which needs Chromium and `pip install playwright`. The ladders are drawn by
`minitorch bench matmul --rung all --svg benchmarks/results/ladder-matmul.svg`.
"""
from __future__ import annotations

import shutil
from pathlib import Path

import minitorch as mt
from minitorch import nn
from minitorch.examples.gpt import GPT

FOLDER = Path(__file__).parent / "results" / "tour"


def main() -> None:
    mt.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    points, labels = mt.randn(8, 2), mt.randint(0, 3, (8,))

    def loss_of(x: mt.Tensor, t: mt.Tensor) -> mt.Tensor:
        return nn.functional.cross_entropy(model(x), t)

    mt.viz.graph(loss_of, points, labels).save(FOLDER / "graph.svg")

    gpt, text = GPT(65, width=64, depth=12, heads=4, context=32), mt.randint(0, 65, (2, 32))

    def loss(text: mt.Tensor) -> mt.Tensor:
        return nn.functional.cross_entropy(gpt(text).flatten(0, 1), text.flatten())

    mt.viz.graph(loss, text).save(FOLDER / "gpt.html")
    photograph(FOLDER / "gpt.html", FOLDER / "gpt.png")
    (FOLDER / "gpt.html").unlink()


def photograph(page: Path, picture: Path) -> None:
    """The page as a laptop shows it, after three steps of backward and a click on the last layer."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 760}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        for _ in range(3):
            tab.keyboard.press("ArrowRight")
        tab.locator('g.item:has-text("linear")').first.click()
        tab.get_by_role("button", name="Fit").click()
        tab.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
