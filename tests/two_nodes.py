"""Jobs and a sweep on a Ray cluster of two nodes, of which one dies; says what came of them.

Run by test_jobs_ray.py in a process of its own.
"""

import json
import os
import sys
import time

import jobs_functions as jobs
from ray.cluster_utils import Cluster

from flowlab.jobs import Job, Ray
from flowlab.runs import Recorder, Store
from flowlab.studies.sweep import Sweep, SweepSettings
from models import RECIPES

POINTS, STEPS, PAUSE = 8, 10, 0.2
# A dead node is noticed after three missed signs of life, a second apart, instead of five.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000,
         "health_check_failure_threshold": 3}


#: Long enough, at thousands of steps, that the node dies in the midst of it.
SWEEP = SweepSettings(
    name="two nodes", model="nice", seeds=2,
    settings={"hidden": [16], "couplings": 4, "points": 2000, "batch_size": 100, "epochs": 120},
    sweep={"learning_rate": [1e-3, 3e-3, 1e-2]})


def main():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1,
                                                            "_system_config": QUICK})
    os.environ["RAY_ADDRESS"] = cluster.address
    doomed = cluster.add_node(num_cpus=2)
    with Ray(preload=("models", "flowlab.live")) as engine:
        said = {"jobs": several(engine, cluster, doomed)}
        doomed = cluster.add_node(num_cpus=2)
        said["sweep"] = sweep(engine, cluster, doomed)
    print(json.dumps(said))
    cluster.shutdown()


def several(engine, cluster, doomed):
    """Jobs whose events tell which node they come from."""
    runs = [engine.submit(Job(jobs.point, (n, 0, STEPS, PAUSE), resume=lambda request, event: (
        request[0], event[0] + 1, *request[2:]))) for n in range(POINTS)]
    dying = doomed.node_id

    def busy():
        """Runs on the node that is to die, with half of their steps before them."""
        told = {run: engine.events(run) for run in runs if engine.status(run).active}
        return [run for run, events in told.items()
                if 2 < len(events) <= STEPS // 2 and events[-1][1] == dying]

    def over():
        return [run for run in runs if not engine.status(run).active]

    while not (busy() and over()):
        time.sleep(0.01)
    before = {run: engine.result(run) for run in over()}
    cluster.remove_node(doomed, allow_graceful=False)
    statuses = [engine.wait(run, 120) for run in runs]
    return {"dying": dying,
            "before": [[result, engine.result(run)] for run, result in before.items()],
            "states": [status.state for status in statuses],
            "messages": [status.message for status in statuses],
            "events": [engine.events(run) for run in runs],
            "results": [engine.result(run) for run in runs]}


def sweep(engine, cluster, doomed):
    """A real sweep: its node dies once a run is over and others are under way there."""
    trained = Sweep(SWEEP, RECIPES["nice"], Store(sys.argv[1]))
    recorder = Recorder(engine, trained.store)
    ids = trained.start(recorder)

    def over():
        return [run_id for run_id in ids if recorder.done(run_id)]

    def busy():
        return [run_id for run_id in ids if recorder.frames(run_id) and not recorder.done(run_id)]

    while not (over() and len(busy()) > 1):  # the other node has room for one only
        time.sleep(0.01)
    before = {run_id: trained.store.get(run_id).numbers for run_id in over()}
    cluster.remove_node(doomed, allow_graceful=False)
    deadline = time.monotonic() + 240
    while len(over()) < len(ids) and time.monotonic() < deadline:
        time.sleep(0.1)
    recorder.close()
    return {"before": len(before),
            "kept": all(trained.store.get(i).numbers == numbers for i, numbers in before.items()),
            "messages": [recorder.status(run_id).message for run_id in ids],
            "outcomes": [t.run.outcome for t in trained.state()],
            "measures": [t.measure("kl") for t in trained.state()]}


if __name__ == "__main__":
    main()
