"""The networks: definition, weights, export to graphs, build, execution. Knows nothing of cameras or scores.

As the lowest room it also holds what every program needs: errors and exits, options, a terminal, output files.
"""
