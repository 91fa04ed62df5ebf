"""The optimizer's step written out: SGD, Adam and AdamW with what their options need, and a loop that takes steps."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def update(optimizer: Any, names: dict[int, str], grads: list[str]) -> list[str]:
    """The source of the step and of a loop around it. `names` are those of tensors, by identity.

    Raises NotImplementedError for other optimizers, for `amsgrad`, and where parameters have options of their own.
    """
    kind = type(optimizer).__name__
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    if kind not in ("SGD", "Adam", "AdamW"):
        raise NotImplementedError(f"extract: optimizer expects SGD, Adam or AdamW, got {kind}")
    if any(group != groups[0] for group in groups):
        raise NotImplementedError(f"extract: the parameter groups of {kind} have different options: expected one group")
    if groups[0].get("amsgrad"):
        raise NotImplementedError(f"extract: {kind} with amsgrad=True cannot be extracted")
    held = [names[id(t)] for group in optimizer.param_groups for t in group["params"] if id(t) in names]
    chosen = [name for name in grads if name in held]
    lines = list((_sgd if kind == "SGD" else _adam)(groups[0]))
    if chosen != grads:
        lines.insert(2, f"    grads = {{name: grads[name] for name in {chosen!r}}}".replace("'", '"'))
    step = lines[0].split("(")[0].removeprefix("def ")
    return ["\n".join(lines), _LOOP.format(step=step).strip()]


def _sgd(group: dict[str, Any]) -> Iterator[str]:
    momentum, dampening, decay = (float(group[k]) for k in ("momentum", "dampening", "weight_decay"))
    options = f"lr={float(group['lr'])!r}" + f", momentum={momentum!r}" * bool(momentum) + \
        f", weight_decay={decay!r}" * bool(decay)
    yield f"def sgd(p, grads, state, {options}):"
    yield '    """A step of stochastic gradient descent: each parameter moves against its gradient."""'
    yield "    for name, g in grads.items():"
    yield from ["        g = -g"] * bool(group["maximize"])
    yield from ["        g = g + weight_decay * p[name]"] * bool(decay)
    if momentum:
        share = f"{1 - dampening!r} * g" if dampening else "g"
        yield f"        state[name] = momentum * state[name] + {share} if name in state else g"
        yield "        g = g + momentum * state[name]" if group["nesterov"] else "        g = state[name]"
    yield "        p[name] = p[name] - lr * g"


def _adam(group: dict[str, Any]) -> Iterator[str]:
    beta1, beta2 = map(float, group["betas"])
    decay, decoupled = float(group["weight_decay"]), group["decoupled_weight_decay"]
    options = f"lr={float(group['lr'])!r}, beta1={beta1!r}, beta2={beta2!r}, eps={float(group['eps'])!r}" + \
        f", weight_decay={decay!r}" * bool(decay)
    yield f"def {'adamw' if decoupled else 'adam'}(p, grads, state, {options}):"
    yield '    """A step by the mean gradient over the root of the mean squared one. Kingma and Ba, 2015."""'
    yield '    t = state["step"] = state.get("step", 0) + 1'
    yield "    for name, g in grads.items():"
    yield from ["        g = -g"] * bool(group["maximize"])
    if decay:
        yield "        p[name] = p[name] * (1 - lr * weight_decay)" if decoupled else \
            "        g = g + weight_decay * p[name]"
    yield "        m, v = state.get(name, (0.0, 0.0))"
    yield "        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g"
    yield "        state[name] = m, v"
    yield "        m, v = m / (1 - beta1 ** t), v / (1 - beta2 ** t)  # as if the means had not begun at zero"
    yield "        p[name] = p[name] - lr * m / (np.sqrt(v) + eps)"


_LOOP = '''
def train(p, inputs, steps=5):
    """Some steps on the recorded inputs; `p` has the new parameters afterwards."""
    state = {{}}
    for i in range(steps):
        loss, grads = loss_and_grads(p, *inputs)
        print(f"step {{i}}: loss {{loss:.6f}}")
        {step}(p, grads, state)
'''
