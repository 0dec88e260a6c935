"""What experiments on DistrEdge show."""

from .figures import draw_plan, eval_figures

__all__ = ["draw_plan", "eval_figures"]
