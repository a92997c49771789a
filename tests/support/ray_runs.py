"""Programs that use a real Ray on this machine, and print what happened as JSON."""

import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edanas.core.archive import Archive
from edanas.core.contracts import Executor
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import EdanasError
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.executors import ray_cluster, ray_connection
from edanas.executors.ray_cluster import Ray
from edanas.executors.serial import Serial
from edanas.strategies.random_search import RandomSearch
from edanas.testing.executors import check_executor
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space


class OwnEvaluator(ToyEvaluator):
    """A class of `__main__`, which workers cannot import; it ends its process at a file's word."""

    def __init__(self, order: Path) -> None:
        self.order = order

    def evaluate(self, candidate: Any) -> Any:
        time.sleep(0.05)
        if self.order.exists():
            self.order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(candidate)


class Unloadable:
    def __call__(self, item: int) -> int:
        return item

    def __setstate__(self, state: Any) -> None:
        raise OSError("no such supernet file")

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}


def square(number: int) -> int:
    time.sleep(0.2)
    return number * number


def fatal(name: str) -> str:
    if name == "fatal":
        print("the last words", file=sys.stderr, flush=True)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def search(executor: Executor, order: Path) -> SearchOutcome:
    space, strategy = toy_space(), RandomSearch()
    strategy.start(toy_problem(space, initial=5))
    length = SearchSettings(initial=5, iterations=2, per_iteration=4)
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder)) as archive:
        objectives = (ToyAccuracy(), ToyCost())
        setup = SearchSetup(space, strategy, OwnEvaluator(order), executor, objectives, length)
        return Engine(setup, archive, lambda *_, **__: None, Silent()).run()


def error_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except EdanasError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def local(folder: Path) -> dict[str, Any]:
    """Ray on this machine: started once, by an executor, and used by others."""
    import ray

    done: dict[str, Any] = {"auto": error_of(lambda: list(Ray().run(square, [1])))}
    # A worker of 0 CPUs leaves room for those of the other executors on the same Ray.
    starter = Ray("local", workers=1, cpus=0.0)
    done["squares"] = list(starter.run(square, [2, 3]))
    order = folder / "order"
    order.touch()
    started = search(Ray(), order)
    expected = search(Serial(), order)
    done["equal"] = started.evaluations == expected.evaluations
    done["killed"] = not order.exists()
    check_executor(Ray(workers=2))
    done["conforms"] = True
    done["stays"] = ray.is_initialized()
    executor = Ray(workers=1)
    done["fatal"] = [str(answer) for answer in executor.run(fatal, ["a", "fatal", "b"])]
    executor.close()
    done["unloadable"] = error_of(lambda: list(Ray(workers=1).run(Unloadable(), [1])))
    ray_cluster.installed = lambda: {"edanas": "9.9"}
    done["version"] = error_of(lambda: list(Ray(workers=1).run(square, [1])))
    starter.close()
    done["ended"] = not ray.is_initialized()
    return done


def cluster(_: Path) -> dict[str, Any]:
    """Two nodes, of which one is lost; then the head is lost while a worker waits for a node."""
    import ray
    from ray.cluster_utils import Cluster

    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300}
    system = {**health, "health_check_failure_threshold": 3}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": system})
    lost = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, logging_level=logging.ERROR)
    ray_cluster._POLL, ray_connection._HEAD_LIMIT = 1.0, 2.0
    executor = Ray(workers=3)
    answers, places = [], set()
    for answer in executor.run(square, range(12)):
        answers.append(answer)
        places |= {worker.place[0] for worker in executor._pool if worker.place}
        if len(places) == 2 and lost is not None:
            nodes.remove_node(lost, allow_graceful=False)
            lost = None
    done: dict[str, Any] = {"answers": answers, "nodes": len(places)}
    stream = executor.run(square, range(100))
    next(stream)
    # Without an answer or an error within a minute, the program is killed.
    signal.alarm(60)
    nodes.head_node.all_processes["gcs_server"][0].process.kill()
    done["head"] = error_of(lambda: list(stream))
    executor.close()
    signal.alarm(0)
    # The cluster refuses to remove the node of a connected process.
    ray.shutdown()
    nodes.shutdown()
    return done


if __name__ == "__main__":
    program = {"local": local, "cluster": cluster}[sys.argv[1]]
    print(json.dumps(program(Path(sys.argv[2]))), flush=True)
    # Ray's own end would wait for the dead head.
    os._exit(0)
