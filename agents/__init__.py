"""Who decides: agents of every family, by name or from the folder of a run."""

from .protocol import Agent, Learner
from .registry import agents_of, make_agent
from .saved import env_of, load

__all__ = ["Agent", "Learner", "agents_of", "env_of", "load", "make_agent"]
