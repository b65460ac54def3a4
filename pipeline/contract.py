"""A graph from outside: the tensors it takes and gives, and whether a request and an answer keep to that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import Code, InferError, InvalidInput, WrongAnswer
from pipeline.graph.dag import Graph
from pipeline.graph.edges import Interfaces, request_parameters, request_reads
from pipeline.graph.interface import Parameter
from pipeline.graph.spec import REQUEST
from pipeline.graph.words import VERBS, listed, meant, near
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Form
from pipeline.tensors.message import InferRequest, Verb
from pipeline.tensors.shown import quoted, shown
from pipeline.tensors.signature import Expectation, Signature, TensorSpec, as_declared, check
from pipeline.tensors.tensor import Value

# What fits a parameter that asks for one value of Python's; of any other form nothing is known but that it is a tensor.
_ONE_VALUE = {
    Form.INT: Datatype.INT64,
    Form.FLOAT: Datatype.FP64,
    Form.BOOL: Datatype.BOOL,
    Form.STR: Datatype.BYTES,
    Form.BYTES: Datatype.BYTES,
    Form.TEXTS: Datatype.BYTES,
}

Learned = Mapping[str, Signature]
"""Step name → what its model told of itself once it was open."""


class Contract:
    """The outside of one graph. The model's name is for the words of its errors."""

    def __init__(self, model: str, graph: Graph, interfaces: Interfaces) -> None:
        self._model = model
        self._graph = graph
        self._interfaces = interfaces
        self._reads = request_reads(graph, interfaces)
        self._parameters = request_parameters(graph, interfaces)
        self._bfloat16 = {name for name, spec in graph.spec.outputs.items() if spec.datatype is Datatype.BF16}
        self._givers = {verb: frozenset(own.source for own in wanted) for verb, wanted in graph.output.items()}
        self.verbs = frozenset(graph.output)
        """Those that it has an answer to."""
        self._readers = [step for step in graph.planned if any(own.source == REQUEST for own in step.references)]

    def signature(self, learned: Learned) -> Signature:
        """Inputs and outputs as far as they are known: declared in the schema, annotated, or told by a loaded model."""
        return Signature(self._inputs(learned), self._outputs(learned))

    def expectation(self, learned: Learned) -> Expectation:
        """What a codec may know before it reads a request."""
        declared, reads = self._graph.spec.inputs, self._reads
        names = () if reads.everything or reads.only else tuple(declared) or tuple(sorted(reads.names))
        optional = {name for name, spec in declared.items() if spec.optional} or {
            name for name, parameter in self._parameters.items() if not parameter.required
        }
        # Who takes the only tensor whatever its name takes the one that another step reads by name.
        only = tuple(declared) or names or tuple(reads.named)
        needed = tuple(name for name in only if name not in optional)
        interfaces = [self._interfaces[step.name] for step in self._readers]
        guessed = {} if declared else {name: own for name, own in self._parameters.items() if own.spec is None}
        return Expectation(
            signature=self.signature(learned),
            only_input=only[0] if len(only) == 1 else needed[0] if len(needed) == 1 else None,
            takes_json=any(interface.takes_json for interface in interfaces),
            takes_tensors=any(interface.takes_tensors for interface in interfaces),
            takes_bytes=any(interface.takes_bytes for interface in interfaces),
            reads_body=any(self._interfaces[step.name].reads_body for step in self._graph.planned),
            names=names,
            hints={name: _hint(own) for name, own in guessed.items()},
            unguessed=frozenset(name for name, own in guessed.items() if _wants_object(own, len(self._parameters))),
        )

    def check(self, request: InferRequest) -> None:
        """Raises InvalidInput where the request is not what the schema declares, or has a tensor that no step reads."""
        declared = self._graph.spec.inputs
        if declared:
            reason = check(declared, request.inputs, "input")
            if reason is not None:
                raise InvalidInput(reason + self._misspelt(request))
        reads = self._reads
        for name in request.inputs:
            if name not in reads.names and not reads.covers(name, len(request.inputs)):
                hint = meant(name, [*declared] or sorted(self._reads.names))
                raise InvalidInput(f'input {quoted(name)} is read by no step of model "{self._model}"{hint}')

    def _misspelt(self, request: InferRequest) -> str:
        """The tail of an error about inputs: the first that is missing and came under a name like its own."""
        declared = self._graph.spec.inputs
        missing = [name for name in declared if name not in request.inputs]
        strange = ((name, near(name, missing)) for name in request.inputs if name not in declared)
        name, meaning = next((pair for pair in strange if pair[1] is not None), ("", None))
        return "" if meaning is None else f'; there is {quoted(name)}: did you mean "{meaning}"?'

    def require(self, verb: Verb) -> None:
        """Raises InferError (UNIMPLEMENTED, in KServe's words) where the graph has no output for that verb."""
        if verb not in self.verbs:
            raise _unimplemented()

    def require_in_process(self, verb: Verb) -> None:
        """As ``require``, in words for whoever holds the pipeline; InvalidInput where there is no such verb."""
        if verb not in VERBS:
            raise InvalidInput(f"unknown verb {shown(verb)}; there are {listed(VERBS)}")
        if verb not in self.verbs:
            way_out = f"output: {{{verb}: STEP}} in the graph says which step answers"
            raise InferError(Code.UNIMPLEMENTED, f'model "{self._model}" has no answer to {verb}; {way_out}')

    def steps_for(self, verb: Verb, outputs: Sequence[str]) -> frozenset[str]:
        """The output steps that can give these tensors; all of them where that cannot be told, or none is named.

        Raises as ``require``.
        """
        steps = self._givers.get(verb)
        if steps is None:
            raise _unimplemented()
        if len(steps) == 1 or not outputs:
            return steps
        found: set[str] = set()
        for name in outputs:
            givers = [step for step in steps if name == step or name in (self._interfaces[step].gives or ())]
            if not givers:
                return steps
            found.update(givers)
        return frozenset(found)

    def answer(self, verb: Verb, values: Mapping[str, Value], outputs: Sequence[str]) -> Mapping[str, Value]:
        """What the plan gave, narrowed to the ``outputs`` asked for; predictions are named as the schema says.

        Raises WrongAnswer where they are not what the schema declares, InvalidInput for an output that does not exist.
        """
        declared = self._graph.spec.outputs
        if declared and verb == "predict":
            if len(declared) == 1 and len(values) == 1:
                values = dict(zip(declared, values.values(), strict=True))
            for name in self._bfloat16:
                if name in values:
                    values = {**values, name: as_declared(declared[name], values[name])}
            # Asked for some outputs, the plan may not compute the others.
            due = _due(declared, values, outputs) if outputs else declared
            reason = check(due, values, "output")
            if reason is not None:
                raise WrongAnswer(f'model "{self._model}": {reason}')
        for name in outputs:
            if name not in values:
                raise InvalidInput(f"Unexpected inference output {shown(name)} for model '{self._model}'")
        return {name: values[name] for name in outputs} if outputs else values

    def _inputs(self, learned: Learned) -> dict[str, TensorSpec]:
        found = dict(self._graph.spec.inputs)
        if found:
            return found
        for step in self._readers:
            parameters = self._interfaces[step.name].parameters
            declared = {own.name: own.spec for own in parameters if own.spec is not None}
            for name, spec in (declared or learned.get(step.name, Signature()).inputs).items():
                found.setdefault(name, spec)
        return found

    def _outputs(self, learned: Learned) -> dict[str, TensorSpec]:
        if self._graph.spec.outputs:
            return dict(self._graph.spec.outputs)
        found: dict[str, TensorSpec] = {}
        for reference in self._graph.output["predict"]:
            known = self._interfaces[reference.source].gives or {}
            specs = {name: spec for name, spec in known.items() if spec is not None}
            specs = specs or dict(learned.get(reference.source, Signature()).outputs)
            found |= {name: spec for name, spec in specs.items() if reference.name in (None, name)}
        return found


def _due(
    declared: Mapping[str, TensorSpec], values: Mapping[str, Value], outputs: Sequence[str]
) -> Mapping[str, TensorSpec]:
    return {name: spec for name, spec in declared.items() if name in values or name in outputs}


def _unimplemented() -> InferError:
    return InferError(Code.UNIMPLEMENTED, "Could not find explainer_host.")


def _hint(parameter: Parameter) -> TensorSpec:
    form = parameter.item or parameter.form
    datatype = _ONE_VALUE.get(form)
    if parameter.item is Form.LIST:
        # An item is a list itself.
        datatype = Datatype.INT64
    dims: tuple[int, ...] = (-1,) if datatype is None else (1,)
    if parameter.item in (Form.LIST, Form.TEXTS):
        dims = (1, *dims)
    return TensorSpec(datatype or Datatype.INT64, dims, optional=not parameter.required, any_number=datatype is None)


def _wants_object(parameter: Parameter, how_many: int) -> bool:
    """Whether it takes nothing but a JSON object, whose keys nobody knows; by itself it takes the whole body."""
    if not parameter.required:
        return False
    return parameter.item is Form.DICT or (parameter.item is None and parameter.form is Form.DICT and how_many > 1)
