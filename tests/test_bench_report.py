"""The report, the plots and the comparison of benchmark runs: as XML, in a real browser, and as statistics."""
from __future__ import annotations

import copy
import doctest
import json
import math
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import bench_runs
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from bench import compare, plots, plots_parts, plots_svg, report, report_data

from minitorch.viz.page import DARK, LIGHT

PLOTS = [plots.ladder, plots.roofline, plots.sweep, plots.peers]
NASTY = '<b>&"\'</script><script>alert(1)</script>\x07'


def awkward() -> dict[str, dict]:
    """Runs as they should not be, but may."""
    whole = bench_runs.run(threads=(1,), dtypes=("float32",))
    runs = {"whole": whole, "empty": {**whole, "results": []}, "one": {**whole, "results": whole["results"][3:4]},
            "bare": {"format": whole["format"], "results": whole["results"]}}
    for name in ("failed", "extreme", "not finite", "noisy", "named", "alone"):
        runs[name] = copy.deepcopy(whole)
    for i, r in enumerate(runs["failed"]["results"]):
        r |= {"seconds": None, "GFLOP/s": None, "GB/s": None, "share": None, "trusted": False,
              "why": "FAILED: differs by 1.0, allowed 1e-4"} if i % 2 else {}
    for i, r in enumerate(runs["extreme"]["results"]):
        factor = 10.0 ** (8 * (i % 5 - 2))
        r["seconds"] = {k: v * factor if k != "count" else v for k, v in r["seconds"].items()} if r["seconds"] else None
        r["GFLOP/s"] /= factor
        r |= {"moved": r["moved"] * factor, "size": 10.0 ** (i % 12)}
    for i, r in enumerate(runs["not finite"]["results"]):
        key = ("GFLOP/s", "flops", "size", "share", "moved", "cold")[i % 6]
        r[key] = None if key == "cold" else (math.nan, math.inf, 0.0, -1.0)[i % 4]
        if r["seconds"] and i % 3 == 0:
            r["seconds"]["low"], r["seconds"]["high"] = math.nan, math.inf
    for r in runs["noisy"]["results"]:
        r |= {"trusted": False, "why": "spread 90 %: more than 20 %"}
    for r in runs["named"]["results"]:
        r |= {key: NASTY + str(r[key]) for key in ("case", "contestant", "idea", "version", "library", "dtype")
              if r[key] not in (None, "minitorch")}
    runs["named"]["machine"]["processor"] = NASTY
    runs["alone"]["results"] = [r for r in whole["results"] if r["library"] == "minitorch"]
    return runs


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
@pytest.mark.parametrize("name", list(awkward()))
def test_plots_are_xml_within_their_box(name, plot):
    for kernel in ("matmul", "softmax", "unknown"):
        for width, alone in ((640, False), (360, False), (plots_parts.ALONE, True)):
            text = plot(awkward()[name], kernel, width=width, alone=alone)
            if not text:
                assert kernel != "matmul" or name in ("empty", "one", "alone", "not finite", "extreme")
                continue
            root = ElementTree.fromstring(text)
            across, down = (float(v) for v in root.get("viewBox").split()[2:])
            assert across == width and 0 < down < 20_000
            for shape in root.iter():
                for key in ("x", "y", "width", "height", "cx", "cy", "r", "d", "transform"):
                    numbers = [float(n) for n in re.findall(r"-?(?:nan|inf|[\d.]+(?:e[+-]?\d+)?)", shape.get(key, ""))]
                    assert all(math.isfinite(n) for n in numbers)
                    assert key not in ("x", "cx") or all(-1 <= n <= across + 1 for n in numbers)
                    assert key not in ("y", "cy") or all(-1 <= n <= down + 1 for n in numbers)
            assert "nan" not in root.get("aria-label").lower()


def test_the_ladder_tells_what_it_should():
    text = plots.ladder(bench_runs.run(), "matmul", threads=2, dtype="float32")
    words = " ".join("".join(t.itertext()) for t in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text"))
    for number, (name, _, idea) in enumerate(bench_runs.RUNGS):
        assert f"{number}  {name}" in words and all(word in words for word in idea.split())
    assert "the machine's limit: 420" in words and "torch" in words and "18.0" not in words
    assert words.count("not trusted") == 1 and text.count("noisy\"") == 1  # the third rung alone
    assert "prefers-color-scheme:dark" in text and "var(--text)" in text
    assert plots.ladder(bench_runs.run(), "softmax") == "" == plots.sweep(bench_runs.run(), "softmax")


def test_what_is_not_trusted_is_drawn_apart():
    run = bench_runs.run(threads=(1,), dtypes=("float32",))
    sure, doubtful = (plots.sweep(r, "matmul", alone=False) for r in (
        {**run, "results": [{**r, "trusted": True} for r in run["results"]]}, awkward()["noisy"]))
    assert "noisy" not in sure and sure.count("band") == 4 * 5
    assert "band" not in doubtful and doubtful.count('class="mark s1 noisy"') == 6
    page = report.html(awkward()["noisy"])
    assert "0 of 39" in page and "as fast as" not in page.split("</style>")[1].split("<h2>")[0]


def test_variants_of_a_kernel_have_lines_of_their_own_in_a_sweep():
    run = bench_runs.run(threads=(1,), dtypes=("float32",))
    ours = [r for r in run["results"] if r["size"] and r["contestant"] == "minitorch blas"]
    plot = plots.sweep({**run, "results": [{**r, "case": f"{name}, {r['size']}"} for r in ours
                                           for name in ("Adam", "AdamW")]}, "matmul", width=640)
    assert "minitorch blas, Adam:" in plot and "minitorch blas, AdamW:" in plot


def test_names_are_escaped():
    page = report.html(awkward()["named"])
    assert NASTY[:5] not in page and "alert(1)</script>" not in page and "&lt;b&gt;&amp;" in page


def test_the_modules_examples():
    for module in (compare, plots, plots_parts, plots_svg, report, report_data):
        assert not doctest.testmod(module).failed


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(theme):
    def luminance(name):
        parts = [int(theme[name][i:i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
                   for w, c in zip((0.2126, 0.7152, 0.0722), parts))

    def contrast(a, b):
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ink, ground in [("text", "bg"), ("muted", "bg"), ("muted", "panel"), ("text", "panel"), ("text", "mark"),
                        ("bg", "accent"), ("bg", "text")]:
        assert contrast(ink, ground) >= 4.5, (ink, ground)
    assert all(contrast(f"c{i}", "bg") >= 3 for i in range(1, 9))


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no page can be opened")
    if not shutil.which("chromium"):
        pytest.skip("no chromium: no page can be opened")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, path, width=1400, scheme="light"):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", [400, 700, 1400])
@pytest.mark.parametrize("name", ["whole", "named", "extreme", "failed", "empty", "bare"])
def test_page_fits_and_is_legible(browser, tmp_path, name, width):
    report.write(awkward()[name], str(tmp_path / "report.html"))
    page = opened(browser, tmp_path / "report.html", width, "dark" if width == 700 else "light")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    texts = page.evaluate("""() => [...document.querySelectorAll("svg.plot text")]
        .filter(t => t.getClientRects().length).map(t => {
          const svg = t.ownerSVGElement, box = t.getBoundingClientRect(), frame = svg.getBoundingClientRect();
          return [parseFloat(getComputedStyle(t).fontSize) * frame.width / svg.viewBox.baseVal.width,
                  box.left - frame.left, frame.right - box.right, t.textContent]; })""")
    assert bool(texts) == (name != "empty")
    for size, left, right, text in texts:
        assert size >= 10 and left >= -1 and right >= -1, text
    assert page.errors == []
    page.close()


def test_the_file_of_a_plot_is_legible_on_a_phone(browser, tmp_path):
    (tmp_path / "ladder.svg").write_text(plots.ladder(bench_runs.run(), "matmul"), encoding="utf-8")
    assert plots_svg.SIZE * 368 / plots_parts.ALONE >= 10  # 400 pixels without the page's margins
    grounds = []
    for scheme in ("light", "dark"):
        page = opened(browser, tmp_path / "ladder.svg", scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.querySelector('rect')).fill"))
        assert page.errors == []
        page.close()
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 28)"]


def test_page_answers(browser, tmp_path):
    report.write(bench_runs.run(), str(tmp_path / "report.html"))
    page = opened(browser, tmp_path / "report.html")
    seen = """[...document.querySelectorAll("section")].filter(section => !section.hidden)
        .map(section => section.dataset.threads + section.dataset.dtype)"""
    assert page.evaluate(seen) == ["1float32"] * 2
    page.click("[data-value=float64]")
    page.click("[data-value='2']")
    assert page.evaluate(seen) == ["2float64"] * 2
    mark = page.locator("section:not([hidden]) .at640 .mark").nth(1)
    mark.hover()
    assert "minitorch compiled" in page.inner_text("#tip") and "2 threads" in page.inner_text("#tip")
    page.keyboard.press("Escape")
    assert not page.is_visible("#tip")
    page.locator("section:not([hidden]) .at640 .mark").first.focus()
    page.keyboard.press("ArrowDown")
    assert "minitorch compiled" in page.inner_text("#tip")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.click("section:not([hidden]) th button:text-is('time')")
    values = page.evaluate("""[...document.querySelector('section:not([hidden]) tbody').rows]
        .map(row => Number(row.cells[2].dataset.sort))""")
    assert len(values) == 33 and values == sorted(values)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == before  # paper is white
    assert not page.is_visible(".controls") and page.errors == []
    page.close()


def result(rng, median, spread, count=20, **facts):
    entry = bench_runs.entry(rng, 1, "float32", spread=spread, kernel="k", case="c", contestant="minitorch",
                             library="minitorch", gflops=1 / median, flops=1e9, moved=1e6, count=count)
    return report_data.Run.of({"format": report_data.FORMAT, "results": [{**entry, **facts}]}).results[0]


@pytest.mark.parametrize("spread", [0.005, 0.03, 0.1])
@pytest.mark.parametrize("count", [5, 8, 30])
def test_verdicts_heed_the_noise(spread, count):
    rng = np.random.default_rng(7)
    rates = {shift: [compare.judge(result(rng, 1, spread, count), result(rng, shift, spread, count))
                     for _ in range(400)] for shift in (1.0, 1.2, 1 / 1.2)}
    verdicts = {shift: [change.verdict for change in changes] for shift, changes in rates.items()}
    unmoved = verdicts[1.0]
    assert unmoved.count("same") + unmoved.count("cannot tell") >= 0.95 * 400
    assert verdicts[1.2].count("faster") <= 0.01 * 400 and verdicts[1 / 1.2].count("slower") <= 0.01 * 400
    covered = sum(change.low <= shift <= change.high for shift, changes in rates.items() for change in changes)
    assert covered >= 0.93 * 1200  # stated: 95 %
    if spread <= 0.03:
        assert verdicts[1.2].count("slower") >= 0.8 * 400 and verdicts[1 / 1.2].count("faster") >= 0.8 * 400
    if spread == 0.005:
        assert unmoved.count("same") >= 0.9 * 400


def test_no_verdict_without_trust_or_blocks():
    rng = np.random.default_rng(0)
    sure = result(rng, 1, 0.01)
    assert compare.judge(sure, result(rng, 2, 0.01, trusted=False, why="spread 40 %")) is None
    assert compare.judge(result(rng, 1, 0.01, seconds=None), sure) is None
    assert compare.judge(result(rng, 1, 0.01, count=4), result(rng, 9, 0.01)).verdict == "cannot tell"
    exact = result(rng, 1, 0.0)
    assert compare.judge(exact, exact) == (1.0, 1.0, 1.0, "same")
    assert compare.judge(exact, result(rng, 1.04, 0.0)).verdict == "slower"
    assert compare.judge(exact, result(rng, 1.04, 0.0), margin=0.05).verdict == "same"


def saved(tmp_path, **runs):
    for name, run in runs.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(run), encoding="utf-8")
    return [str(tmp_path / f"{name}.json") for name in runs]


def test_compare_prints(tmp_path, capsys):
    a, b = (bench_runs.run(threads=(2,), dtypes=("float32",), seed=seed, slower=slower, spread=0.005)
            for seed, slower in ((1, 1.0), (2, 1.1)))
    b["results"] = [r for r in b["results"] if not (r["kernel"] == "softmax" and r["library"] == "torch")]
    paths = saved(tmp_path, a=a, b=b)
    assert compare.main(*paths) == 0 and compare.main(*paths, fail_on_slower=True) == 1
    assert compare.main(*paths[::-1], fail_on_slower=True) == 0
    assert compare.main(paths[0], paths[0], fail_on_slower=True) == 0
    out = capsys.readouterr().out
    assert "warning" not in out and "slower" in out and "faster" in out and " same" in out
    assert "neither trusted: spread 34 %: more than 20 %" in out
    assert f"only in {paths[0]}:\n  softmax 64x1000, dim -1, float32, 2 threads: torch" in out
    mean = re.search(r"minitorch: geometric mean of B / A ([\d.]+) \(([\d.]+) to ([\d.]+)\)", out)
    assert 1.09 < float(mean[1]) < 1.11 and float(mean[2]) < 1.1 < float(mean[3])


def test_compare_warns_of_other_circumstances(tmp_path, capsys):
    a, b = bench_runs.run(threads=(1,)), bench_runs.run(threads=(2,))
    b["machine"] |= {"processor": "Another", "clock_mhz": 3600, "load": [1.9, 1.5, 1.2],
                     "versions": {**b["machine"]["versions"], "numpy": "2.0.0"}}
    assert compare.main(*saved(tmp_path, a=a, b=b)) == 0
    out = capsys.readouterr().out
    for words in ("two machines, whose figures do not compare", "numpy 2.4.6 in A, 2.0.0 in B",
                  "threads: 1 in A, 2 in B", "2900 MHz in A, 3600 MHz in B",
                  "load before the run: 0.12 in A, 1.90 in B", "No result is in both"):
        assert words in out


@pytest.mark.parametrize("text, words", [
    ("", "not JSON"), ("[]", "got a list"), ("{}", "expected format 'minitorch-bench/1', got None"),
    ("\xff", "not JSON"),
    ('{"format": "minitorch-bench/1"}', "a list of results"),
    ('{"format": "minitorch-bench/1", "results": [{"kernel": "matmul"}]}', "KeyError: 'case'"),
    ('{"format": "minitorch-bench/1", "results": [3]}', "a result is not as")])
def test_compare_refuses_other_files(tmp_path, text, words):
    (tmp_path / "bad.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        compare.main(str(tmp_path / "bad.json"), str(tmp_path / "bad.json"))
    assert "\n" not in str(error.value) and "bad.json" in str(error.value)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        compare.main(str(tmp_path / "missing.json"), "b.json")
    with pytest.raises(ValueError, match="cannot be read"):
        compare.main(str(tmp_path), "b.json")
