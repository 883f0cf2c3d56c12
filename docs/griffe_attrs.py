"""Tells the site's reference how classes of attrs are constructed, which griffe knows of dataclasses alone."""

from __future__ import annotations

from typing import Any

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    ExprKeyword,
    Extension,
    Function,
    Parameter,
    ParameterKind,
    Parameters,
)


class AttrsConstructors(Extension):
    """Gives each class that attrs decorates the `__init__` that attrs will write."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the constructor."""
        decorator = next((d.value for d in cls.decorators if str(d.value).startswith("attrs.")), None)
        if decorator is None or "__init__" in cls.members:
            return
        keyword_only = _read(decorator).get("kw_only") == "True"
        parameters = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
        for member in cls.members.values():
            if isinstance(member, Attribute) and member.annotation is not None:
                parameters += _list_parameters(member, keyword_only=keyword_only)
        cls.set_member("__init__", Function("__init__", parent=cls, parameters=Parameters(*parameters), returns="None"))


def _list_parameters(member: Attribute, *, keyword_only: bool) -> list[Parameter]:
    is_property = "property" in member.labels
    is_class_variable = "class-attribute" in member.labels and "instance-attribute" not in member.labels
    is_field = str(member.value).startswith("attrs.field(")
    choices = _read(member.value) if is_field else {}
    if is_property or is_class_variable or str(choices.get("init")) == "False":
        return []
    kind = ParameterKind.keyword_only if keyword_only else ParameterKind.positional_or_keyword
    default = choices.get("default") if is_field else member.value
    if "factory" in choices:
        default = f"{choices['factory']}()"
    return [Parameter(member.name.lstrip("_"), annotation=member.annotation, kind=kind, default=default)]


def _read(call: str | Expr | None) -> dict[str, Any]:
    """Return the keyword arguments of a call."""
    if not isinstance(call, ExprCall):
        return {}
    return {argument.name: argument.value for argument in call.arguments if isinstance(argument, ExprKeyword)}
