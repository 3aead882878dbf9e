"""MLflow, fed from the folders of runs: `mirror` reads a folder, `upload` sends what MLflow lacks.

That happens in a process of its own, which `process.Upload` starts and ends; a run only writes its records.
"""
