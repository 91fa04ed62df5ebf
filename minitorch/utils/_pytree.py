"""Nested containers as flat lists of leaves: what transforms of functions and of modules' states work on."""
from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = ["LeafSpec", "MappingKey", "PyTree", "SequenceKey", "TreeSpec", "keystr", "register_dataclass",
           "register_pytree_node", "tree_all", "tree_any", "tree_flatten", "tree_flatten_with_path", "tree_is_leaf",
           "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_", "tree_map_only",
           "tree_map_only_", "tree_map_with_path", "tree_structure", "tree_unflatten"]

PyTree = Context = Any


class _Kind(NamedTuple):
    """How containers of one type are taken apart (into children and a context) and put together again."""

    flatten_fn: Callable[[Any], tuple[list, Any]]
    unflatten_fn: Callable[[Iterable, Any], Any]
    keys: Callable[[Any, Any], list] | None = None


class TreeSpec:
    """The structure of a tree: the type of its root, that type's context, the structures of the children."""

    def __init__(self, type: Any, context: Any = None, children_specs: Iterable[TreeSpec] = ()):
        self.type, self.context, self.children_specs = type, context, list(children_specs)
        self.num_children = len(self.children_specs)
        self.num_leaves: int = sum(child.num_leaves for child in self.children_specs) if type is not None else 1
        self.num_nodes: int = 1 + sum(child.num_nodes for child in self.children_specs)

    def is_leaf(self) -> bool:
        return self.type is None

    def children(self) -> list[TreeSpec]:
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        return self.children_specs[index]

    def unflatten(self, leaves: Iterable) -> Any:
        """The tree of this structure with these leaves. Raises ValueError where their number is not `num_leaves`."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(f"tree_unflatten: the structure holds {self.num_leaves} leaves, got {len(leaves)}: {self}")
        return self._build(iter(leaves))

    def flatten_up_to(self, tree: Any) -> list:
        """The subtrees of `tree` that stand where this structure has leaves. Raises ValueError where they differ."""
        if self.type is None:
            return [tree]
        kind = _kind_of(tree, None)
        fits = kind is not None and _get_node_type(tree) is self.type
        children, context = kind.flatten_fn(tree) if fits else ([], None)  # type: ignore[union-attr]
        if not fits or len(children) != self.num_children:
            raise ValueError(f"expects a {self.type.__name__} of {self.num_children} children, got {tree!r}")
        if issubclass(self.type, dict):
            if set(context_keys(context)) != set(context_keys(self.context)):
                raise ValueError(f"expects a dict with the keys {context_keys(self.context)}, got {tree!r}")
            children = [tree[key] for key in context_keys(self.context)]
        return [part for spec, child in zip(self.children_specs, children) for part in spec.flatten_up_to(child)]

    def _build(self, leaves: Any) -> Any:
        if self.type is None:
            return next(leaves)
        return _KINDS[self.type].unflatten_fn([child._build(leaves) for child in self.children_specs], self.context)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeSpec) and self.type is other.type and self.context == other.context and \
            self.children_specs == other.children_specs

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves, tuple(self.children_specs)))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {self.children_specs})"


class LeafSpec(TreeSpec):
    """The structure of what is no container."""

    def __init__(self) -> None:
        super().__init__(None)


class SequenceKey(NamedTuple):
    """The way to a list's or tuple's item."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


class MappingKey(NamedTuple):
    """The way to a dict's value."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


class GetAttrKey(NamedTuple):
    """The way to an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


def register_pytree_node(cls: type, flatten_fn: Callable, unflatten_fn: Callable, *, serialized_type_name: Any = None,
                         to_dumpable_context: Any = None, from_dumpable_context: Any = None,
                         flatten_with_keys_fn: Any = None) -> None:
    """Make `cls` a container: `flatten_fn(x)` returns (children, context), `unflatten_fn(children, context)` an x.

    Raises ValueError where it is one already.
    """
    if cls in _KINDS:
        raise ValueError(f"{cls} is already registered as pytree node. Overwriting the previous registration is not "
                         "allowed.")
    keys = flatten_with_keys_fn and (lambda x, context: [key for key, _ in flatten_with_keys_fn(x)[0]])
    _KINDS[cls] = _Kind(flatten_fn, unflatten_fn, keys)


_register_pytree_node = register_pytree_node


def _dict_flatten(d: Any) -> tuple[list, Any]:
    """A mapping's values, and its keys as the context: what libraries register for mappings of their own."""
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d: Any) -> tuple[list, Any]:
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


def _dict_unflatten(values: Iterable, context: Any) -> dict:
    return dict(zip(context, values))


def register_dataclass(cls: type, *, field_names: Any = None, drop_field_names: Any = None,
                       serialized_type_name: Any = None) -> None:
    """Make a dataclass a container of its fields."""
    names = list(field_names or [f.name for f in dataclasses.fields(cls) if f.init])
    register_pytree_node(cls, lambda x: ([getattr(x, n) for n in names], None),
                         lambda children, _: cls(**dict(zip(names, children))))


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list, TreeSpec]:
    """The leaves of nested containers, and the structure that `tree_unflatten` makes them a tree with again.

    >>> leaves, spec = tree_flatten({"a": 1, "b": (2, [3])})
    >>> leaves
    [1, 2, 3]
    >>> tree_unflatten([10, 20, 30], spec)
    {'a': 10, 'b': (20, [30])}
    """
    leaves: list = []
    return leaves, _flatten(tree, leaves, is_leaf)


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> Any:
    """The tree of structure `treespec` with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten: treespec expects a TreeSpec, got {type(treespec).__name__}")
    return treespec.unflatten(leaves)


def tree_leaves(tree: Any, is_leaf: Callable | None = None) -> list:
    """The leaves of `tree`, from left to right."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Callable | None = None) -> Iterable:
    """The leaves one after the other."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable | None = None) -> TreeSpec:
    """The structure of `tree`."""
    return tree_flatten(tree, is_leaf)[1]


def tree_is_leaf(tree: Any, is_leaf: Callable | None = None) -> bool:
    """Whether `tree` is no container."""
    return _kind_of(tree, is_leaf) is None


def tree_map(func: Callable, tree: Any, *rests: Any, is_leaf: Callable | None = None) -> Any:
    """The tree of `func(leaf, ...)`, of the leaves of `tree` and what stands at the same places of `rests`.

    >>> tree_map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
    {'x': 11, 'y': [22]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten([func(*each) for each in zip(leaves, *[spec.flatten_up_to(r) for r in rests])])


def tree_map_(func: Callable, tree: Any, *rests: Any, is_leaf: Callable | None = None) -> Any:
    """Call `func` on the leaves for what it does to them; returns `tree`."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(kind: Any, func: Any = None, tree: Any = None, is_leaf: Callable | None = None) -> Any:
    """`tree_map` of the leaves that are instances of `kind`, a type, types or a predicate; the others stay."""
    wanted = kind if callable(kind) and not isinstance(kind, type) else lambda x: isinstance(x, kind)
    return tree_map(lambda x: func(x) if wanted(x) else x, tree, is_leaf=is_leaf)


def tree_map_only_(kind: Any, func: Any, tree: Any, is_leaf: Callable | None = None) -> Any:
    """`tree_map_only` for what `func` does to the leaves; returns `tree`."""
    tree_map_only(kind, func, tree, is_leaf)
    return tree


def tree_all(pred: Callable, tree: Any, is_leaf: Callable | None = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable, tree: Any, is_leaf: Callable | None = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_leaves_with_path(tree: Any, is_leaf: Callable | None = None) -> list[tuple[tuple, Any]]:
    """(path, leaf) of each leaf; a path is a tuple of keys.

    >>> [(keystr(path), leaf) for path, leaf in tree_leaves_with_path({"a": [1, 2]})]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    kind = _kind_of(tree, is_leaf)
    if kind is None:
        return [((), tree)]
    children, context = kind.flatten_fn(tree)
    if kind.keys is not None:
        keys = kind.keys(tree, context)
    elif isinstance(tree, dict):
        keys = [MappingKey(key) for key in context_keys(context)]
    elif isinstance(tree, tuple) and hasattr(tree, "_fields"):
        keys = [GetAttrKey(name) for name in tree._fields]
    else:
        keys = [SequenceKey(i) for i in range(len(children))]
    return [((key, *path), leaf) for key, child in zip(keys, children)
            for path, leaf in tree_leaves_with_path(child, is_leaf)]


def tree_flatten_with_path(tree: Any, is_leaf: Callable | None = None) -> tuple[list, TreeSpec]:
    """`tree_leaves_with_path`, and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable, tree: Any, *rests: Any, is_leaf: Callable | None = None) -> Any:
    """`tree_map` of a function that gets the path first."""
    spec = tree_structure(tree, is_leaf)
    places = tree_leaves_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return spec.unflatten([func(path, leaf, *more) for (path, leaf), *more in zip(places, *others)])


def keystr(path: Iterable) -> str:
    """A path as one would write it in Python."""
    return "".join(map(str, path))


def broadcast_prefix(prefix: Any, tree: Any) -> list:
    """One value a leaf of `tree`, from a tree that may stop earlier: its leaf counts for all below.

    Raises ValueError where `prefix` is no beginning of `tree`.
    """
    kind = _kind_of(prefix, None)
    if kind is None:
        return [prefix] * len(tree_leaves(tree))
    sequences = isinstance(prefix, (list, tuple)) and isinstance(tree, (list, tuple))
    same = sequences or _get_node_type(prefix) is _get_node_type(tree)
    if not same or len(prefix) != len(tree):
        raise ValueError(f"the structure {prefix!r} does not fit the structure of {tree_structure(tree)}")
    pairs = [(prefix[key], tree[key]) for key in tree] if isinstance(tree, dict) else \
        zip(kind.flatten_fn(prefix)[0], _kind_of(tree, None).flatten_fn(tree)[0])  # type: ignore[union-attr]
    return [value for p, t in pairs for value in broadcast_prefix(p, t)]


def context_keys(context: Any) -> list:
    """The keys of a dict from its context."""
    return list(context[1] if isinstance(context, tuple) else context)


_KINDS: dict[Any, _Kind] = {
    list: _Kind(lambda x: (list(x), None), lambda children, _: list(children)),
    tuple: _Kind(lambda x: (list(x), None), lambda children, _: tuple(children)),
    dict: _Kind(lambda x: (list(x.values()), list(x)), lambda children, keys: dict(zip(keys, children))),
    OrderedDict: _Kind(lambda x: (list(x.values()), list(x)),
                       lambda children, keys: OrderedDict(zip(keys, children))),
    defaultdict: _Kind(lambda x: (list(x.values()), (x.default_factory, list(x))),
                       lambda children, context: defaultdict(context[0], zip(context[1], children))),
    deque: _Kind(lambda x: (list(x), x.maxlen), deque),
    namedtuple: _Kind(lambda x: (list(x), type(x)), lambda children, kind: kind(*children)),
}
SUPPORTED_NODES = _KINDS


def _get_node_type(tree: Any) -> Any:
    """The type under which `tree` is registered."""
    kind = type(tree)
    if kind not in _KINDS and isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return namedtuple
    return kind


def _kind_of(tree: Any, is_leaf: Callable | None) -> _Kind | None:
    return None if is_leaf is not None and is_leaf(tree) else _KINDS.get(_get_node_type(tree))


def _flatten(tree: Any, leaves: list, is_leaf: Callable | None) -> TreeSpec:
    kind = _kind_of(tree, is_leaf)
    if kind is None:
        leaves.append(tree)
        return LeafSpec()
    children, context = kind.flatten_fn(tree)
    return TreeSpec(_get_node_type(tree), context, [_flatten(child, leaves, is_leaf) for child in children])
