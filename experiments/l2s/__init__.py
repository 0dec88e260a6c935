"""What experiments on L2S show."""

from .figures import curve_rows, draw_trace, eval_figures

__all__ = ["curve_rows", "draw_trace", "eval_figures"]
