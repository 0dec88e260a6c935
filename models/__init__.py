"""The networks that are cut: layers as plain data, the zoo, plans. Importing this pulls no torch."""
