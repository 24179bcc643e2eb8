"""Queries, read once and then only carried out.

A document is parsed and checked by graphql-core, as strawberry would have it done, and kept by its text. What it selects becomes a plan:
for each field the attribute to take, or what to fetch. Carrying that out gives what graphql-core's executor gives (a test compares),
without its steps for each field of each row. Introspection is left to that executor.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
    get_named_type,
    parse,
    validate,
)
from graphql.execution.values import get_argument_values, get_directive_values, get_variable_values
from graphql.type import GraphQLIncludeDirective

from api.graphql import graph
from api.graphql.schema import Field

TOKENS_MAX, DEPTH_MAX, COST_MAX = 1_000, 10, 2_000
QUERY_COST = 5
"""Of a fetch, beside one for each row that it may bring."""
KEPT_MAX = 256
"""Documents; of 64 KiB at most, since a body is."""
ERRORS_MAX = 10
FIELDS_MAX = 2_000
"""Of a plan: a fragment stands wherever it is named, so a short document may select very much."""
OF_SCHEMA = {"__schema", "__type"}
ROWS_OF_SCHEMA = {
    "types": 50,
    "fields": 15,
    "args": 8,
    "inputFields": 8,
    "enumValues": 8,
    "interfaces": 8,
    "possibleTypes": 8,
    "directives": 8,
}
OF_SCHEMA_MAX = 300_000
"""What is asked of the schema itself, counted with so many of each list: all of it, as the usual tools ask, is a tenth less."""


class Refusal(Exception):
    """Nothing was carried out; why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(str(errors[0]))
        self.errors = errors


class Step:
    """One field of a plan."""

    __slots__ = ("arguments", "attribute", "deep", "fetch", "field", "key", "nodes", "plan", "several", "type")

    def __init__(self, key: str, nodes: list[FieldNode], parent: GraphQLObjectType, field: Field | None) -> None:
        self.key, self.nodes, self.field = key, nodes, field
        self.attribute = field.attribute if field else ""
        self.fetch, self.several = (field.fetch, field.several) if field else (None, False)
        self.type = parent
        self.plan: list[Step] = []
        self.deep = False
        """Whether something is fetched below."""

    def given(self, variables: Any) -> dict[str, Any]:
        """Arguments by our own names. Raises `GraphQLError`."""
        found = get_argument_values(self.type.fields[self.nodes[0].name.value], self.nodes[0], variables)
        assert self.field
        return {name: found[public] for name, public in self.field.public.items() if found.get(public) is not None}


class Query:
    """A document that may be carried out."""

    def __init__(self, schema: GraphQLSchema, fields: Mapping[str, Mapping[str, Field]], text: str) -> None:
        """Raises `Refusal`."""
        self._schema, self._fields = schema, fields
        try:
            self.document: DocumentNode = parse(text, no_location=False, max_tokens=TOKENS_MAX)
        except GraphQLError as error:
            raise Refusal([error]) from None
        if errors := validate(schema, self.document, max_errors=ERRORS_MAX):
            raise Refusal(errors)
        definitions = self.document.definitions
        self._fragments = {each.name.value: each for each in definitions if isinstance(each, FragmentDefinitionNode)}
        self._operations = {each.name.value if each.name else "": each for each in definitions if isinstance(each, OperationDefinitionNode)}
        self._plans: dict[str, list[Step]] = {}
        self._conditional = "@" in text
        self._room = 0

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises `Refusal`."""
        if not name and len(self._operations) == 1:
            return next(iter(self._operations.values()))
        if (found := self._operations.get(name or "")) is None:
            raise Refusal([GraphQLError("Name one of the document's operations.")])
        return found

    def introspection(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> dict[str, Any]:
        """What it asks of the schema itself, answered by the library. Raises `Refusal`."""
        asked = tuple(node for node in self._under([operation.selection_set]) if node.name.value in OF_SCHEMA)
        if not asked:
            return {}
        if self._rows_of_schema(asked) > OF_SCHEMA_MAX:
            raise Refusal([GraphQLError("The query asks too much of the schema. Ask for each list once.")])
        only = OperationDefinitionNode(
            operation=operation.operation,
            name=operation.name,
            variable_definitions=operation.variable_definitions,
            directives=operation.directives,
            selection_set=SelectionSetNode(selections=asked),
        )
        document = DocumentNode(definitions=(only, *self._fragments.values()))
        name = operation.name.value if operation.name else None
        found = execute_sync(self._schema, document, variable_values=given, operation_name=name)
        if found.errors:
            raise Refusal(list(found.errors))
        return dict(found.data or {})

    def variables(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> Any:
        """Raises `Refusal`."""
        found = get_variable_values(self._schema, operation.variable_definitions or (), given, max_errors=ERRORS_MAX)
        if isinstance(found, list):
            raise Refusal(found)
        return found

    def plan(self, operation: OperationDefinitionNode, variables: Any) -> list[Step]:
        """Raises `Refusal` for what is too deep or may bring too much."""
        name = operation.name.value if operation.name else ""
        steps = None if self._conditional else self._plans.get(name)
        if steps is None:
            assert self._schema.query_type
            self._room = FIELDS_MAX
            steps = self._steps([operation.selection_set], self._schema.query_type, variables, 1)
            self._plans[name] = steps
        if (cost := weigh(steps, variables)) > COST_MAX:
            raise Refusal([GraphQLError(f"The query may cost {cost}; {COST_MAX} is the most. Ask for fewer rows, or less below them.")])
        return steps

    def _steps(self, selections: list[SelectionSetNode], parent: GraphQLObjectType, variables: Any, depth: int) -> list[Step]:
        if depth > DEPTH_MAX:
            raise Refusal([GraphQLError(f"The query nests deeper than {DEPTH_MAX}.")])
        by_key: dict[str, list[FieldNode]] = {}
        for node in self._under(selections, variables):
            by_key.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        steps = []
        self._room -= len(by_key)
        if self._room < 0:
            raise Refusal([GraphQLError(f"The query selects more than {FIELDS_MAX} fields.")])
        for key, nodes in by_key.items():
            name = nodes[0].name.value
            if name in OF_SCHEMA:
                continue
            step = Step(key, nodes, parent, None if name == "__typename" else self._fields[parent.name][name])
            if below := [node.selection_set for node in nodes if node.selection_set]:
                child = get_named_type(parent.fields[name].type)
                assert isinstance(child, GraphQLObjectType)
                step.plan = self._steps(below, child, variables, depth + 1)
                step.deep = any(each.fetch or each.deep for each in step.plan)
            steps.append(step)
        return steps

    def _under(self, selections: list[SelectionSetNode], variables: Any = None) -> Iterator[FieldNode]:
        """The fields of one object. Fragments are of the type that they stand in: there are no interfaces, and the document was checked.
        Each counts once, however often it is named. Without `variables` also fields that are left out under a condition."""
        seen, left = set[str](), [node for selection in reversed(selections) for node in reversed(selection.selections)]
        while left:
            node = left.pop()
            if self._conditional and variables is not None and not included(node, variables):
                continue
            match node:
                case FieldNode():
                    yield node
                case InlineFragmentNode():
                    left += reversed(node.selection_set.selections)
                case FragmentSpreadNode() if (name := node.name.value) not in seen:
                    seen.add(name)
                    left += reversed(self._fragments[name].selection_set.selections)

    def _rows_of_schema(self, nodes: Sequence[FieldNode]) -> int:
        """How much is asked of the schema; beyond the most it is not counted on."""
        found = 0
        for node in nodes:
            found += 1
            if node.selection_set:
                found += ROWS_OF_SCHEMA.get(node.name.value, 1) * self._rows_of_schema(tuple(self._under([node.selection_set])))
            if found > OF_SCHEMA_MAX:
                break
        return found


def included(node: Any, variables: Any) -> bool:
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and not (include and not include["if"])


def weigh(steps: list[Step], variables: Any) -> int:
    """How many rows a plan may bring, and a little for each fetch."""
    cost = 0
    for step in steps:
        if step.fetch is None:
            cost += weigh(step.plan, variables) if step.deep else 0
            continue
        rows = 1
        if step.field and "first" in step.field.arguments:
            rows = min(
                max(step.given(variables).get("first", graph.FIRST if step.type.name == "Query" else graph.BELOW), 1), graph.FIRST_MAX
            )
        cost += QUERY_COST + rows + (rows * weigh(step.plan, variables) if step.deep else 0)
    return cost


class Documents:
    """Those that were asked for lately, by their text."""

    def __init__(self, schema: strawberry.Schema, fields: Mapping[str, Mapping[str, Field]]) -> None:
        self.schema = schema
        self._schema, self._fields = schema._schema, fields
        self._kept: OrderedDict[str, Query] = OrderedDict()

    def read(self, text: str) -> Query:
        """Raises `Refusal`."""
        if (known := self._kept.get(text)) is not None:
            self._kept.move_to_end(text)
            return known
        query = Query(self._schema, self._fields, text)
        self._kept[text] = query
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return query
