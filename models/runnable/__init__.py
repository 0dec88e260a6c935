"""The layers, units and compressing cuts of models as torch modules."""
