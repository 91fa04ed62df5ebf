"""What `viz.graph` draws: what it knows, that it changes nothing, how it is grouped, and its page in Chromium."""
from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn, viz
from minitorch.examples.gpt import GPT, loss_of
from minitorch.viz import page
from minitorch.viz.layout import Layout
from minitorch.viz.structure import IN, OUT, Group
from minitorch.viz.tracing import notes

F = nn.functional


class Residual(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.fc2(self.fc1(x).relu())


def net(depth=1):
    mt.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), *[Residual() for _ in range(depth)], nn.Linear(4, 2))


def facts_of(g):
    return {v.label.partition("  ·")[0]: v for v in g.facts.vertices}


def page_data(g):
    text = re.search(r'id="graph-data">(.*?)</script>', g.html(), re.S).group(1)
    return json.loads(text)


def group(g, name):
    return next(x for x in g.groups if x.name == name)


# What is known

def test_an_untraced_graph_says_what_it_does_not_know():
    x = mt.tensor([1.0, 2.0], requires_grad=True)
    g = viz.graph((x * mt.tensor([3.0, 4.0])).sum())
    mul = facts_of(g)["mul"].details
    assert (mul["source"], mul["module"], mul["forward"], mul["kernels"]) == ("", "", None, [])
    assert mul["in"] == ["a: 2 float32", "b: 2 float32"]  # b is kept, so it is known without a trace
    assert mul["bytes"] == 8 and mul["kept"] == [("b", "2 float32", 8)]
    add = facts_of(viz.graph((x + mt.tensor([3.0, 4.0])).sum()))["add"].details
    assert add["in"][1] == "b: needs no gradient; not recorded"


def test_a_trace_knows_line_module_time_and_kernels():
    model = net()
    with viz.trace():
        line = inspect.currentframe().f_lineno + 1
        loss = (model(mt.ones(5, 3)) ** 2).mean()
    facts = facts_of(viz.graph(loss))
    own = __file__.removeprefix(os.path.join(os.getcwd(), ""))  # shown from the present folder on
    assert facts["pow"].details["source"] == f"{own}:{line}"
    assert facts["relu"].details["source"].startswith(own)
    assert facts["relu"].details["module"] == "Sequential.1"
    assert facts["linear"].details["module"] == "Sequential.2"  # the last one of that label
    assert all(v.details["forward"] > 0 for v in facts.values() if v.kind == "op")
    names = {b.label for v in facts.values() for b in v.beside}
    assert {"2.weight", "2.bias"} <= names
    assert notes[loss.grad_fn].calls == ()


def test_kernels_their_version_and_the_reason_are_those_of_the_table():
    a, b = mt.ones(4, 5, requires_grad=True), mt.ones(5, 6, requires_grad=True)
    with mt.use("reference"):
        g = viz.graph(lambda a, b: (a @ b).sum(), a, b)
    details = facts_of(g)["matmul"].details
    assert details["kernels"] == ["matmul (reference)"]
    assert "use('reference')" in g.facts.texts["matmul (reference)"]
    told = {part: g.facts.texts[details[part]] for part in ("formula", "gradient", "body")}
    assert details["gradient_kernels"] and "def matmul" in told["body"]
    assert "dy" in told["gradient"] and "Σ" in told["formula"]


def test_gradient_norms_are_those_that_backward_gives():
    model, x = net(2), mt.randn(7, 3)
    t = mt.tensor([0, 1, 1, 0, 1, 0, 0])
    g = viz.graph(lambda x: F.cross_entropy(model(x), t), x, model=model)
    F.cross_entropy(model(x), t).backward()
    shown = {leaf.label: leaf.details["norm"] for leaf in g.facts.leaves() if leaf.kind == "parameter"}
    assert shown.keys() == dict(model.named_parameters()).keys()
    for name, p in model.named_parameters():
        assert shown[name] == pytest.approx(np.linalg.norm(p.grad.numpy().astype(np.float64)), rel=1e-5)


def test_the_steps_are_in_the_order_of_the_engine():
    x = mt.randn(3, requires_grad=True)
    y = (x.exp() * x.sin() + x).sum()
    with mt.profiler.profile() as p:
        y.backward(retain_graph=True)
    order = [e.name for e in p.events() if "Backward" in e.name]
    g = viz.graph(y)
    names = [page_data(g)["vertices"][s["at"]]["name"] for s in g.facts.played]
    assert list(dict.fromkeys(order)) == list(dict.fromkeys(names)) and len(names) == 5


def test_a_dtype_among_the_arguments_is_text():
    g = viz.graph(lambda x: mt.fft.fft(x).abs().sum(), mt.ones(3, requires_grad=True))
    assert len(g.facts.steps) == 4 and not g.facts.ended and "complex64" in g.html()


def test_a_shared_parameter_is_one_leaf_with_several_uses():
    w = nn.Parameter(mt.randn(3, 3))
    g = viz.graph(lambda x: (x @ w @ w).sum(), mt.randn(2, 3))
    leaf, = [leaf for leaf in g.facts.leaves() if leaf.kind == "parameter"]
    assert leaf.uses == 2 and sum(leaf in v.beside for v in g.facts.vertices) == 2


def test_inputs_buffers_and_constants_are_told_apart():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    g = viz.graph(lambda x: (model(x) * mt.ones(4)).sum(), mt.randn(5, 3), model=model)
    kinds = {(v.kind, v.label) for v in [*g.facts.leaves(), *g.facts.vertices] if v.kind != "op"}
    assert ("input", "x") in kinds and ("buffer", "1.running_mean") in kinds and ("parameter", "0.weight") in kinds
    assert any(kind == "constant" for kind, _ in kinds)


def test_a_node_of_several_outputs_is_one_vertex():
    x = mt.randn(4, 3, requires_grad=True)
    a, b = x.split(2)
    g = viz.graph((a * b).sum())
    assert sum(v.label == "split" for v in g.facts.vertices) <= 1
    node = next(v for v in g.facts.vertices if v.details.get("outputs", 1) == 2)
    assert g.facts.edges.count((node, facts_of(g)["mul"])) == 2


# Nothing is touched

def test_drawing_changes_nothing():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1)), mt.randn(5, 3)
    called = []
    model[0].weight.register_hook(called.append)
    loss = model(x).sum()
    loss.grad_fn.register_hook(lambda *_: called.append("node"))
    version, state = x._version, mt.get_rng_state()
    viz.graph(loss).html()
    assert not called and x._version == version and all(p.grad is None for p in model.parameters())
    assert (mt.get_rng_state() == state).all()
    loss.backward()
    first = model[0].weight.grad.clone()
    assert len(called) == 2
    assert viz.graph(loss, grads=False).facts.steps == []
    assert (model[0].weight.grad == first).all()


def test_a_freed_graph_says_so():
    x = mt.randn(3, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    g = viz.graph(y)
    assert "freed at exp" in g.facts.ended and facts_of(g)["exp"].details["norm"] is None
    assert "freed at exp" in g.html()


def test_a_value_changed_in_place_and_a_checkpoint_are_said():
    x = mt.randn(3, requires_grad=True)
    y = x.exp()
    z = y.sum()
    y.detach().add_(1)
    assert "changed in place" in viz.graph(z).facts.ended
    fc = nn.Linear(3, 3)
    z = mt.utils.checkpoint.checkpoint(fc, x, use_reentrant=True).sum()
    assert "checkpoint" in viz.graph(z).facts.ended and fc.weight.grad is None


@pytest.mark.parametrize("call, error", [
    (lambda: viz.graph(3), "expects a tensor, a model or a function, got int"),
    (lambda: viz.graph(mt.ones(2)), "nothing was recorded"),
    (lambda: viz.graph(mt.ones(2, requires_grad=True)), "nothing was recorded"),
    (lambda: viz.graph(mt.ones(2, requires_grad=True) * 2, 3), "no further arguments"),
    (lambda: viz.graph(mt.ones(2, requires_grad=True) * 2).save("graph.png"), "ends in .html or .svg"),
    (lambda: viz.graph(mt.ones(2, requires_grad=True) * 2).unfold("encoder"), "no module is named 'encoder'"),
])
def test_errors(call, error):
    with pytest.raises((TypeError, ValueError), match=error):
        call()


# Groups and ranks

def test_groups_follow_the_calls_of_modules():
    g = viz.graph(net(), mt.ones(2, 3)).unfold()
    block = group(g, "Sequential.1")
    assert [m.label.partition("  ·")[0] for m in block.members] == ["linear", "relu", "linear", "add"]
    assert [len(row) for row in block.ranks] == [1, 1, 1, 1]
    assert block.title == "1: Residual" and block.group.name == "Sequential"


def test_a_skip_connection_has_a_lane():
    block = group(viz.graph(net(), mt.ones(2, 3)), "Sequential.1")
    skip, = [p for p in block.pieces if p.lane is not None]
    assert (skip.start, skip.end.label, skip.first, skip.last, skip.lane) == (IN, "add", -1, 3, 0)
    assert next(p for p in block.pieces if p.end is OUT).start.label == "add"


def test_lanes_that_overlap_are_apart():
    x = mt.ones(2, requires_grad=True)
    a = x.exp()
    b = a.sin()
    c = b.cos() + a  # one skip
    d = c.tanh().sqrt() + c  # another, after it
    g = viz.graph(d.tan() * a)  # and one past both
    lanes = {(p.start.label, p.end.label): p.lane for p in g.top.pieces if p.lane is not None}
    assert lanes == {("exp", "add"): 0, ("add", "add"): 0, ("exp", "mul"): 1}


def test_a_module_called_twice_is_two_groups():
    block = Residual()
    g = viz.graph(lambda x: block(block(x) * 2), mt.ones(2, 4, requires_grad=True))
    assert {"Residual", "Residual (call 2)"} <= {x.name for x in g.groups}


def test_every_edge_goes_down_a_rank():
    mt.manual_seed(0)
    g = viz.graph(lambda t: loss_of(GPT(11, width=8, depth=3, heads=2, context=8), t), mt.randint(0, 11, (2, 9)))
    for x in g.groups:
        assert all(p.first < p.last for p in x.pieces)
        assert sorted(id(m) for row in x.ranks for m in row) == sorted(map(id, x.members))


def test_twelve_blocks_fold_into_one_box():
    mt.manual_seed(0)
    model = GPT(11, width=8, depth=12, heads=2, context=8)
    g = viz.graph(lambda t: loss_of(model, t), mt.randint(0, 11, (2, 9)), model=model)
    repeat, = [x for x in g.groups if x.kind == "repeat"]
    assert repeat.title == "12 × Block" and repeat.folded and len(repeat.members) == 12
    layout = Layout(g.top)
    assert sum(layout.box[g.top.key][:2]) < 1000 and layout.box[g.top.key].height < 1000
    assert "12 × Block  (180 ops" in str(g)
    assert "blocks.7: Block" not in g.svg() and "blocks.7: Block" in g.unfold("blocks.7").svg()


def test_a_long_chain_is_divided():
    x = y = mt.ones(1, requires_grad=True)
    for _ in range(3000):
        y = y + 1
    g = viz.graph(y)
    assert len(g.facts.steps) == 3000 and g.facts.played[-1]["to"][0][2] == 1.0
    assert all(len(x.members) <= 60 for x in g.groups) and g.top.members[0].kind == "part"
    assert len(g.svg()) < 30_000
    assert x.grad is None


# What is written

def test_the_picture_is_valid_and_escaped():
    class Odd(nn.Module):
        def forward(self, x):
            return (x * 2).exp()
    Odd.__name__ = "Odd<&\">"
    model = nn.Sequential(nn.Linear(3, 3), Odd())
    g = viz.graph(model, mt.ones(2, 3)).unfold()
    root = ET.fromstring(g.svg())
    assert root.tag.endswith("svg") and "prefers-color-scheme:dark" in g.svg()
    assert any('Odd<&">' in (e.text or "") for e in root.iter())
    assert page_data(g)["groups"]["g2"]["title"] == '1: Odd<&">'
    for name in ("module</script>", "-->"):
        g.title = name
        assert f"<title>{name.replace('>', '&gt;').replace('<', '&lt;')}" in g.html()
        ET.fromstring(g.svg())
    assert g._repr_html_().startswith("<iframe srcdoc=") and "<script" not in g._repr_html_()


def test_saving_and_pages(tmp_path):
    g = viz.graph(net(), mt.ones(2, 3))
    g.save(tmp_path / "a.html")
    g.save(str(tmp_path / "a.svg"))
    text = (tmp_path / "a.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in re.sub(r"http://www.w3.org/\S+", "", text)
    with pytest.raises(ValueError, match="closing tags"):
        page.page("x", "", script="'</script>'")


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [page.LIGHT, page.DARK])
def test_colours_can_be_read(theme):
    def contrast(name, under):
        low, high = sorted((luminance(theme[name]), luminance(theme[under])))
        return (high + 0.05) / (low + 0.05)

    for under in ("bg", "panel"):
        assert all(contrast(name, under) >= 4.5 for name in ("text", "muted", "accent", "good", "bad"))
        assert all(contrast(f"c{i}", "bg") >= 3 for i in range(1, 9))
    assert contrast("text", "mark") >= 4.5


# In a browser

@pytest.fixture(scope="module")
def chromium():
    where = shutil.which("chromium") or shutil.which("chromium-browser")
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if where is None:
        pytest.skip("needs chromium")
    with sync.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=where, args=["--no-sandbox"], headless=True)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gpt():
    mt.manual_seed(0)
    model = GPT(11, width=8, depth=12, heads=2, context=8)
    return viz.graph(lambda t: loss_of(model, t), mt.randint(0, 11, (2, 9)), model=model)


@pytest.fixture
def opened(chromium, tmp_path):
    """A function that opens a graph; in the end no page may have complained."""
    complaints, contexts = [], []

    def open_page(g, width=1400, scheme="light"):
        g.save(tmp_path / "graph.html")
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto((tmp_path / "graph.html").as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits(opened, gpt, width, scheme):
    tab = opened(gpt, width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    frame = tab.locator("#picture").bounding_box()
    assert frame["width"] >= width * 0.6 and frame["height"] > 250
    top = tab.locator('g.item:has-text("embedding")').first.bounding_box()
    assert frame["x"] <= top["x"] and top["x"] + top["width"] <= frame["x"] + frame["width"]
    name = tab.locator("text.name").first
    assert name.bounding_box()["height"] >= 7
    assert luminance(tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bg').trim()")) \
        < 0.1 if scheme == "dark" else True


def test_click_fold_search_and_bars(opened, gpt):
    tab = opened(gpt)
    tab.locator('g.item:has-text("linear  · head")').click()
    said = tab.locator("#details").inner_text()
    assert "GPT.head" in said and "dweight = lambda dy" in said and "gpt.py" in said and "linear (" in said
    assert tab.locator('g.item:has-text("blocks.3: Block")').count() == 0
    tab.locator('g.item:has-text("12 × Block")').click()
    assert tab.locator('g.item:has-text("blocks.3: Block")').count() == 1
    tab.fill("#search", "gelu")
    assert tab.locator("#found").inner_text().startswith("12 found")
    tab.press("#search", "Enter")
    assert tab.locator('g.item.chosen:has-text("gelu")').count() == 1
    tab.select_option("#bars", "backward")
    assert tab.locator("rect.bar").count() > 10
    tab.locator('g.item:has-text("blocks.3: Block")').press("Enter")
    assert tab.locator('g.open:has-text("blocks.3: Block")').count() == 1
    tab.click("#unfold")
    assert tab.locator("g.op").count() == 187
    tab.click("#fold")
    assert tab.locator("g.op").count() == 2


def test_stepping_reaches_the_end(opened, gpt):
    tab = opened(gpt)
    tab.click("#next")
    assert tab.locator("#said").inner_text().startswith("Step 1 of 187: NllLossBackward0")
    assert tab.locator("g.now").count() == 1 and tab.locator("g.next").count() == 1
    tab.locator("#picture").focus()
    for _ in range(186):
        tab.keyboard.press("ArrowRight")
    assert tab.locator("#said").inner_text().startswith("Step 187 of 187")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#said").inner_text().startswith("Step 186 of 187")
    tab.click("#first")
    tab.click("#run")
    tab.wait_for_function("document.getElementById('said').textContent.startsWith('Step 2 ')", timeout=5000)
    tab.click("#run")


def test_the_page_lays_out_as_the_picture_does(opened):
    """graph.js and layout.py come to the same places, folded and unfolded."""
    g = viz.graph(net(3), mt.ones(2, 3))
    for turn in (g.fold, g.unfold):
        turn()
        tab, layout = opened(g), Layout(g.top)
        places, here = tab.evaluate("place"), layout.place
        for x in [x for x in g.groups if x.key in places and not x.folded]:
            for i in range(len(x.pieces)):
                there, own = ([float(n) for n in re.findall(r"-?[\d.]+", path)]
                              for path in (tab.evaluate(f"curve('{x.key}', {i})"), layout.path(x, i)))
                assert there == pytest.approx(own, abs=0.06)
        for key, at in places.items():
            assert (at["x"], at["y"]) == pytest.approx(here[key], abs=1e-6)
        assert len(places) == sum("/" not in key for key in here)


def test_zoom_by_wheel_and_keys_and_moving(opened, gpt):
    tab = opened(gpt)
    before = tab.evaluate("({...state})")
    tab.mouse.move(400, 400)
    tab.mouse.wheel(0, -300)
    tab.wait_for_function(f"state.scale > {before['scale']} * 1.2")
    tab.locator("#picture").focus()
    tab.keyboard.press("0")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("state.y") < before["y"] + 60
    x = tab.evaluate("state.x")
    tab.mouse.move(200, 600)
    tab.mouse.down()
    tab.mouse.move(260, 620)
    tab.mouse.up()
    assert tab.evaluate("state.x") == pytest.approx(x + 60)


def test_thousands_of_nodes_open_at_once(opened):
    y = mt.ones(1, requires_grad=True)
    for _ in range(5000):
        y = y + 1
    tab = opened(viz.graph(y))
    assert tab.locator("[data-key]").count() < 200
    assert tab.locator("#said").inner_text().startswith("Backward has 5000 steps")
    tab.click("#unfold")
    assert tab.locator("g.op").count() == 5000
    assert isinstance(viz.graph(y, grads=False).top, Group)
