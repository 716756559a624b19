"""The command line: declares parameters, calls one ordinary function, shows the result."""
