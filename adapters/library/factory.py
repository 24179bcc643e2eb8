"""The library's infrastructure factory over a ledger. The modules beside it say where the ledger's log lies: one of them is named by
`PERSISTENCE_MODULE`, as the library has it, and each shows the library one factory."""

import re
from threading import Lock
from typing import TypeVar

from eventsourcing import persistence
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from adapters.library import recorders
from adapters.library.ledger import ANSWER_S_MAX, Ledger, Open
from adapters.library.line import KINDS

PREFIX, ANSWER = "GRIDLEDGER_PREFIX", "GRIDLEDGER_ANSWER_S_MAX"
T = TypeVar("T")


class LedgerFactory(persistence.InfrastructureFactory[recorders.TrackingRecorder]):
    """One ledger, opened when the first recorder is asked for, and shared by all of them."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._ledger: Ledger | None = None
        self._turn = Lock()

    @property
    def name(self) -> str:
        """Of the ledger: the application's, in small letters, behind `GRIDLEDGER_PREFIX`."""
        return re.sub("[^a-z0-9_]", "_", f"{self.env.get(PREFIX, '')}{self.env.name or 'application'}".lower())

    @property
    def creates(self) -> bool:
        """Whether a ledger that is not there is made: `CREATE_TABLE`, as in the library's own modules."""
        return strtobool(self.env.get("CREATE_TABLE", "yes"))

    @property
    def ledger(self) -> Ledger:
        with self._turn:
            if self._ledger is None:
                with recorders.refusals():
                    self._ledger = Ledger(self.place(), self.name, float(self.env.get(ANSWER, str(ANSWER_S_MAX))))
            return self._ledger

    def place(self) -> Open:
        """How its log is opened."""
        raise NotImplementedError

    def required(self, name: str) -> str:
        """A variable's value. Raises `InfrastructureFactoryError` if it is not set."""
        if value := self.env.get(name):
            return value
        raise persistence.InfrastructureFactoryError(f"the environment has no {name}")

    def aggregate_recorder(self, purpose: str = "events") -> persistence.AggregateRecorder:
        for known in KINDS:
            if purpose == known:
                return recorders.AggregateRecorder(self.ledger, known)
        raise persistence.ProgrammingError(f"there is no purpose {purpose!r}: {' or '.join(KINDS)}")

    def application_recorder(self) -> persistence.ApplicationRecorder:
        return self._kind(self.APPLICATION_RECORDER_TOPIC, recorders.ApplicationRecorder)(self.ledger)

    def tracking_recorder(self, tracking_recorder_class: type[recorders.TrackingRecorder] | None = None) -> recorders.TrackingRecorder:
        return (tracking_recorder_class or self._kind(self.TRACKING_RECORDER_TOPIC, recorders.TrackingRecorder))(self.ledger)

    def process_recorder(self) -> persistence.ProcessRecorder:
        return self._kind(self.PROCESS_RECORDER_TOPIC, recorders.ProcessRecorder)(self.ledger)

    def close(self) -> None:
        with self._turn:
            if self._ledger:
                self._ledger.close()

    def _kind(self, variable: str, otherwise: type[T]) -> type[T]:
        """The class that a variable names."""
        topic = self.env.get(variable)
        kind: type[T] = resolve_topic(topic) if topic else otherwise
        if not issubclass(kind, otherwise):
            raise persistence.InfrastructureFactoryError(f"{variable}: {kind} is no {otherwise.__name__} of {otherwise.__module__}")
        return kind
