"""The report of a run as one file.

`reading.read_runs` (records of the run folders) → `facts.RunFacts` → sections of blocks (`answer`,
`structures`, `predictions`, `progress`, `origin`) → `render.html` or `render.markdown`; `render.write_report`
does all of it.
"""
