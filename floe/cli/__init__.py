"""What `ape floe status|stake|wrap|unwrap|exit|claim|tickets` do; their options stand in `ape_floe/cli.py`."""
