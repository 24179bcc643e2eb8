"""JSON schemas of what we write ourselves, from the types that write it: there is no second definition that could differ."""

from typing import Any, cast

from msgspec import NODEFAULT, inspect

from domain.event import Event, Recorded
from domain.log import wire
from domain.units import Units

Schema = dict[str, Any]
AMOUNT: Schema = {
    "type": "string",
    "pattern": "^(0|-?[1-9][0-9]{0,77})$",
    "description": "Minor units of the asset.",
    "examples": ["200000000"],
}
LINE = "EventLine"


class Schemas:
    """Named schemas, each made when it is first referred to."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, type: Any) -> Schema:
        return self._schema(inspect.type_info(type))

    def line(self) -> Schema:
        """An event in its place in the log: a leaf of the tree."""
        if LINE not in self.components:
            self.components[LINE] = {}
            recorded = self._struct(cast(inspect.StructType, inspect.type_info(Recorded[Event])))
            events = [self.of(kind) for kind in wire.EVENTS]
            names = {str(kind.__struct_config__.tag): each["$ref"] for kind, each in zip(wire.EVENTS, events, strict=True)}
            recorded["properties"]["event"] = {"oneOf": events, "discriminator": {"propertyName": "type", "mapping": names}}
            self.components[LINE] = recorded
        return reference(LINE)

    def _schema(self, info: inspect.Type) -> Schema:
        match info:
            case inspect.StrType():
                return {"type": "string"}
            case inspect.BoolType():
                return {"type": "boolean"}
            case inspect.IntType():
                return {"type": "integer"}
            case inspect.NoneType():
                return {"type": "null"}
            case inspect.LiteralType(values):
                return {"enum": list(values)}
            case inspect.UnionType(types):
                return {"anyOf": [self._schema(each) for each in types]}
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return {"type": "array", "items": self._schema(item)}
            case inspect.TupleType(item_types=items):
                fixed = [self._schema(each) for each in items]
                return {"type": "array", "prefixItems": fixed, "minItems": len(fixed), "maxItems": len(fixed)}
            case inspect.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._schema(value)}
            case inspect.CustomType(cls) if cls is Units:
                return AMOUNT
            case inspect.StructType():
                return self._named(info)
        raise TypeError(f"{info} has no schema")

    def _named(self, info: inspect.StructType) -> Schema:
        name = name_of(info.cls)
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._struct(info)
        return reference(name)

    def _struct(self, info: inspect.StructType) -> Schema:
        properties: dict[str, Schema] = {}
        required = []
        if info.tag is not None:
            properties[str(info.tag_field)] = {"const": info.tag}
            required.append(str(info.tag_field))
        omitted = getattr(info.cls, "__origin__", info.cls).__struct_config__.omit_defaults
        for field in info.fields:
            properties[field.encode_name] = self._schema(field.type)
            # What was never said (UNSET) has no default here, and is left out.
            always = field.required or (not omitted and (field.default is not NODEFAULT or field.default_factory is not NODEFAULT))
            if always:
                required.append(field.encode_name)
        text = (info.cls.__doc__ or "").strip()
        described = {"description": " ".join(text.split())} if text else {}
        return {"type": "object", **described, "properties": properties, "required": required, "additionalProperties": False}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def name_of(kind: type) -> str:
    """Of an event its stored name, of another struct `module.Class`."""
    if issubclass(kind, Event):
        return str(kind.__struct_config__.tag)
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
