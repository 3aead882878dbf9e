"""What a run found, as one file: read folders, a frozen model of them, sections of blocks, templates.

`read.read_runs` → `model.RunFacts` → `sections.build_report` → `render.html` or `render.markdown`.
"""
