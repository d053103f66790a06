"""Read the layers of a module from its forward, by symbolic tracing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from shared import nn as ours
from shared.algebra.groups import Group
from shared.atlas.functions import call_function, call_method, constant
from shared.atlas.graph import INPUT, Graph
from shared.atlas.layers import Layer
from shared.atlas.modules import describe
from shared.atlas.values import BY_HAND, Builder, Ref
from shared.base.errors import UserError
from shared.nn.train_mode import restored_modes

_FEATURES = (ours.GroupConv, ours.GroupBatchNorm)


class _Root(nn.Module):
    """Makes the user's module a child, so that a single layer is found like any other."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        return self.net(x)


class _Tracer(fx.Tracer):
    """Stops at layers that the atlas knows."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        container = isinstance(m, nn.Sequential | nn.ModuleList | _Root)
        return _known(m) or (not container and super().is_leaf_module(m, module_qualified_name))


def _known(module: nn.Module) -> bool:
    try:
        return describe(module, "") is not None
    except UserError:
        return True  # known, and complained about when it is reached


@dataclass(frozen=True)
class _Interpreter:
    """Turns the nodes of the traced graph into layers."""

    root: nn.Module
    builder: Builder
    values: dict[fx.Node, Any]
    group: Group | None

    def run(self, graph: fx.Graph) -> Ref:
        for node in graph.nodes:
            if node.op == "output":
                result = self._value(node.args[0])
                if not isinstance(result, Ref):
                    raise UserError("the network must return one tensor for the atlas to judge")
                return result
            self.values[node] = self._evaluate(node)
        raise UserError("the network returns nothing")

    def _value(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self.values[node])

    def _evaluate(self, node: fx.Node) -> Any:
        args, kwargs = self._value(node.args), self._value(node.kwargs)
        if node.op == "placeholder":
            return Ref(INPUT, self.group, True)
        if node.op == "get_attr":
            return constant(_attribute(self.root, node.target))
        if node.op == "call_module":
            return self._module(node.target, args)
        call = call_function if node.op == "call_function" else call_method
        return call(self.builder, node.target, node.name, args, kwargs)

    def _module(self, target: str, args: tuple) -> Ref:
        module, name = self.root.get_submodule(target), target.removeprefix("net").lstrip(".")
        name = name or type(module).__name__
        layers = describe(module, name)
        if layers is None:
            raise UserError(
                f"the atlas does not know {type(module).__name__} ({name!r}); register it, or {BY_HAND}"
            )
        if len(args) != 1 or not isinstance(args[0], Ref):
            raise UserError(f"the atlas expects {name!r} to get one tensor and nothing else; {BY_HAND}")
        ref: Ref = args[0]
        self._check_axes(module, name, ref)
        for layer in layers:
            ref = self.builder.add(layer, ref)
        return ref

    @staticmethod
    def _check_axes(module: nn.Module, name: str, ref: Ref) -> None:
        wanted = {"2d": False, "3d": True}.get(type(module).__name__[-2:])
        if (
            type(module).__module__.startswith("torch.nn")
            and ref.spatial
            and wanted not in (None, ref.oriented)
        ):
            has = "five" if ref.oriented else "four"
            raise UserError(
                f"{type(module).__name__} ({name!r}) cannot read maps with {has} axes; use shared.nn's layers"
            )


def _attribute(root: nn.Module, target: str) -> Any:
    for part in target.split("."):
        root = getattr(root, part)
    return root


def trace(module: nn.Module, group: Group | None = None) -> Graph:
    """Read a network's layers in eval mode.

    Args:
        module: the network; it is left as it was.
        group: of the input if it is a regular feature map; found by itself if the first layer says so.

    Raises:
        UserError: if the forward cannot be traced, or holds something that the atlas does not know.
    """
    root = _Root(module)
    try:
        with restored_modes(module):
            module.eval()
            graph = _Tracer().trace(root)
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"the forward of {type(module).__name__} cannot be traced ({reason}); {BY_HAND}"
        ) from error
    group = group or _first_group(graph, root)
    builder = Builder()
    result = _Interpreter(root, builder, {}, group).run(graph)
    if result.number == INPUT:
        result = builder.add(Layer("output", "identity"), result)
    return Graph(tuple(builder.nodes), group, result.number)


def _first_group(graph: fx.Graph, root: nn.Module) -> Group | None:
    """Group of the input, if a layer that reads it works on regular features only."""
    entry = next((node for node in graph.nodes if node.op == "placeholder"), None)
    for user in entry.users if entry is not None else ():
        if user.op == "call_module" and isinstance(module := root.get_submodule(user.target), _FEATURES):
            return module.group
    return None
