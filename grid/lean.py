"""Starting fast. Ray for one machine, without what watches over clusters: that costs seconds, unasked.

Left out are the head's autoscaler, its dashboard's server and the log monitor, and of Ray Data the actors
that collect statistics for that dashboard and ask for more machines. Ray has no switch for these. The names
replaced are private to the version that pyproject.toml pins; one that is gone is an AttributeError at once.
A cluster joined by its address keeps all of it.
"""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

WATCHERS = ("start_monitor", "start_log_monitor", "start_api_server")


@contextmanager
def loading() -> Iterator[None]:
    """Imports within are a fifth faster, and later collections skip what they made: it is never garbage."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def one_node() -> Iterator[None]:
    """Ray's head started within has none of the processes that watch over other machines, and is on loopback.

    Elsewhere its servers listen on every interface of the machine; what Ray does on a Mac keeps them here.
    """
    from ray._private import ray_constants
    from ray._private.node import Node

    def none(node: Node, **options: Any) -> None:
        return None

    with ExitStack() as stack:
        stack.enter_context(patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False))
        for name in WATCHERS:
            stack.enter_context(patch.object(Node, name, none))
        yield


@contextmanager
def one_node_data() -> Iterator[None]:
    """Ray Data run within takes the machine's resources as they are and keeps no statistics elsewhere."""
    import ray
    from ray.data._internal import stats
    from ray.data._internal.cluster_autoscaler import ClusterAutoscaler
    from ray.data._internal.execution import streaming_executor
    from ray.data._internal.execution.interfaces import ExecutionResources

    class Fixed(ClusterAutoscaler):
        """All that the machine has: data tasks ask for no CPU (grid.prepare), memory alone limits them."""

        def try_trigger_scaling(self) -> None: ...

        def on_executor_shutdown(self) -> None: ...

        def get_total_resources(self) -> ExecutionResources:
            return ExecutionResources.from_resource_dict(ray.cluster_resources())

    def fixed(*arguments: Any, **options: Any) -> Fixed:
        return Fixed()

    with (
        patch.object(streaming_executor, "create_cluster_autoscaler", fixed),
        patch.object(stats, "get_or_create_stats_actor", _Unheard),
    ):
        yield


class _Unheard:
    """In place of the statistics actor: takes every report and keeps none."""

    def __getattr__(self, name: str) -> "_Unheard":
        return self

    def remote(self, *arguments: Any) -> None:
        return None
