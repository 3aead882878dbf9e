"""Fast CPU forms of a few operations, each with a test of equality with its plain form.

Their worth is measured in `benchmarks/RESULTS.md`; none is used on a GPU, by a compiler or in an export.
"""
