"""MLflow, fed from the folders of runs.

`mirror` reads the folder, `uploader` sends what MLflow lacks, in a process of its own. A run context
does no more than write the records of `g2l.records` and::

    upload = g2l.tracking.process.Upload()
    upload.start(folder)                     # when run.json exists
    ...                                      # the work; nothing of it is told to MLflow
    line = upload.finish()                   # after the last status.json; a line to print, or None
    upload.recorded()                        # where MLflow keeps the root run, or None
"""
