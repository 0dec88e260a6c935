"""What experiments on HierTrain show."""

from .figures import curve_rows, draw_plan, draw_trace, eval_figures

__all__ = ["curve_rows", "draw_plan", "draw_trace", "eval_figures"]
