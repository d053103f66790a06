"""Buffers that follow from a layer's arguments: kept out of state dictionaries, and right wherever it goes.

A layer made on the meta device, or emptied by `torch.nn.Module.to_empty`, loads its parameters later. What
follows from its arguments, such as an index of filters, is in no state dictionary, so nothing would ever load
it. `DerivedBuffers` keeps the values aside and puts them back whenever the layer's tensors are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn


class DerivedBuffers(nn.Module):
    """A module some of whose buffers follow from its arguments; a subclass makes them by `derive`."""

    def derive(self, name: str, make: Callable[[], Tensor]) -> None:
        """Register a buffer, which no state dictionary holds, with the values that ``make`` computes.

        Args:
            name: of the buffer.
            make: called once, on the CPU whatever the default device is.
        """
        with torch.device("cpu"):
            values = make()
        self.__dict__.setdefault("_derived", {})[name] = values
        self.register_buffer(name, values.to(torch.get_default_device(), copy=True), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for name, values in self._derived_buffers():
            made = self._buffers[name]
            self._buffers[name] = values.to(made.device, made.dtype, copy=True)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        place = next((p.device for p in self.parameters(recurse=False)), torch.get_default_device())
        for name, values in self._derived_buffers():
            if self._buffers[name].is_meta and place.type != "meta":
                self._buffers[name] = values.to(place, copy=True)

    def _derived_buffers(self) -> list[tuple[str, Tensor]]:
        kept = self.__dict__.get("_derived", {})
        return [(name, values) for name, values in kept.items() if self._buffers.get(name) is not None]
