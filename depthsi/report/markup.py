"""HTML and SVG made of elements, so that no text of others can become markup."""

import html
from collections.abc import Iterable
from typing import Any

from depthsi.output import printable

_VOID = frozenset({"meta", "img", "br"})


class Html(str):
    """Text that is markup already. Only `tag`, `text` and constants of this package make it."""

    __slots__ = ()


Child = Any  # Html as it is, iterables of children, None for nothing, anything else as text


def text(value: object) -> Html:
    """`value` as text: escaped, and without signs that a page obeys instead of showing."""
    return Html(html.escape(printable(str(value)), quote=True))


def tag(name: str, /, *children: Child, **attributes: object) -> Html:
    """An element.

    Args:
      name: name of the element, a constant.
      children: what is inside; whatever is not `Html` is escaped.
      attributes: by name, with _ for - and one _ at the end dropped, as in class_; None leaves one
        out. Values are escaped like children.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_child(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Several children one after another."""
    return Html("".join(map(_child, children)))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str) or not isinstance(child, Iterable):
        return text(child)
    return join(child)


def image_uri(kind: str, data: str) -> Html:
    """The address of an image inside the page; `data` in base64, which is longer than `text` takes.

    Raises:
      ValueError: `data` has other signs than base64.
    """
    if not data.isascii() or not data.replace("+", "").replace("/", "").rstrip("=").isalnum():
        raise ValueError("`data` must be base64")
    return Html(f"data:image/{kind};base64,{data}")
