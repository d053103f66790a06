"""Reading YAML strictly: a key given twice is an error, and every mistake is one line."""

from __future__ import annotations

from typing import Any

import yaml

from shared.errors import UserError


class _Strict(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of a silent overwrite."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return node


def load(text: str, name: str) -> Any:
    """The content of a YAML text; ``name`` is that of the file, for the message.

    Raises:
        UserError: if it is not YAML, or gives a key twice.
    """
    try:
        return yaml.load(text, _Strict)
    except yaml.YAMLError as error:
        raise UserError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
