"""The service on a Ray cluster, by Ray Serve."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepenough.engines import AUTO
from deepenough.errors import DeepenoughError
from deepenough.serve.access import Access
from deepenough.serve.limits import Limits


def ray_app(
    run: str | Path | Mapping[str, str | Path],
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    device: str = "cpu",
    engine: str = AUTO,
    **deployment: Any,
) -> Any:
    """Make a Ray Serve application of a run, or of several by name; `ray.serve.run` takes it.

    Every replica reads the models by itself, so that the folders have to be there on every machine of the cluster.

    Args:
        run: folder of a run or of a model; of several with their names.
        limits: of requests, for each replica.
        access: who may ask; all who reach the cluster's proxy where it is not given.
        device: where to compute.
        engine: what computes the logits; by default each replica takes the fastest that is installed there and proven
            to give torch's answers.
        deployment: options of `ray.serve.deployment`, such as `num_replicas` and `ray_actor_options`.
    """
    if find_spec("ray") is None or find_spec("grpc_reflection") is None:
        raise DeepenoughError("Ray Serve is not installed: pip install 'ray[serve]'")
    from ray import serve

    given = run if isinstance(run, Mapping) else {Path(run).resolve().name: run}
    runs = {name: Path(path).resolve() for name, path in given.items()}

    def build() -> Any:
        from deepenough.serve.app import make_app

        return make_app(runs, limits, device, access, engine)

    return serve.deployment(**{"name": "deepenough", **deployment})(serve.ingress(build)()).bind()
