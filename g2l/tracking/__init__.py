"""MLflow, fed from the folders of runs.

`mirror` reads the folder, `uploader` sends what MLflow lacks, in a process of its own. A run context
does no more than write the records of `g2l.records` and::

    upload = start_upload(folder)            # g2l.tracking.process; when run.json exists
    ...                                      # the work; nothing of it is told to MLflow
    line = upload.finish()                   # after the last status.json; a line to print, or None
    upload.run_id                            # MLflow's id of the root run, or None
"""
