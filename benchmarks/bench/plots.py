"""The four plots of a benchmark run, as SVG: the ladder, the roofline, the sweep over sizes, the peers.

Each function takes a run's JSON (or `Run`) and a kernel's name, and returns the text of one SVG: a file of its own with
colours for light and dark, or (`alone=False`) an element for the report, which has them. `threads` and `dtype` choose
among the run's; by default the first that fit. A plot that has nothing to show is "". What is not trusted is drawn
hollow and dashed; what failed is named.

>>> run = {"format": "minitorch-bench/1", "results": []}
>>> ladder(run, "matmul")
''
"""
from .plots_planes import roofline, sweep
from .plots_rows import against, beside, ladder, peers

__all__ = ["against", "beside", "ladder", "peers", "roofline", "sweep"]
