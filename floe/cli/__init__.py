"""What the commands for holders do (`ape floe status|stake|...|risk`); their options stand in `ape_floe/cli.py`."""
