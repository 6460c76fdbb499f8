"""A sweep on a Ray cluster of two nodes on this machine, of which one dies; says what came of it.

Run by test_jobs_ray.py in a process of its own.
"""

import json
import os
import time

import jobs_functions as jobs
from ray.cluster_utils import Cluster

from flowlab.jobs import Ray

POINTS, STEPS, PAUSE = 8, 10, 0.1
# A dead node is noticed after three missed signs of life, a second apart, instead of five.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000,
         "health_check_failure_threshold": 3}


def main():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1,
                                                            "_system_config": QUICK})
    doomed = cluster.add_node(num_cpus=2)
    os.environ["RAY_ADDRESS"] = cluster.address
    with Ray() as engine:
        runs = [engine.submit(jobs.point, (n, 0, STEPS, PAUSE)) for n in range(POINTS)]
        dying = doomed.node_id

        def busy():
            """Runs with events from the node that is to die, not yet over."""
            return [run for run in runs if engine.status(run).active
                    and any(node == dying for _, node in engine.events(run)[2:])]

        def over():
            return [run for run in runs if not engine.status(run).active]

        while not (busy() and over()):
            time.sleep(0.01)
        before = {run: engine.result(run) for run in over()}
        cluster.remove_node(doomed, allow_graceful=False)
        statuses = [engine.wait(run, 120) for run in runs]
        print(json.dumps({
            "dying": dying,
            "before": [[result, engine.result(run)] for run, result in before.items()],
            "states": [status.state for status in statuses],
            "messages": [status.message for status in statuses],
            "events": [engine.events(run) for run in runs],
            "results": [engine.result(run) for run in runs],
        }))
    cluster.shutdown()


if __name__ == "__main__":
    main()
