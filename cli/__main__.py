"""`python -m cli`: the same as `houndsfield`, for the supervisor and where the script is not on the PATH."""

from cli.main import run

if __name__ == "__main__":
    run()
