"""Queries, read once and then only carried out.

A document is parsed and checked by graphql-core, as strawberry would have it done, and kept by its text. What it selects becomes a plan:
for each field the attribute to take, or what to fetch. Carrying that out gives what graphql-core's executor gives (a test compares),
without its steps for each field of each row. Introspection is left to that executor.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
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
OF_SCHEMA = {"__schema", "__type"}


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

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Raises `Refusal`."""
        if not name and len(self._operations) == 1:
            return next(iter(self._operations.values()))
        if (found := self._operations.get(name or "")) is None:
            raise Refusal([GraphQLError("Name one of the document's operations.")])
        return found

    def introspection(self, operation: OperationDefinitionNode, given: dict[str, Any]) -> dict[str, Any]:
        """What it asks of the schema itself, answered by the library. Raises `Refusal`."""
        asked = tuple(node for node in self._at_root(operation.selection_set) if node.name.value in OF_SCHEMA)
        if not asked:
            return {}
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
            steps = self._steps([operation.selection_set], self._schema.query_type, variables, 1)
            self._plans[name] = steps
        if (cost := weigh(steps, variables)) > COST_MAX:
            raise Refusal([GraphQLError(f"The query may cost {cost}; {COST_MAX} is the most. Ask for fewer rows, or less below them.")])
        return steps

    def _steps(self, selections: list[SelectionSetNode], parent: GraphQLObjectType, variables: Any, depth: int) -> list[Step]:
        if depth > DEPTH_MAX:
            raise Refusal([GraphQLError(f"The query nests deeper than {DEPTH_MAX}.")])
        by_key: dict[str, list[FieldNode]] = {}
        for selection in selections:
            for node in self._fields_of(selection, variables):
                by_key.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        steps = []
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

    def _fields_of(self, selection: SelectionSetNode, variables: Any) -> Iterator[FieldNode]:
        """Fragments are of the type that they stand in: there are no interfaces, and the document was checked."""
        for node in selection.selections:
            if self._conditional and not included(node, variables):
                continue
            match node:
                case FieldNode():
                    yield node
                case InlineFragmentNode():
                    yield from self._fields_of(node.selection_set, variables)
                case FragmentSpreadNode():
                    yield from self._fields_of(self._fragments[node.name.value].selection_set, variables)

    def _at_root(self, selection: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection.selections:
            match node:
                case FieldNode():
                    yield node
                case InlineFragmentNode():
                    yield from self._at_root(node.selection_set)
                case FragmentSpreadNode():
                    yield from self._at_root(self._fragments[node.name.value].selection_set)


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
