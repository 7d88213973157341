"""The networks: definition, weights, export to graphs, build, execution. Knows nothing of cameras or scores."""
