"""What experiments on Prune-Deprune show."""

from .figures import curve_rows, draw_trace, eval_figures

__all__ = ["curve_rows", "draw_trace", "eval_figures"]
