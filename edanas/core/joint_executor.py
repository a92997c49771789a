"""One executor for several functions of a run, which workers receive together and once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from edanas.core.contracts import Executor
from edanas.core.contracts.running import Answer, Item
from edanas.core.errors import CandidateError


class Task(NamedTuple):
    """An item for one of several functions.

    Args:
        step: Number of the function.
        item: The argument of the function.

    Example:
        >>> Task(1, "a").id
        ''
    """

    step: int
    item: Any

    @property
    def id(self) -> str:
        """The id of the item, for messages; empty if it has none."""
        return str(getattr(self.item, "id", ""))


class JointExecutor(Executor):
    """An executor that sends several functions to its workers as one function.

    The functions of a run share the evaluation, the data and the weights, and so does their pickle. Workers
    therefore start once, and serve the search and the finishing of results alike.

    Args:
        executor: The executor. It stays open when this object is closed.
        functions: The functions that `run` may be called with.
        device_kind: Returns the name of the model of a worker's device. Picklable.
        report: Called with the names of all models so far whenever another model appears.

    Example:
        >>> from edanas.executors.serial import Serial
        >>> joint = JointExecutor(Serial(), (abs, str), device_kind=lambda: "CPU", report=lambda kinds: None)
        >>> list(joint.run(abs, [-1])), list(joint.run(str, [2]))
        ([1], ['2'])
    """

    def __init__(
        self,
        executor: Executor,
        functions: Sequence[Callable[[Any], Any]],
        device_kind: Callable[[], str],
        report: Callable[[Sequence[str]], None],
    ) -> None:
        self.executor, self.timeout, self.workers = executor, executor.timeout, executor.workers
        self.asynchronous, self.report = executor.asynchronous, report
        self._joint, self._kinds = _JointFunction(functions, device_kind), list[str]()

    def run(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[Answer | CandidateError]:
        """See `Executor.run`."""
        for answer in self.executor.run(self._joint, self._tasks(function, items)):
            yield self._opened(answer)

    def as_completed(
        self, function: Callable[[Item], Answer], items: Iterable[Item]
    ) -> Iterator[tuple[int, Answer | CandidateError]]:
        """See `Executor.as_completed`."""
        for number, answer in self.executor.as_completed(self._joint, self._tasks(function, items)):
            yield number, self._opened(answer)

    def waiting_for(self) -> str:
        """See `Executor.waiting_for`."""
        return self.executor.waiting_for()

    def _tasks(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Task]:
        step = next(i for i, each in enumerate(self._joint.functions) if each is function)
        return (Task(step, item) for item in items)

    def _opened(self, answer: "_Answer | CandidateError") -> Any:
        """Return the answer of a function, and report a new model of device."""
        if isinstance(answer, CandidateError):
            return answer
        if answer.device_kind not in self._kinds:
            self._kinds.append(answer.device_kind)
            self.report(self._kinds)
        return answer.value


class _Answer(NamedTuple):
    value: Any
    device_kind: str


class _JointFunction:
    """Several functions as one function of a `Task`."""

    def __init__(self, functions: Sequence[Callable[[Any], Any]], device_kind: Callable[[], str]) -> None:
        self.functions, self.device_kind = tuple(functions), device_kind

    def __call__(self, task: Task) -> _Answer:
        return _Answer(self.functions[task.step](task.item), self.device_kind())
