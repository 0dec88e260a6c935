"""splitgym: environments, agents and a live runtime for cutting deep networks across unequal devices and networks."""


def __getattr__(name: str) -> str:
    """``__version__``, looked up only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("splitgym")
    raise AttributeError(f"module 'splitgym' has no attribute {name!r}")
